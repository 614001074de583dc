//! What is injected, extracted and recorded in all measurements, and the floors of reading and of spans.

use opentelemetry::baggage::{Baggage, BaggageExt};
use opentelemetry::trace::{SpanContext, SpanKind, TraceContextExt, TraceFlags, TraceState, Tracer};
use opentelemetry::{Context, KeyValue};
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::trace::{Sampler, SdkTracer, SdkTracerProvider, Span, SpanData, SpanProcessor};

use crate::by_hand::parse_parent;

/// The `traceparent` of [`context`].
pub const PARENT: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

/// The same with the sampled flag cleared.
pub const UNSAMPLED: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00";

/// The fields of [`full_context`]; the first is the only one of [`context`].
pub const ALL: [(&str, &str); 3] = [
    ("traceparent", PARENT),
    ("tracestate", "rojo=00f067aa0ba902b7,congo=t61rcWkgMzE,vendor=p:8;r:62"),
    ("baggage", "region=eu-central-1,tenant=acme,user=4711"),
];

/// A sampled remote context without `tracestate` and baggage.
pub fn context() -> Context {
    extract_one(PARENT.as_bytes()).unwrap_or_default()
}

/// The same with three members of `tracestate` and three of baggage.
pub fn full_context() -> Context {
    let [parent, state, baggage] = ALL.map(|(_, value)| value.as_bytes());
    extract_all(parent, state, baggage).unwrap_or_default()
}

/// Returns a `tracestate`, which must be valid.
pub fn state(header: &str) -> TraceState {
    let members = header.split(',').filter_map(|member| member.split_once('='));
    TraceState::from_key_value(members).unwrap_or_default()
}

/// The floor of extraction: a context with the span of a `traceparent`.
pub fn extract_one(parent: &[u8]) -> Option<Context> {
    extract(parent, TraceState::NONE)
}

/// The same with a `tracestate`.
pub fn extract(parent: &[u8], state: TraceState) -> Option<Context> {
    let (trace, span, flags) = parse_parent(parent)?;
    let span = SpanContext::new(trace.into(), span.into(), TraceFlags::new(flags), true, state);
    Some(Context::new().with_remote_span_context(span))
}

/// The same with all fields, the lists cut at its commas and not decoded.
pub fn extract_all(parent: &[u8], tracestate: &[u8], baggage: &[u8]) -> Option<Context> {
    let cx = extract(parent, state(std::str::from_utf8(tracestate).ok()?))?;
    let members = std::str::from_utf8(baggage).ok()?.split(',').filter_map(|member| member.split_once('='));
    let mut baggage = Baggage::new();
    for (key, value) in members {
        let _ = baggage.insert(key.to_owned(), value.to_owned());
    }
    Some(cx.with_baggage(baggage))
}

/// A provider whose sampler says no.
pub fn unsampled() -> SdkTracerProvider {
    SdkTracerProvider::builder().with_sampler(Sampler::AlwaysOff).with_span_processor(Nowhere).build()
}

/// A provider whose sampler says yes, and whose processor drops the span: the cost of an exporter is its own.
pub fn recorded() -> SdkTracerProvider {
    SdkTracerProvider::builder().with_sampler(Sampler::AlwaysOn).with_span_processor(Nowhere).build()
}

#[derive(Debug)]
struct Nowhere;

impl SpanProcessor for Nowhere {
    fn on_start(&self, _: &mut Span, _: &Context) {}

    fn on_end(&self, span: SpanData) {
        drop(span);
    }

    fn force_flush(&self) -> OTelSdkResult {
        Ok(())
    }

    fn shutdown_with_timeout(&self, _: std::time::Duration) -> OTelSdkResult {
        Ok(())
    }
}

/// The floor of a span: starts one, and returns the context that contains it.
pub fn span(
    tracer: &SdkTracer,
    parent: &Context,
    kind: SpanKind,
    name: String,
    attributes: Vec<KeyValue>,
) -> Context {
    let builder = tracer.span_builder(name).with_kind(kind).with_attributes(attributes);
    parent.with_span(builder.start_with_context(tracer, parent))
}
