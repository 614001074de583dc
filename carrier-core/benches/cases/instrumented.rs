//! Level 2: a span around what level 1 does, against the same span by hand.

use std::sync::Arc;

use carrier_core::instrumentation::{Destination, Incoming, Instrumentation};
use carrier_measure::{Meter, Process, Row, UNSAMPLED, context, own, recorded, span, unsampled};
use opentelemetry::trace::{SpanKind, TraceContextExt as _, TracerProvider as _};
use opentelemetry::{Context, KeyValue, StringValue};
use opentelemetry_sdk::trace::{SdkTracer, SdkTracerProvider};

pub type Headers = Vec<(String, String)>;

pub const PROCESS: Process<(Topic, Headers), Instrumentation> = Process {
    area: "core",
    message: |parent| (topic(), vec![("traceparent".to_owned(), parent.to_owned())]),
    extract: |own, (_, headers)| own.extract(headers),
    by_hand: |tracer, parent, (topic, _), _| {
        let name = format!("process {}", topic.0);
        let attributes = attributes("process", topic);
        span(tracer, parent, SpanKind::Consumer, name, attributes)
    },
    instrumentation,
    process: |ours, (topic, headers)| {
        drop(ours.process(Incoming::new(destination(topic)), headers, |_| {}));
    },
};

pub fn all(meter: &mut impl Meter) {
    let caller = context().attach();
    send(meter, "core: send, not recorded", &unsampled());
    send(meter, "core: send, recorded", &recorded());
    drop(caller);
    PROCESS.rows(meter);
    skipped(meter);
}

/// One span of ours and one by hand for each of the rows: a test compares them.
pub fn pairs(provider: &SdkTracerProvider) {
    send_by_hand(&provider.tracer("by hand"), &topic()).span().end();
    send_ours(&instrumentation(provider, false), &topic(), Headers::new());
    PROCESS.pair(provider);
}

fn instrumentation(provider: &SdkTracerProvider, skip_unsampled: bool) -> Instrumentation {
    let builder = Instrumentation::builder("queue").tracer_provider(provider.clone()).propagation(own());
    builder.server("broker", Some(5672)).metrics(false).skip_unsampled(skip_unsampled).build()
}

/// The names that are the same for every message, in the form that costs least: of the topic, and of the server.
pub type Topic = (Arc<str>, Arc<str>);

fn topic() -> Topic {
    ("orders".into(), "broker".into())
}

fn destination((topic, _): &Topic) -> Destination {
    Destination::new(StringValue::from(Arc::clone(topic)))
}

fn attributes(operation: &'static str, (topic, server): &Topic) -> Vec<KeyValue> {
    vec![
        KeyValue::new("messaging.system", "queue"),
        KeyValue::new("server.address", Arc::clone(server)),
        KeyValue::new("server.port", 5672),
        KeyValue::new("messaging.operation.name", operation),
        KeyValue::new("messaging.operation.type", operation),
        KeyValue::new("messaging.destination.name", Arc::clone(topic)),
    ]
}

fn send_by_hand(tracer: &SdkTracer, topic: &Topic) -> Context {
    let (name, attributes) = (format!("send {}", topic.0), attributes("send", topic));
    span(tracer, &Context::current(), SpanKind::Producer, name, attributes)
}

pub fn send_ours(ours: &Instrumentation, topic: &Topic, mut headers: Headers) -> Headers {
    ours.send(|| destination(topic), &mut headers, |_| {}).ended(Ok(()));
    headers
}

fn send(meter: &mut impl Meter, row: &str, provider: &SdkTracerProvider) {
    let (ours, level_1, topic) = (instrumentation(provider, false), own(), topic());
    let tracer = provider.tracer("by hand");
    let row = Row::new(meter, row, Headers::new, |mut headers: Headers| {
        let cx = send_by_hand(&tracer, &topic);
        level_1.inject(&cx, &mut headers);
        cx.span().end();
        drop(cx);
        headers
    });
    row.and("own", Headers::new, |headers| send_ours(&ours, &topic, headers));
}

/// Level 1 alone is left below a parent that was not sampled.
fn skipped(meter: &mut impl Meter) {
    let (ours, level_1) = (instrumentation(&unsampled(), true), own());
    let (topic, parent) = (PROCESS.message)(UNSAMPLED);
    let _caller = level_1.extract(&parent).attach();
    let row = Row::new(meter, "core: send, skipped", Headers::new, |mut headers: Headers| {
        level_1.inject(&Context::current(), &mut headers);
        headers
    });
    row.and("own", Headers::new, |headers| send_ours(&ours, &topic, headers));
}
