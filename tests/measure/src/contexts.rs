//! What is injected and extracted in all measurements.

use opentelemetry::baggage::BaggageExt;
use opentelemetry::global::set_text_map_propagator;
use opentelemetry::propagation::TextMapPropagator;
use opentelemetry::trace::noop::NoopTextMapPropagator;
use opentelemetry::trace::{SpanContext, TraceContextExt, TraceFlags, TraceState};
use opentelemetry::{Context, KeyValue};

/// The `traceparent` of [`context`].
pub const PARENT: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

/// The same where nobody sampled it.
pub const UNSAMPLED: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00";

/// The `tracestate` of [`full_context`].
pub const STATE: &str = "rojo=00f067aa0ba902b7,congo=t61rcWkgMzE,vendor=p:8;r:62";

/// The `baggage` of [`full_context`].
pub const BAGGAGE: &str = "region=eu-central-1,tenant=acme,user=4711";

/// A sampled remote context without `tracestate` and baggage.
pub fn context() -> Context {
    with_state(TraceState::NONE)
}

/// The same with three members of `tracestate` and three of baggage.
pub fn full_context() -> Context {
    with_state(state(STATE)).with_baggage(baggage())
}

/// A `tracestate`, which must be valid.
pub fn state(header: &str) -> TraceState {
    TraceState::from_key_value(header.split(',').filter_map(|member| member.split_once('=')))
        .unwrap_or_default()
}

fn with_state(state: TraceState) -> Context {
    let (trace, span) = (0x0af7651916cd43dd8448eb211c80319c_u128, 0xb7ad6b7169203331_u64);
    let span = SpanContext::new(trace.into(), span.into(), TraceFlags::SAMPLED, true, state);
    Context::new().with_remote_span_context(span)
}

fn baggage() -> impl Iterator<Item = KeyValue> {
    BAGGAGE
        .split(',')
        .filter_map(|member| member.split_once('='))
        .map(|(key, value)| KeyValue::new(key, value))
}

/// Registers a propagator for the whole process.
pub fn register(propagator: impl TextMapPropagator + Send + Sync + 'static) {
    set_text_map_propagator(propagator);
}

/// Makes the process one in which nothing is registered: OpenTelemetry's default is this no-op.
pub fn register_nothing() {
    set_text_map_propagator(NoopTextMapPropagator::new());
}
