//! Many messages through levels 1 and 2, both ways, with memory flat.

use std::time::Duration;

use anyhow::{Context as _, ensure};
use carrier_core::instrumentation::{Details, Hook, MessageView};
use futures::{StreamExt as _, future::try_join_all};
use lapin::BasicProperties;
use lapin::options::{BasicConsumeOptions, BasicPublishOptions};
use lapin::types::FieldTable;
use opentelemetry::Context;
use opentelemetry::trace::TraceContextExt as _;
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::error::KafkaResult;
use rdkafka::producer::BaseRecord;
use rdkafka::{ClientConfig, TopicPartitionList};

use crate::usage::{Bounds, mib};
use crate::{BODY, context, kafka, rabbitmq};

/// Points along the way at which memory is looked at.
const POINTS: u32 = 10;

/// Before this point buffers grow to what they need; from here on memory must be flat.
const WARM: u32 = 2;

/// How much it may grow in the rest of the way. A leak of 16 bytes a message would be 12 MiB.
const GROWTH_MIB: f64 = 8.0;

/// The broker decides how full the queue becomes, and a full one is more memory than a leak.
const IN_FLIGHT: u32 = 500;

/// How long the broker may take to hand out a message.
const PATIENCE: Duration = Duration::from_secs(20);

/// Everything on.
const ALL: &str = "level2-recorded-exported-metrics";

struct Tag;

impl Hook for Tag {
    fn start(&self, message: &MessageView<'_>, attributes: &mut Details<'_>) {
        attributes.set("soak.operation", format!("{:?}", message.operation()));
    }
}

/// Prints a table, and returns whether memory was flat.
pub(crate) async fn run(broker: &str, bounds: Bounds) -> anyhow::Result<bool> {
    context::install();
    let _parent = context::enter(ALL);
    match broker {
        "kafka" => kafka::with_topic(async |config, topic| on_kafka(bounds, &config, topic).await).await,
        _ => on_rabbitmq(bounds).await,
    }
}

/// Has messages pass; `pass` is given how many.
async fn points(
    bounds: Bounds,
    mut pass: impl AsyncFnMut(u32) -> anyhow::Result<()>,
) -> anyhow::Result<bool> {
    println!(
        "Half are read by level 1, half by level 2 with a hook; spans and metrics are exported to nowhere.\n"
    );
    println!("| messages there and back | resident MiB |\n| --- | --- |");
    let (piece, mut warm, mut grown) = (bounds.messages / POINTS, 0.0, 0.0_f64);
    for point in 1..=POINTS {
        pass(piece).await?;
        let now = mib("VmRSS")?;
        println!("| {} | {now:.1} |", point * piece);
        warm = if point <= WARM { now } else { warm };
        grown = grown.max(now - warm);
    }
    println!("\nMemory grew by {grown:.1} MiB after point {WARM}; more than {GROWTH_MIB} MiB is a failure.");
    Ok(grown <= GROWTH_MIB)
}

async fn on_kafka(bounds: Bounds, config: &ClientConfig, topic: &str) -> anyhow::Result<bool> {
    let kafka =
        context::instrumentation!(carrier_kafka::Instrumentation::builder().config(config).hook(Tag), ALL);
    let producer = kafka.base_producer(config)?;
    let consumer = consumer(config, topic)?;

    let mut even = false;
    let mut send = || -> KafkaResult<()> {
        even = !even;
        if even {
            return producer.send(kafka::record(topic)).map_err(|(error, _)| error);
        }
        // Level 1 past the wrapper, whose record then has no span.
        let mut record = BaseRecord::<(), [u8], _>::with_opaque_to(topic, Box::new(().into()));
        record = record.payload(&BODY[..]);
        carrier_kafka::inject(&Context::current(), &mut record);
        producer.inner().send(record).map_err(|(error, _)| error)
    };
    points(bounds, async |piece| {
        let sent = kafka::send_all(bounds.of(piece), IN_FLIGHT.cast_signed(), producer.inner(), &mut send)?;
        ensure!(sent == piece, "the time is over");
        for index in 0..piece {
            let message = consumer.poll(PATIENCE).context("a message did not come")??;
            if index.is_multiple_of(2) {
                kafka.process(message).run(async {}).await;
            } else {
                has_context(&carrier_kafka::extract(&message))?;
            }
        }
        Ok(())
    })
    .await
}

fn has_context(cx: &Context) -> anyhow::Result<()> {
    ensure!(cx.span().span_context().is_sampled(), "a message has lost its context");
    Ok(())
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

async fn on_rabbitmq(bounds: Bounds) -> anyhow::Result<bool> {
    let (channel, queue) = rabbitmq::queue().await?;
    let amqp = context::instrumentation!(carrier_amqp::Instrumentation::builder().hook(Tag), ALL);
    let channel = amqp.channel(channel);
    let (options, arguments) = (BasicConsumeOptions::default(), FieldTable::default());
    let mut deliveries = channel.basic_consume(queue.clone(), "".into(), options, arguments).await?;
    let publish = async |_| {
        let (options, properties) = (BasicPublishOptions::default(), BasicProperties::default());
        channel.basic_publish("".into(), queue.clone(), options, &BODY, properties).await?.await
    };
    points(bounds, async |count| {
        for _ in 0..count / IN_FLIGHT {
            try_join_all((0..IN_FLIGHT).map(publish)).await?;
            for index in 0..IN_FLIGHT {
                let next = tokio::time::timeout(PATIENCE, deliveries.next()).await;
                let delivery = next?.context("a message did not come")??;
                if index.is_multiple_of(2) {
                    let delivery = amqp.process(queue.as_str(), delivery);
                    delivery.run(delivery.ack(Default::default())).await?;
                } else {
                    has_context(&carrier_amqp::extract(&delivery))?;
                    delivery.ack(Default::default()).await?;
                }
            }
        }
        Ok(())
    })
    .await
}
