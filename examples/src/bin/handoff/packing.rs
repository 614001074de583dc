//! Packing: a worker that picks an order up from Kafka and hands the parcel to RabbitMQ.

use std::time::Duration;

use anyhow::Context as _;
use lapin::options::BasicPublishOptions;
use lapin::types::{AMQPValue, FieldTable};
use lapin::{BasicProperties, Channel};
use opentelemetry::Context;
use opentelemetry::trace::{SpanKind, TraceContextExt as _};
use rdkafka::consumer::StreamConsumer;
use tokio::time;

use carrier_kafka::ExtractFrom as _;

use crate::hops::{AMQP, Demo, KAFKA};
use crate::service::Service;

/// The worker still has another order in its hands, so this one waits.
const BUSY: Duration = Duration::from_millis(45);

/// So that there is something to see: real work takes time.
const WORK: Duration = Duration::from_millis(35);

pub(crate) struct Packing {
    pub(crate) service: Service,
    pub(crate) consumer: StreamConsumer,
    /// The queue behind it and the channel to it; without one the order's way ends here.
    pub(crate) next: Option<(Channel, String)>,
    pub(crate) demo: Demo,
}

impl Packing {
    pub(crate) async fn work(self) -> anyhow::Result<()> {
        let order = self.consumer.recv().await.context("Kafka gave no order")?;
        time::sleep(BUSY).await;

        self.demo.saw(&KAFKA, &order.reader());
        let parent = carrier_kafka::extract(&order);
        let packing = self.service.begin("process orders", SpanKind::Consumer, &parent);
        time::sleep(WORK).await;
        if let Some((channel, queue)) = &self.next {
            self.send(&packing, channel, queue).await?;
        }
        packing.span().end();
        Ok(())
    }

    async fn send(&self, cx: &Context, channel: &Channel, queue: &str) -> anyhow::Result<()> {
        let sending = self.service.begin("send parcels", SpanKind::Producer, cx);
        let mut headers = FieldTable::default();
        headers.insert("fragile".into(), AMQPValue::LongString("yes".into()));
        let mut properties = BasicProperties::default().with_headers(headers);
        carrier_amqp::inject(&sending, &mut properties);
        if self.demo.loses(&AMQP) {
            properties = BasicProperties::default();
        }
        let options = BasicPublishOptions::default();
        let published =
            channel.basic_publish("".into(), queue.into(), options, b"a parcel", properties).await;
        let confirm = async { published?.await };
        confirm.await.context("RabbitMQ did not take the parcel")?;
        sending.span().end();
        Ok(())
    }
}
