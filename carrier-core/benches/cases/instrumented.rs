//! Level 2: a span around what level 1 does, against the same span by hand.

use std::borrow::Cow;
use std::sync::Arc;

use carrier_core::instrumentation::{Destination, Incoming, Instrumentation, attribute};
use carrier_core::{FieldValue, Fields, Propagation, TextMapCarrier, TextMapReader};
use carrier_measure::{Meter, PARENT, Row, UNSAMPLED, context, recorded, span, unsampled};
use opentelemetry::trace::{SpanKind, TraceContextExt as _, TracerProvider as _};
use opentelemetry::{Context, KeyValue, StringValue};
use opentelemetry_sdk::trace::{SdkTracer, SdkTracerProvider};

use super::own;

pub fn all(meter: &mut impl Meter) {
    let _caller = context().attach();
    send(meter, "core: send, not recorded", unsampled(), true);
    send(meter, "core: send, recorded, without level 1", recorded(), false);
    send(meter, "core: send, recorded", recorded(), true);
    process(meter, "core: process, not recorded", unsampled(), true);
    process(meter, "core: process, recorded, without level 1", recorded(), false);
    process(meter, "core: process, recorded", recorded(), true);
    skipped(meter);
}

/// The instrumentation, its propagation, and the same provider's tracer for the floor.
fn instrumented(
    provider: SdkTracerProvider,
    skip_unsampled: bool,
) -> (Instrumentation, Propagation, SdkTracer) {
    let builder = Instrumentation::builder("queue").tracer_provider(provider.clone()).propagation(own());
    let builder = builder.server("broker", Some(5672)).metrics(false).skip_unsampled(skip_unsampled);
    (builder.build(), own(), provider.tracer("by hand"))
}

/// Headers that cost as little as headers can.
#[derive(Default)]
struct Headers(Vec<(Cow<'static, str>, String)>);

impl TextMapReader for Headers {
    fn keys(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(|(key, _)| &**key)
    }

    fn get_all<'a>(&'a self, key: &str) -> impl Iterator<Item = FieldValue<'a>> {
        self.0.iter().filter(move |(name, _)| *name == key).map(|(_, value)| value.into())
    }
}

impl TextMapCarrier for Headers {
    fn replace(&mut self, fields: &mut Fields<'_>) {
        self.0.retain(|(name, _)| !fields.replaces(name));
        self.0.extend(fields.take_entries().map(|(key, value)| (Cow::Owned(key.into_owned()), value)));
    }
}

fn received(parent: &str) -> Headers {
    Headers(vec![("traceparent".into(), parent.to_owned())])
}

/// What is the same for every message, as somebody has it who minds the cost.
struct Names {
    topic: Arc<str>,
    server: Arc<str>,
}

impl Names {
    fn new() -> Self {
        Self { topic: "orders".into(), server: "broker".into() }
    }

    fn destination(&self) -> Destination {
        Destination::new(StringValue::from(Arc::clone(&self.topic)))
    }

    fn attributes(&self, operation: &'static str) -> Vec<KeyValue> {
        vec![
            KeyValue::new(attribute::MESSAGING_SYSTEM, "queue"),
            KeyValue::new(attribute::SERVER_ADDRESS, Arc::clone(&self.server)),
            KeyValue::new(attribute::SERVER_PORT, 5672),
            KeyValue::new(attribute::MESSAGING_OPERATION_NAME, operation),
            KeyValue::new(attribute::MESSAGING_OPERATION_TYPE, operation),
            KeyValue::new(attribute::MESSAGING_DESTINATION_NAME, Arc::clone(&self.topic)),
        ]
    }
}

fn send(meter: &mut impl Meter, row: &str, provider: SdkTracerProvider, is_propagated: bool) {
    let (ours, level_1, tracer) = instrumented(provider, false);
    let names = Names::new();
    let row = Row::new(meter, row, Headers::default, |mut headers: Headers| {
        let (name, attributes) = (format!("send {}", names.topic), names.attributes("send"));
        let cx = span(&tracer, &Context::current(), SpanKind::Producer, name, attributes, None);
        if is_propagated {
            level_1.inject(&cx, &mut headers);
        }
        cx.span().end();
        drop(cx);
        headers
    });
    row.and("own", Headers::default, |mut headers| {
        ours.send(names.destination(), &mut headers, |_| {}).succeeded();
        headers
    });
}

fn process(meter: &mut impl Meter, row: &str, provider: SdkTracerProvider, is_propagated: bool) {
    // The span around is there for those who send; a consumer that runs in one gets a link more.
    let _nobody = Context::new().attach();
    let (ours, level_1, tracer) = instrumented(provider, false);
    let (names, message, sender) = (Names::new(), received(PARENT), context());
    let make = || &message;
    let row = Row::new(meter, row, make, |message: &Headers| {
        let parent = if is_propagated { level_1.extract(message) } else { sender.clone() };
        let (name, attributes) = (format!("process {}", names.topic), names.attributes("process"));
        let sender = parent.span().span_context().clone();
        let cx = span(&tracer, &parent, SpanKind::Consumer, name, attributes, Some(sender));
        cx.span().end();
    });
    row.and("own", make, |message| {
        drop(ours.process(Incoming::new(names.destination()), message, |_| {}));
    });
}

/// Below a parent that nobody sampled there is nothing left but level 1.
fn skipped(meter: &mut impl Meter) {
    let (ours, level_1, _) = instrumented(unsampled(), true);
    let (names, message) = (Names::new(), received(UNSAMPLED));
    let caller = level_1.extract(&message).attach();
    let row = Row::new(meter, "core: send, skipped", Headers::default, |mut headers: Headers| {
        level_1.inject(&Context::current(), &mut headers);
        headers
    });
    row.and("own", Headers::default, |mut headers| {
        ours.send(names.destination(), &mut headers, |_| {}).succeeded();
        headers
    });
    drop(caller);
    let _nobody = Context::new().attach();
    let make = || &message;
    let row = Row::new(meter, "core: process, skipped", make, |message: &Headers| {
        drop(level_1.extract(message));
    });
    row.and("own", make, |message| {
        drop(ours.process(Incoming::new(names.destination()), message, |_| {}));
    });
}

/// One span of ours and one by hand for each of the rows: that they are the same is a test's to say.
pub fn pairs(provider: &SdkTracerProvider) {
    let _nobody = Context::new().attach();
    let builder = Instrumentation::builder("queue").tracer_provider(provider.clone()).propagation(own());
    let ours = builder.server("broker", Some(5672)).metrics(false).build();
    let (tracer, names, message) = (provider.tracer("by hand"), Names::new(), received(PARENT));
    let root = Context::new();
    let send = format!("send {}", names.topic);
    span(&tracer, &root, SpanKind::Producer, send, names.attributes("send"), None).span().end();
    ours.send(names.destination(), &mut Headers::default(), |_| {}).succeeded();
    let parent = own().extract(&message);
    let (name, sender) = (format!("process {}", names.topic), parent.span().span_context().clone());
    span(&tracer, &parent, SpanKind::Consumer, name, names.attributes("process"), Some(sender)).span().end();
    drop(ours.process(Incoming::new(names.destination()), &message, |_| {}));
}
