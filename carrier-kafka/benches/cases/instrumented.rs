//! Level 2: the span of a message that is sent or processed, against the same span by hand.
#![allow(clippy::cast_possible_wrap, reason = "the size of a small message")]

use std::sync::Arc;
use std::time::Duration;

use carrier_kafka::{Instrumentation, extract_with, inject_with};
use carrier_measure::{Meter, PARENT, Row, UNSAMPLED, context, recorded, span, unsampled};
use opentelemetry::trace::{SpanKind, TraceContextExt as _, TracerProvider as _};
use opentelemetry::{Context, KeyValue};
use opentelemetry_sdk::trace::{SdkTracer, SdkTracerProvider};
use rdkafka::config::FromClientConfigAndContext as _;
use rdkafka::message::{Message as _, OwnedHeaders, OwnedMessage};
use rdkafka::producer::{
    BaseProducer, BaseRecord, DefaultProducerContext, DeliveryResult, Producer as _, ProducerContext,
    PurgeConfig,
};
use rdkafka::{ClientConfig, ClientContext, Timestamp};

use super::own;

pub fn all(meter: &mut impl Meter) {
    send(meter, "kafka: send, not recorded", &unsampled(), false);
    send(meter, "kafka: send, recorded", &recorded(), true);
    process(meter, "kafka: process, not recorded", &unsampled(), false);
    process(meter, "kafka: process, recorded", &recorded(), true);
    skipped(meter);
}

/// A record with one header.
fn message(parent: &str) -> OwnedMessage {
    let headers = super::add(OwnedHeaders::new(), "traceparent", parent);
    let (payload, time) = (Some(vec![b'x'; 100]), Timestamp::NotAvailable);
    OwnedMessage::new(payload, None, "orders".to_owned(), time, 3, 7, Some(headers))
}

fn instrumentation(provider: &SdkTracerProvider) -> Instrumentation {
    Instrumentation::builder().tracer_provider(provider.clone()).propagation(own()).metrics(false).build()
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

/// The span by hand, which ends with its delivery.
struct Ending;

impl ClientContext for Ending {}

impl ProducerContext for Ending {
    type DeliveryOpaque = Box<Context>;

    fn delivery(&self, _: &DeliveryResult<'_>, cx: Box<Context>) {
        cx.span().end();
    }
}

fn send(meter: &mut impl Meter, row: &str, provider: &SdkTracerProvider, is_recorded: bool) {
    let _caller = context().attach();
    let config = ClientConfig::new();
    let (ours, level_1, tracer) = (instrumentation(provider), own(), provider.tracer("by hand"));
    let theirs: BaseProducer<Ending> = BaseProducer::from_config_and_context(&config, Ending).unwrap();
    let ours = ours.base_producer(&config, DefaultProducerContext).unwrap();
    let (topic, payload): (Arc<str>, _) = (TOPIC.into(), [b'x'; 100]);
    let row = Row::new(
        meter,
        row,
        || make_room(&theirs),
        |()| {
            let mut attributes = Vec::with_capacity(5);
            attributes.extend([
                KeyValue::new("messaging.system", "kafka"),
                KeyValue::new("messaging.operation.name", "send"),
                KeyValue::new("messaging.operation.type", "send"),
                KeyValue::new("messaging.destination.name", Arc::clone(&topic)),
            ]);
            if is_recorded {
                attributes.push(KeyValue::new("messaging.message.body.size", payload.len() as i64));
            }
            let name = format!("send {topic}");
            let cx = span(&tracer, &Context::current(), SpanKind::Producer, name, attributes, None);
            let mut headers = OwnedHeaders::new_with_capacity(1);
            inject_with(&level_1, &cx, &mut headers);
            let record = BaseRecord::<(), _, _>::with_opaque_to(TOPIC, Box::new(cx));
            theirs.send(record.payload(&payload).headers(headers)).is_ok()
        },
    );
    row.and(
        "own",
        || make_room(&ours),
        |()| ours.send(BaseRecord::<(), _>::to(TOPIC).payload(&payload)).is_ok(),
    );
}

/// The span by hand: what a sampler may want in any case, and the rest where it is recorded.
fn by_hand(tracer: &SdkTracer, parent: &Context, message: &OwnedMessage, is_recorded: bool) {
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
        let size = message.payload().map_or(0, <[u8]>::len) as i64;
        attributes.extend([
            KeyValue::new("messaging.kafka.offset", message.offset()),
            KeyValue::new("messaging.message.body.size", size),
        ]);
    }
    let sender = parent.span().span_context().clone();
    let name = format!("process {topic}");
    span(tracer, parent, SpanKind::Consumer, name, attributes, Some(sender)).span().end();
}

fn process(meter: &mut impl Meter, row: &str, provider: &SdkTracerProvider, is_recorded: bool) {
    let (ours, level_1, tracer) = (instrumentation(provider), own(), provider.tracer("by hand"));
    let message = message(PARENT);
    let make = || &message;
    let row = Row::new(meter, row, make, |message: &OwnedMessage| {
        by_hand(&tracer, &extract_with(&level_1, message), message, is_recorded);
    });
    row.and("own", make, |message| drop(ours.process(message)));
}

/// Below a sender that nobody sampled there is nothing left but level 1.
fn skipped(meter: &mut impl Meter) {
    let builder = Instrumentation::builder().tracer_provider(unsampled()).propagation(own());
    let (ours, level_1) = (builder.metrics(false).skip_unsampled(true).build(), own());
    let message = message(UNSAMPLED);
    let make = || &message;
    let row = Row::new(meter, "kafka: process, skipped", make, |message: &OwnedMessage| {
        drop(extract_with(&level_1, message));
    });
    row.and("own", make, |message| drop(ours.process(message)));
}

/// One span by hand and one of ours: that they are the same is a test's to say.
pub fn pair(provider: &SdkTracerProvider) {
    let (message, level_1) = (message(PARENT), own());
    by_hand(&provider.tracer("by hand"), &extract_with(&level_1, &message), &message, true);
    let ours = instrumentation(provider);
    let message = &message;
    drop(ours.process(message));
}
