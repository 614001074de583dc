//! Level 2: the span of a message that is processed, against the same span by hand.
#![allow(clippy::cast_possible_wrap, reason = "the size of a small message")]

use carrier_amqp::{Instrumentation, extract_with};
use carrier_measure::{Process, own, span};
use lapin::message::Delivery;
use opentelemetry::trace::SpanKind;
use opentelemetry::{Context, KeyValue};
use opentelemetry_sdk::trace::SdkTracer;

pub const PROCESS: Process<Delivery, Instrumentation> = Process {
    area: "amqp",
    message: |parent| {
        // As the default exchange delivers it.
        let mut delivery = Delivery::mock(7, "".into(), "orders".into(), false, vec![b'x'; 100]);
        delivery.properties = super::received(0, &[("traceparent", parent)]);
        delivery
    },
    extract: |own, message| extract_with(own, message),
    by_hand,
    instrumentation: |provider, skip_unsampled| {
        let builder = Instrumentation::builder().tracer_provider(provider.clone()).propagation(own());
        builder.metrics(false).skip_unsampled(skip_unsampled).build()
    },
    process: |ours, message| drop(ours.process("orders", message)),
};

fn by_hand(tracer: &SdkTracer, parent: &Context, message: &Delivery, is_recorded: bool) -> Context {
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
            KeyValue::new("carrier.settlement", "not_settled"),
        ]);
    }
    span(tracer, parent, SpanKind::Consumer, format!("process {topic}"), attributes)
}
