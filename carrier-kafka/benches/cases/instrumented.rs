//! Level 2: the span of a message that is processed, against the same span by hand.
#![allow(clippy::cast_possible_wrap, reason = "the size of a small message")]

use carrier_kafka::{Instrumentation, extract_with};
use carrier_measure::{Meter, PARENT, Row, UNSAMPLED, recorded, span, unsampled};
use opentelemetry::trace::{SpanKind, TraceContextExt as _, TracerProvider as _};
use opentelemetry::{Context, KeyValue};
use opentelemetry_sdk::trace::{SdkTracer, SdkTracerProvider};
use rdkafka::Timestamp;
use rdkafka::message::{Message as _, OwnedHeaders, OwnedMessage};

use super::own;

pub fn all(meter: &mut impl Meter) {
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
