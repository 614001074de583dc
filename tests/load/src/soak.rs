//! Many messages through levels 1 and 2, both ways, with memory flat.

use std::time::Duration;

use anyhow::{Context as _, ensure};
use carrier_kafka::Instrumentation;
use opentelemetry::global::set_text_map_propagator;
use opentelemetry::trace::TraceContextExt as _;
use rdkafka::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::error::KafkaResult;
use rdkafka::producer::BaseRecord;
use rdkafka::topic_partition_list::TopicPartitionList;

use crate::bounds::Bounds;
use crate::context::{self, Level2};
use crate::kafka::{self, Deliveries};
use crate::topic::{Topic, blocking};
use crate::usage;

/// Points along the way at which memory is looked at.
const POINTS: u32 = 10;

/// Before this point buffers grow to what they need; from here on memory is to be flat.
const WARM: u32 = 2;

/// How much it may grow in the rest of the way. A leak of 16 bytes a message would be 12 MiB.
const GROWTH_KIB: u64 = 8 * 1_024;

/// How full the queue becomes is the broker's doing, and a full one is more memory than a leak that is looked for.
const IN_FLIGHT: i32 = 2_000;

/// How long the broker may take to hand out a message.
const PATIENCE: Duration = Duration::from_secs(20);

/// Everything on: recorded spans, and metrics.
const ALL: Level2 = Level2 { is_recorded: true, has_metrics: true, skips_unsampled: false };

pub(crate) fn run(bounds: Bounds) -> anyhow::Result<()> {
    let config = kafka::config()?;
    let topic = Topic::create(&config)?;
    let result = soak(bounds, &config, &topic.name);
    topic.delete()?;
    result
}

fn soak(bounds: Bounds, config: &ClientConfig, topic: &str) -> anyhow::Result<()> {
    set_text_map_propagator(carrier_core::w3c());
    let _parent = context::enter(true);
    let kafka = context::instrumentation!(Instrumentation::builder().config(config), ALL);
    let deliveries = Deliveries::default();
    let producer = kafka.base_producer(config, deliveries.clone())?;
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
        carrier_kafka::inject(&opentelemetry::Context::current(), &mut record);
        let sent: &rdkafka::producer::BaseProducer<_> = &producer;
        sent.send(record).map_err(|(error, _)| error)
    };

    let (piece, mut at, mut warm, mut most) = (bounds.messages / POINTS, 0, 0, 0);
    for point in 1..=POINTS {
        let sent = kafka::send_all(bounds.of(piece), IN_FLIGHT, &producer, &mut send)?;
        ensure!(sent == piece, "the time is over");
        receive(&kafka, &consumer, sent)?;
        at += sent;
        let now = usage::resident_kib()?;
        println!("soak messages={at} rss_kib={now}");
        if point == WARM {
            warm = now;
        } else if point > WARM {
            most = now.max(most);
        }
    }
    deliveries.must_be(at)?;
    let grown = most.saturating_sub(warm);
    println!("soak grown_kib={grown} allowed_kib={GROWTH_KIB}");
    Ok(())
}

fn consumer(config: &ClientConfig, topic: &str) -> anyhow::Result<BaseConsumer> {
    let mut config = config.clone();
    config.remove("acks");
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
fn receive(kafka: &Instrumentation, consumer: &BaseConsumer, count: u32) -> anyhow::Result<()> {
    for index in 0..count {
        let message = consumer.poll(PATIENCE).context("a message did not come")??;
        if index.is_multiple_of(2) {
            let message = kafka.process(message);
            blocking(message.run(async {}));
        } else {
            let cx = carrier_kafka::extract(&message);
            ensure!(cx.span().span_context().is_sampled(), "a message has lost its context");
        }
    }
    Ok(())
}
