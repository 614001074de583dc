//! The same with spans and metrics.

use futures::StreamExt as _;
use lapin::{Connection, Result};

use crate::Worked;

pub(crate) async fn run(uri: &str, queue: &str, worked: &Worked) -> Result<()> {
    let connection = Connection::connect(uri, Default::default()).await?;
    let amqp = carrier_amqp::Instrumentation::builder().url(uri)?.build();
    let channel = amqp.channel(connection.create_channel().await?);
    let order = b"three lamps";
    channel.basic_publish("".into(), queue.into(), Default::default(), order, Default::default()).await?;

    let mut orders =
        channel.basic_consume(queue.into(), "".into(), Default::default(), Default::default()).await?;
    while let Some(delivery) = orders.next().await.transpose()? {
        let delivery = amqp.process(queue, delivery);
        delivery.run(worked.with(&delivery.data)).await;
        delivery.ack(Default::default()).await?;
    }
    Ok(())
}
