//! Packing: a worker that picks an order up from Kafka and hands the parcel to RabbitMQ.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use carrier_amqp::instrumentation::Channel;
use carrier_kafka::ExtractFrom as _;
use lapin::BasicProperties;
use lapin::options::BasicPublishOptions;
use lapin::types::{AMQPValue, FieldTable};
use rdkafka::consumer::{CommitMode, Consumer as _};
use tokio::time;

use crate::brokers::Orders;
use crate::hops::{AMQP, Demo, KAFKA};

/// The worker still has another order in its hands, so this one waits.
const BUSY: Duration = Duration::from_millis(45);

/// Several of librdkafka's intervals.
const STATISTICS: Duration = Duration::from_millis(100);

/// So that there is something to see: real work takes time.
const WORK: Duration = Duration::from_millis(35);

pub(crate) struct Packing {
    pub(crate) kafka: carrier_kafka::Instrumentation,
    pub(crate) consumer: Arc<Orders>,
    /// The queue behind it and the channel to it; without one the order's way ends here.
    pub(crate) next: Option<(Channel, String)>,
    pub(crate) demo: Demo,
}

impl Packing {
    pub(crate) async fn work(self) -> anyhow::Result<()> {
        let order = self.consumer.recv().await.context("Kafka gave no order")?;
        time::sleep(BUSY).await;

        self.demo.saw(&KAFKA, &order.reader());
        let order = self.kafka.process(order);
        let packed = order.run(self.pack()).await;
        self.consumer.commit_message(&order, CommitMode::Async)?;
        // The next order does not come. The statistics of this one come while the consumer waits.
        let _nothing = time::timeout(STATISTICS, self.consumer.recv()).await;
        // The order's own failure is on its span, and ends nothing else.
        if self.demo.failing.is_some_and(|hop| *hop == KAFKA) { Ok(()) } else { packed }
    }

    async fn pack(&self) -> anyhow::Result<()> {
        time::sleep(WORK).await;
        self.demo.work(&KAFKA)?;
        match &self.next {
            Some((channel, queue)) => self.send(channel, queue).await,
            None => Ok(()),
        }
    }

    async fn send(&self, channel: &Channel, queue: &str) -> anyhow::Result<()> {
        let mut headers = FieldTable::default();
        headers.insert("fragile".into(), AMQPValue::LongString("yes".into()));
        // No `timestamp`: AMQP's has whole seconds, so a wait of milliseconds would look like up to one.
        let mut properties = BasicProperties::default().with_headers(headers);
        if self.demo.loses(&AMQP) {
            properties = BasicProperties::default();
        }
        let options = BasicPublishOptions::default();
        let published =
            channel.basic_publish("".into(), queue.into(), options, b"a parcel", properties).await;
        let confirm = async { published?.await };
        confirm.await.context("RabbitMQ did not take the parcel")?;
        Ok(())
    }
}
