//! Kafka at full speed: `BaseProducer`, acks=1, records of 100 bytes.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use anyhow::{bail, ensure};
use carrier_core::Propagation;
use carrier_kafka::Instrumentation;
use opentelemetry::global::{get_text_map_propagator, set_text_map_propagator};
use opentelemetry_sdk::propagation::TraceContextPropagator;
use rdkafka::config::FromClientConfigAndContext as _;
use rdkafka::error::{KafkaError, KafkaResult};
use rdkafka::message::{Header, OwnedHeaders};
use rdkafka::producer::{BaseProducer, BaseRecord, DeliveryResult, Producer as _, ProducerContext};
use rdkafka::{ClientConfig, ClientContext};

use crate::bounds::Bounds;
use crate::by_hand::{Ending, Spans};
use crate::context::{self, Level2};
use crate::peers::{Copied, Short};
use crate::topic::Topic;
use crate::usage::{Figures, Moment};
use crate::{BODY, variable};

/// Below what librdkafka's queue holds: a full one would make the sender try again, instrumented or not.
const IN_FLIGHT: i32 = 50_000;

/// Messages between two polls.
const PIECE: u32 = 100;

/// Messages before the clock starts: they connect.
const FIRST: u32 = 10_000;

type Record<'a> = BaseRecord<'a, (), [u8]>;

pub(crate) fn config() -> anyhow::Result<ClientConfig> {
    let mut config = ClientConfig::new();
    config
        .set("bootstrap.servers", variable("KAFKA_BROKERS")?)
        .set("acks", "1")
        .set("message.timeout.ms", "30000");
    Ok(config)
}

pub(crate) fn run(variant: &str, bounds: Bounds) -> anyhow::Result<Figures> {
    let config = config()?;
    let topic = Topic::create(&config)?;
    let figures = measure(variant, bounds, &config, &topic.name);
    topic.delete()?;
    figures
}

fn measure(variant: &str, bounds: Bounds, config: &ClientConfig, topic: &str) -> anyhow::Result<Figures> {
    let level2 = Level2::named(variant);
    let is_recorded = level2.map_or(variant != "span-dropped", |choice| choice.is_recorded);
    let _parent = context::enter(is_recorded);
    let deliveries = Deliveries::default();
    if let Some(choice) = level2 {
        set_text_map_propagator(carrier_core::w3c());
        let kafka = context::instrumentation!(Instrumentation::builder().config(config), choice);
        let producer = kafka.base_producer(config, deliveries.clone())?;
        let send = || producer.send(record(topic)).map_err(|(error, _)| error);
        return drive(bounds, &producer, &deliveries, send);
    }
    if matches!(variant, "span-dropped" | "span-recorded") {
        set_text_map_propagator(carrier_core::w3c());
        let spans = Spans::new(topic, &variable("KAFKA_BROKERS")?);
        let producer: BaseProducer<Ending> =
            BaseProducer::from_config_and_context(config, Ending(deliveries.clone()))?;
        return drive(bounds, &producer, &deliveries, || {
            producer.send(spans.record(topic)).map_err(|(error, _)| error)
        });
    }
    let producer = BaseProducer::from_config_and_context(config, deliveries.clone())?;
    let send = |record| producer.send(record).map_err(|(error, _): (KafkaError, Record<'_>)| error);
    let measure = |make: &dyn Fn() -> Record<'static>| drive(bounds, &producer, &deliveries, || send(make()));
    let topic: &'static str = topic.to_owned().leak();
    match variant {
        "bare" => measure(&|| record(topic)),
        "ready" => measure(&|| {
            let header = Header { key: "traceparent", value: Some(context::READY) };
            record(topic).headers(OwnedHeaders::new_with_capacity(1).insert(header))
        }),
        "level1" => {
            set_text_map_propagator(carrier_core::w3c());
            measure(&|| {
                let mut record = record(topic);
                carrier_kafka::inject(&opentelemetry::Context::current(), &mut record);
                record
            })
        }
        "level1-own" => {
            let own = Propagation::builder().propagator(carrier_core::w3c()).build();
            measure(&|| {
                let mut record = record(topic);
                carrier_kafka::inject_with(&own, &opentelemetry::Context::current(), &mut record);
                record
            })
        }
        "short" | "copied" => {
            set_text_map_propagator(TraceContextPropagator::new());
            if variant == "short" {
                return measure(&|| {
                    let mut headers = Short::default();
                    get_text_map_propagator(|propagator| propagator.inject(&mut headers));
                    record(topic).headers(headers.0)
                });
            }
            measure(&|| {
                let mut headers = Copied::default();
                get_text_map_propagator(|propagator| propagator.inject(&mut headers));
                record(topic).headers(headers.0)
            })
        }
        _ => bail!("there is no such variant"),
    }
}

pub(crate) fn record(topic: &str) -> Record<'_> {
    BaseRecord::to(topic).payload(&BODY[..])
}

/// Sends until the bounds are reached and all is delivered; the clock starts behind the first messages.
fn drive<C: ProducerContext>(
    bounds: Bounds,
    producer: &BaseProducer<C>,
    deliveries: &Deliveries,
    mut send: impl FnMut() -> KafkaResult<()>,
) -> anyhow::Result<Figures> {
    let first = send_all(bounds.of(FIRST), IN_FLIGHT, producer, &mut send)?;
    let began = Moment::now();
    let sent = send_all(bounds.of(bounds.messages), IN_FLIGHT, producer, &mut send)?;
    let figures = began.until_now(sent)?;
    deliveries.must_be(first + sent)?;
    Ok(figures)
}

/// Sends, polls as well, and waits for the last delivery.
pub(crate) fn send_all<C: ProducerContext>(
    bounds: Bounds,
    in_flight: i32,
    producer: &BaseProducer<C>,
    send: &mut impl FnMut() -> KafkaResult<()>,
) -> anyhow::Result<u32> {
    let mut sent = 0;
    while sent < bounds.messages && !bounds.is_over() {
        for _ in 0..PIECE.min(bounds.messages - sent) {
            send()?;
            sent += 1;
        }
        producer.poll(Duration::ZERO);
        while producer.in_flight_count() > in_flight {
            ensure!(!bounds.is_over(), "the broker takes no more messages");
            producer.poll(Duration::from_millis(1));
        }
    }
    producer.flush(bounds.time)?;
    Ok(sent)
}

/// Counts what was delivered, and what was not.
#[derive(Clone, Debug, Default)]
pub(crate) struct Deliveries(Arc<[AtomicU32; 2]>);

impl Deliveries {
    pub(crate) fn must_be(&self, count: u32) -> anyhow::Result<()> {
        let [delivered, failed] = [&self.0[0], &self.0[1]].map(|count| count.load(Ordering::Relaxed));
        ensure!((delivered, failed) == (count, 0), "{delivered} of {count} delivered, {failed} failed");
        Ok(())
    }
}

impl ClientContext for Deliveries {}

impl ProducerContext for Deliveries {
    type DeliveryOpaque = ();

    fn delivery(&self, result: &DeliveryResult<'_>, _: ()) {
        self.0[usize::from(result.is_err())].fetch_add(1, Ordering::Relaxed);
    }
}
