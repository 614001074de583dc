//! Each round has a connection of its own, which is lost with confirms pending and messages in process.

use std::time::Duration;

use anyhow::Context as _;
use carrier_amqp::Instrumentation;
use futures::future::{BoxFuture, FutureExt as _, join_all, try_join_all};
use futures::stream::StreamExt as _;
use lapin::message::Delivery;
use lapin::options::{
    BasicConsumeOptions, BasicPublishOptions, BasicQosOptions, ConfirmSelectOptions, QueueDeclareOptions,
    QueuePurgeOptions,
};
use lapin::types::FieldTable;
use lapin::{BasicProperties, Channel, Confirmation};
use tokio::time::timeout;

use super::{MESSAGES, ROUNDS, cut, lost};
use crate::rabbitmq::connect;
use crate::work::within;

/// lapin may never answer what was pending.
const PATIENCE: Duration = Duration::from_millis(500);

const QUEUE: &str = "lost";

pub(super) async fn lose(amqp: Option<&Instrumentation>, url: &str) -> anyhow::Result<()> {
    for round in 1..=ROUNDS {
        lose_one(amqp, url).await?;
        lost(round)?;
    }
    Ok(())
}

async fn lose_one(amqp: Option<&Instrumentation>, url: &str) -> anyhow::Result<()> {
    let (_connection, channel) = connect(url).await?;
    let durable = QueueDeclareOptions { durable: true, ..QueueDeclareOptions::default() };
    within(channel.queue_declare(QUEUE.into(), durable, FieldTable::default())).await?;
    // What other rounds have left must not add up.
    within(channel.queue_purge(QUEUE.into(), QueuePurgeOptions::default())).await?;
    within(channel.confirm_select(ConfirmSelectOptions::default())).await?;
    within(channel.basic_qos(50, BasicQosOptions::default())).await?;
    let (options, arguments) = (BasicConsumeOptions::default(), FieldTable::default());
    let mut deliveries = within(channel.basic_consume(QUEUE.into(), "".into(), options, arguments)).await?;
    let sender = Sender { ours: amqp.map(|amqp| amqp.channel(channel.clone())), channel };

    let first = sender.publish_half().await?;
    within(try_join_all(first)).await?;
    for _ in 0..MESSAGES / 4 {
        let delivery =
            within(deliveries.next().map(|next| next.context("the consumer was cancelled"))).await??;
        handle(amqp, delivery).await;
    }
    // The second half is on its way, and a quarter of the messages is with the consumer.
    let second = sender.publish_half().await?;
    cut();
    let rest = async {
        while let Some(Ok(delivery)) = deliveries.next().await {
            handle(amqp, delivery).await;
        }
        anyhow::Ok(())
    };
    // It ends with the connection.
    within(rest).await?;
    let _ = timeout(PATIENCE, join_all(second)).await;
    Ok(())
}

async fn handle(amqp: Option<&Instrumentation>, delivery: Delivery) {
    let acked = match amqp {
        Some(amqp) => {
            let delivery = amqp.process(QUEUE, delivery);
            delivery.run(timeout(PATIENCE, delivery.ack(Default::default()))).await
        }
        None => timeout(PATIENCE, delivery.ack(Default::default())).await,
    };
    // It fails when the connection is lost.
    drop(acked);
}

struct Sender {
    ours: Option<carrier_amqp::instrumentation::Channel>,
    channel: Channel,
}

type Confirms = Vec<BoxFuture<'static, lapin::Result<Confirmation>>>;

impl Sender {
    async fn publish_half(&self) -> anyhow::Result<Confirms> {
        let mut confirms = Vec::new();
        for _ in 0..MESSAGES / 2 {
            confirms.push(within(self.publish()).await?);
        }
        Ok(confirms)
    }

    async fn publish(&self) -> lapin::Result<BoxFuture<'static, lapin::Result<Confirmation>>> {
        let (options, persistent) =
            (BasicPublishOptions::default(), BasicProperties::default().with_delivery_mode(2));
        let (exchange, queue, body) = ("".into(), QUEUE.into(), &[b'x'; 100]);
        Ok(match &self.ours {
            Some(ours) => ours.basic_publish(exchange, queue, options, body, persistent).await?.boxed(),
            None => self.channel.basic_publish(exchange, queue, options, body, persistent).await?.boxed(),
        })
    }
}
