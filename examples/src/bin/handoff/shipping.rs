//! Shipping: the last worker. It picks a parcel up from RabbitMQ, and the order is done.

use std::time::Duration;

use anyhow::Context as _;
use carrier_amqp::ExtractFrom as _;
use futures::StreamExt as _;
use lapin::Consumer;
use lapin::options::{BasicAckOptions, BasicRejectOptions};
use tokio::time;

use crate::hops::{AMQP, Demo};

/// The worker still has another parcel in its hands, so this one waits.
const BUSY: Duration = Duration::from_millis(25);

/// So that there is something to see: real work takes time.
const WORK: Duration = Duration::from_millis(30);

pub(crate) struct Shipping {
    pub(crate) amqp: carrier_amqp::Instrumentation,
    pub(crate) consumer: Consumer,
    pub(crate) queue: String,
    pub(crate) demo: Demo,
}

impl Shipping {
    pub(crate) async fn work(mut self) -> anyhow::Result<()> {
        let parcel = self.consumer.next().await.context("RabbitMQ ended the consumer")?;
        let parcel = parcel.context("RabbitMQ gave no parcel")?;
        time::sleep(BUSY).await;

        self.demo.saw(&AMQP, &parcel.reader());
        let parcel = self.amqp.process(&self.queue, parcel);
        let shipped = parcel.run(async {
            time::sleep(WORK).await;
            self.demo.work(&AMQP)
        });
        let settled = match shipped.await {
            Ok(()) => parcel.ack(BasicAckOptions::default()).await,
            Err(_) => parcel.reject(BasicRejectOptions::default()).await,
        };
        settled.context("RabbitMQ took no acknowledgement")?;
        Ok(())
    }
}
