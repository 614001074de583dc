//! Many messages through levels 1 and 2, both ways, with memory flat.

use std::time::Duration;

use anyhow::{Context as _, ensure};
use carrier_kafka::Instrumentation;
use opentelemetry::Context;
use opentelemetry::trace::TraceContextExt as _;
use rdkafka::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::error::KafkaResult;
use rdkafka::producer::BaseRecord;
use rdkafka::topic_partition_list::TopicPartitionList;

use crate::context;
use crate::kafka::{self, Deliveries};
use crate::usage::{Bounds, mib};

/// Points along the way at which memory is looked at.
const POINTS: u32 = 10;

/// Before this point buffers grow to what they need; from here on memory must be flat.
const WARM: u32 = 2;

/// How much it may grow in the rest of the way. A leak of 16 bytes a message would be 12 MiB.
const GROWTH_MIB: f64 = 8.0;

/// The broker decides how full the queue becomes, and a full one is more memory than a leak.
const IN_FLIGHT: i32 = 2_000;

/// How long the broker may take to hand out a message.
const PATIENCE: Duration = Duration::from_secs(20);

/// Everything on.
const ALL: &str = "level2-recorded-metrics";

/// Prints a table, and returns whether memory was flat.
pub(crate) async fn run(bounds: Bounds) -> anyhow::Result<bool> {
    kafka::with_topic(async |config, topic| soak(bounds, &config, topic).await).await
}

async fn soak(bounds: Bounds, config: &ClientConfig, topic: &str) -> anyhow::Result<bool> {
    let _parent = context::enter(ALL);
    let kafka = context::instrumentation!(Instrumentation::builder().config(config), ALL);
    let deliveries = Deliveries::default();
    let producer = kafka.base_producer_with_context(config, deliveries.clone())?;
    let consumer = consumer(config, topic)?;

    let mut even = false;
    let mut send = || -> KafkaResult<()> {
        even = !even;
        if even {
            return producer.send(kafka::record(topic)).map_err(|(error, _)| error);
        }
        // Level 1 past the wrapper, whose record then has no span.
        let mut record = BaseRecord::<(), [u8], _>::with_opaque_to(topic, Box::new(().into()));
        record = record.payload(&crate::BODY[..]);
        carrier_kafka::inject(&Context::current(), &mut record);
        let sent = producer.inner();
        sent.send(record).map_err(|(error, _)| error)
    };

    println!("| messages | resident MiB |\n| --- | --- |");
    let (piece, mut at, mut warm, mut grown) = (bounds.messages / POINTS, 0, 0.0, 0.0_f64);
    for point in 1..=POINTS {
        let sent = kafka::send_all(bounds.of(piece), IN_FLIGHT, producer.inner(), &mut send)?;
        ensure!(sent == piece, "the time is over");
        receive(&kafka, &consumer, sent).await?;
        at += sent;
        let now = mib("VmRSS")?;
        println!("| {at} | {now:.1} |");
        if point <= WARM {
            warm = now;
        }
        grown = grown.max(now - warm);
    }
    deliveries.must_be(at)?;
    println!("\nMemory grew by {grown:.1} MiB after point {WARM}; more than {GROWTH_MIB} MiB is a failure.");
    Ok(grown <= GROWTH_MIB)
}

fn consumer(config: &ClientConfig, topic: &str) -> anyhow::Result<BaseConsumer> {
    let mut config = config.clone();
    config.remove("message.timeout.ms");
    // What is fetched ahead is memory too.
    config
        .set("group.id", topic)
        .set("enable.auto.commit", "false")
        .set("queued.max.messages.kbytes", "1024");
    let consumer: BaseConsumer = config.create()?;
    let mut first = TopicPartitionList::new();
    first.add_partition_offset(topic, 0, rdkafka::Offset::Beginning)?;
    consumer.assign(&first)?;
    Ok(consumer)
}

/// Half of them by level 1, half by level 2; each brings a span.
async fn receive(kafka: &Instrumentation, consumer: &BaseConsumer, count: u32) -> anyhow::Result<()> {
    for index in 0..count {
        let message = consumer.poll(PATIENCE).context("a message did not come")??;
        if index.is_multiple_of(2) {
            kafka.process(message).run(async {}).await;
        } else {
            let cx = carrier_kafka::extract(&message);
            ensure!(cx.span().span_context().is_sampled(), "a message has lost its context");
        }
    }
    Ok(())
}
