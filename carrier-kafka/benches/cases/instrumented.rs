//! Level 2: the span of a message that is sent or processed, against the same span by hand.
#![allow(clippy::unwrap_used, reason = "a program for developers")]

#[path = "../../../tests/load/src/spans.rs"]
mod spans;

use std::time::Duration;

use carrier_kafka::{Instrumentation, extract_with};
use carrier_measure::{Meter, Process, Row, context, own, recorded, span, unsampled};
use opentelemetry::trace::SpanKind;
use opentelemetry::{Context, KeyValue};
use opentelemetry_sdk::trace::{SdkTracer, SdkTracerProvider};
use rdkafka::config::FromClientConfigAndContext as _;
use rdkafka::message::{Message as _, OwnedHeaders, OwnedMessage};
use rdkafka::producer::{
    BaseProducer, BaseRecord, DefaultProducerContext, Producer as _, ProducerContext, PurgeConfig,
};
use rdkafka::{ClientConfig, Timestamp};

use self::spans::{Ending, Spans};

pub const PROCESS: Process<OwnedMessage, Instrumentation> = Process {
    area: "kafka",
    message: |parent| {
        let headers = super::add(OwnedHeaders::new(), "traceparent", parent);
        let (payload, time) = (Some(vec![b'x'; 100]), Timestamp::NotAvailable);
        OwnedMessage::new(payload, None, TOPIC.to_owned(), time, 3, 7, Some(headers))
    },
    extract: |own, message| extract_with(own, message),
    by_hand,
    instrumentation,
    process: |ours, message| drop(ours.process(message)),
};

fn instrumentation(provider: &SdkTracerProvider, skip_unsampled: bool) -> Instrumentation {
    let builder = Instrumentation::builder().tracer_provider(provider.clone()).propagation(own());
    builder.metrics(false).skip_unsampled(skip_unsampled).build()
}

pub fn all(meter: &mut impl Meter) {
    send(meter, "kafka: send, not recorded", &unsampled());
    send(meter, "kafka: send, recorded", &recorded());
    PROCESS.rows(meter);
}

/// A topic that no broker has: what is sent to it waits in librdkafka's queue.
const TOPIC: &str = "orders";

/// More would wait for memory of their own.
const WAITING: i32 = 1_000;

/// Takes what was sent out of the queue, which ends its spans.
fn make_room<C: ProducerContext>(producer: &BaseProducer<C>) {
    if producer.in_flight_count() > WAITING {
        producer.purge(PurgeConfig::default().queue());
        producer.poll(Duration::ZERO);
    }
}

fn send(meter: &mut impl Meter, row: &str, provider: &SdkTracerProvider) {
    let _caller = context().attach();
    let config = ClientConfig::new();
    let spans = Spans::new(provider, TOPIC);
    let theirs: BaseProducer<_> =
        BaseProducer::from_config_and_context(&config, Ending(DefaultProducerContext)).unwrap();
    let ours = instrumentation(provider, false).base_producer(&config).unwrap();
    let payload = [b'x'; 100];
    let floor = |()| theirs.send(spans.record(TOPIC, &payload)).is_ok();
    let send = |()| ours.send(BaseRecord::<(), _>::to(TOPIC).payload(&payload)).is_ok();
    Row::new(meter, row, || make_room(&theirs), floor).and("own", || make_room(ours.inner()), send);
}

fn by_hand(tracer: &SdkTracer, parent: &Context, message: &OwnedMessage, is_recorded: bool) -> Context {
    let topic = message.topic();
    let mut attributes = Vec::with_capacity(10);
    attributes.extend([
        KeyValue::new("messaging.system", "kafka"),
        KeyValue::new("messaging.operation.name", "process"),
        KeyValue::new("messaging.operation.type", "process"),
        KeyValue::new("messaging.destination.name", topic.to_owned()),
    ]);
    attributes.push(KeyValue::new("messaging.destination.partition.id", message.partition().to_string()));
    if is_recorded {
        attributes.push(KeyValue::new("messaging.kafka.offset", message.offset()));
    }
    span(tracer, parent, SpanKind::Consumer, format!("process {topic}"), attributes)
}
