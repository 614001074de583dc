//! Level 2 through `tracing`, against the same span by hand with `tracing` and its OpenTelemetry layer.

use carrier_core::Propagation;
use carrier_core::instrumentation::Instrumentation;
use carrier_measure::{Meter, Row, own, recorded};
use opentelemetry::trace::TracerProvider as _;
use opentelemetry_sdk::trace::SdkTracerProvider;
use tracing::subscriber::DefaultGuard;
use tracing_opentelemetry::OpenTelemetrySpanExt as _;
use tracing_subscriber::layer::SubscriberExt as _;

use super::instrumented::{Headers, PROCESS, Topic, send_ours};

pub fn all(meter: &mut impl Meter) {
    let (_default, ours, level_1) = (layer(&recorded()), instrumentation(), own());
    let message = (PROCESS.message)(carrier_measure::PARENT);
    let (topic, make) = (&message.0, || &message);
    let row = "core: send through tracing, recorded";
    let row = Row::new(meter, row, Headers::new, |headers| send_by_hand(&level_1, topic, headers));
    row.and("own", Headers::new, |headers| send_ours(&ours, topic, headers));
    let row = "core: process through tracing, recorded";
    let row = Row::new(meter, row, make, |message| process_by_hand(&level_1, message));
    row.and("own", make, |message| (PROCESS.process)(&ours, message));
}

/// As `instrumented::pairs`.
pub fn pairs(provider: &SdkTracerProvider) {
    let (_default, ours, level_1) = (layer(provider), instrumentation(), own());
    let message = (PROCESS.message)(carrier_measure::PARENT);
    send_by_hand(&level_1, &message.0, Headers::new());
    send_ours(&ours, &message.0, Headers::new());
    process_by_hand(&level_1, &message);
    (PROCESS.process)(&ours, &message);
}

fn layer(provider: &SdkTracerProvider) -> DefaultGuard {
    let layer = tracing_opentelemetry::layer().with_tracer(provider.tracer("layer")).with_location(false);
    let layer = layer.with_threads(false).with_target(false).with_tracked_inactivity(false);
    tracing::subscriber::set_default(tracing_subscriber::registry().with(layer))
}

fn instrumentation() -> Instrumentation {
    let builder = Instrumentation::builder("queue").tracing_spans(true).propagation(own());
    builder.server("broker", Some(5672)).metrics(false).build()
}

/// A span with the fields that the instrumentation's has.
#[rustfmt::skip]
macro_rules! by_hand {
    ($operation:literal, $kind:literal, $topic:expr) => {
        tracing::info_span!(
            $operation,
            otel.name = concat!($operation, " ").to_owned() + &$topic.0, otel.kind = $kind,
            messaging.system = "queue", server.address = &*$topic.1, server.port = 5672,
            messaging.operation.name = $operation, "messaging.operation.type" = $operation,
            messaging.destination.name = &*$topic.0,
        )
    };
}

fn send_by_hand(level_1: &Propagation, topic: &Topic, mut headers: Headers) -> Headers {
    let span = by_hand!("send", "producer", topic);
    level_1.inject(&span.context(), &mut headers);
    headers
}

fn process_by_hand(level_1: &Propagation, (topic, headers): &(Topic, Headers)) {
    let span = by_hand!("process", "consumer", topic);
    if span.set_parent(level_1.extract(headers)).is_ok() {
        drop(span.context());
    }
}
