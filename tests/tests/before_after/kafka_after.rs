//! The same with spans and metrics.

use std::time::Duration;

use rdkafka::consumer::{CommitMode, Consumer as _, StreamConsumer};
use rdkafka::error::KafkaResult;
use rdkafka::producer::FutureRecord;
use rdkafka::{ClientConfig, Message as _};

use crate::Worked;

pub(crate) async fn run(config: &ClientConfig, topic: &str, worked: &Worked) -> KafkaResult<()> {
    let kafka = carrier_kafka::Instrumentation::builder().config(config).build();
    let producer = kafka.future_producer(config)?;
    let order = FutureRecord::to(topic).key("17").payload("three lamps");
    producer.send(order, Duration::from_secs(5)).await.map_err(|(error, _)| error)?;

    let consumer: StreamConsumer = config.create()?;
    consumer.subscribe(&[topic])?;
    loop {
        let message = kafka.process(consumer.recv().await?);
        message.run(worked.with(message.payload().unwrap_or_default())).await;
        consumer.commit_message(&message, CommitMode::Async)?;
    }
}
