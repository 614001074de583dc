//! Kafka, each send awaited: `FutureProducer`, acks=all.

use std::time::Duration;

use anyhow::{Context as _, bail};
use carrier_kafka::Instrumentation;
use opentelemetry::global::set_text_map_propagator;
use rdkafka::message::{Header, OwnedHeaders};
use rdkafka::producer::future_producer::OwnedDeliveryResult;
use rdkafka::producer::{FutureProducer, FutureRecord};

use crate::bounds::Bounds;
use crate::context::{self, Level2};
use crate::topic::Topic;
use crate::usage::{Figures, Moment};
use crate::{BODY, kafka};

/// Messages before the clock starts: they connect.
const FIRST: u32 = 100;

/// How long the queue may be full.
const PATIENCE: Duration = Duration::from_secs(10);

type Record<'a> = FutureRecord<'a, (), [u8]>;

pub(crate) async fn run(variant: &str, bounds: Bounds) -> anyhow::Result<Figures> {
    let mut config = kafka::config()?;
    // Without the wait for more messages, which never come: it would hide everything else.
    config.set("acks", "all").set("linger.ms", "0");
    let topic = Topic::create(&config)?;
    let name = topic.name.as_str();
    let producer: FutureProducer = config.create()?;
    let level2 = Level2::named(variant);
    // One task sends all, and it is never moved: `main` awaits it.
    let _parent = context::enter(level2.is_none_or(|choice| choice.is_recorded));
    set_text_map_propagator(carrier_core::w3c());
    let figures = match (variant, level2) {
        (_, Some(choice)) => {
            let kafka = context::instrumentation!(Instrumentation::builder().config(&config), choice);
            let producer = kafka.future_producer(producer);
            drive(bounds, async || producer.send(record(name), PATIENCE).await).await
        }
        ("bare", _) => drive(bounds, async || producer.send(record(name), PATIENCE).await).await,
        ("ready", _) => {
            let make = || {
                let header = Header { key: "traceparent", value: Some(context::READY) };
                record(name).headers(OwnedHeaders::new_with_capacity(1).insert(header))
            };
            drive(bounds, async || producer.send(make(), PATIENCE).await).await
        }
        ("level1", _) => {
            let make = || {
                let mut record = record(name);
                carrier_kafka::inject(&opentelemetry::Context::current(), &mut record);
                record
            };
            drive(bounds, async || producer.send(make(), PATIENCE).await).await
        }
        _ => bail!("there is no such variant"),
    };
    topic.delete()?;
    figures
}

fn record(topic: &str) -> Record<'_> {
    FutureRecord::to(topic).payload(&BODY[..])
}

async fn drive(
    bounds: Bounds,
    mut send: impl AsyncFnMut() -> OwnedDeliveryResult,
) -> anyhow::Result<Figures> {
    send_all(bounds.of(FIRST), &mut send).await?;
    let began = Moment::now();
    let sent = send_all(bounds.of(bounds.messages), &mut send).await?;
    began.until_now(sent)
}

async fn send_all(
    bounds: Bounds,
    send: &mut impl AsyncFnMut() -> OwnedDeliveryResult,
) -> anyhow::Result<u32> {
    let mut sent = 0;
    while sent < bounds.messages && !bounds.is_over() {
        send().await.map_err(|(error, _)| error).context("a message was not delivered")?;
        sent += 1;
    }
    Ok(sent)
}
