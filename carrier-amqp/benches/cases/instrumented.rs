//! Level 2: the span of a message that is processed, against the same span by hand.
#![allow(clippy::cast_possible_wrap, reason = "the size of a small message")]

use carrier_amqp::{Instrumentation, extract_with};
use carrier_measure::{Meter, PARENT, Row, UNSAMPLED, recorded, span, unsampled};
use lapin::message::Delivery;
use opentelemetry::trace::{SpanKind, TraceContextExt as _, TracerProvider as _};
use opentelemetry::{Context, KeyValue};
use opentelemetry_sdk::trace::{SdkTracer, SdkTracerProvider};

use super::own;

pub fn all(meter: &mut impl Meter) {
    process(meter, "amqp: process, not recorded", &unsampled(), false);
    process(meter, "amqp: process, recorded", &recorded(), true);
    skipped(meter);
}

/// A delivery of the default exchange's, with one header.
fn message(parent: &str) -> Delivery {
    let mut delivery = Delivery::mock(7, "".into(), "orders".into(), false, vec![b'x'; 100]);
    let mut headers = super::user_headers(0);
    headers.insert("traceparent".into(), super::text(parent));
    delivery.properties = delivery.properties.with_headers(headers);
    delivery
}

fn instrumentation(provider: &SdkTracerProvider) -> Instrumentation {
    Instrumentation::builder().tracer_provider(provider.clone()).propagation(own()).metrics(false).build()
}

/// The span by hand: what a sampler may want in any case, and the rest where it is recorded.
fn by_hand(tracer: &SdkTracer, parent: &Context, message: &Delivery, is_recorded: bool) {
    let topic = message.routing_key.as_str();
    let mut attributes = Vec::with_capacity(10);
    attributes.extend([
        KeyValue::new("messaging.system", "rabbitmq"),
        KeyValue::new("messaging.operation.name", "process"),
        KeyValue::new("messaging.operation.type", "process"),
        KeyValue::new("messaging.destination.name", topic.to_owned()),
    ]);
    if is_recorded {
        attributes.extend([
            KeyValue::new(
                "messaging.rabbitmq.destination.routing_key",
                message.routing_key.as_str().to_owned(),
            ),
            KeyValue::new("messaging.rabbitmq.message.delivery_tag", 7),
            KeyValue::new("messaging.message.body.size", message.data.len() as i64),
            KeyValue::new("carrier.settlement", "not_settled"),
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
    let row = Row::new(meter, row, make, |message: &Delivery| {
        by_hand(&tracer, &extract_with(&level_1, message), message, is_recorded);
    });
    row.and("own", make, |message| drop(ours.process("orders", message)));
}

/// Below a sender that nobody sampled there is nothing left but level 1.
fn skipped(meter: &mut impl Meter) {
    let builder = Instrumentation::builder().tracer_provider(unsampled()).propagation(own());
    let (ours, level_1) = (builder.metrics(false).skip_unsampled(true).build(), own());
    let message = message(UNSAMPLED);
    let make = || &message;
    let row = Row::new(meter, "amqp: process, skipped", make, |message: &Delivery| {
        drop(extract_with(&level_1, message));
    });
    row.and("own", make, |message| drop(ours.process("orders", message)));
}

/// One span by hand and one of ours: that they are the same is a test's to say.
pub fn pair(provider: &SdkTracerProvider) {
    let (message, level_1) = (message(PARENT), own());
    by_hand(&provider.tracer("by hand"), &extract_with(&level_1, &message), &message, true);
    let ours = instrumentation(provider);
    let message = &message;
    drop(ours.process("orders", message));
}
