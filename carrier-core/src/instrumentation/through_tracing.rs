//! Spans that start as `tracing` spans.

use std::sync::Arc;

use opentelemetry::Context;
use opentelemetry::trace::{SpanBuilder, SpanKind, TraceContextExt as _};
use tracing::Span;
use tracing_opentelemetry::OpenTelemetrySpanExt as _;

use super::details::Details;
use super::span::{AnyTracer, Recording};
use super::traced;

/// Starts `tracing` spans. tracing-opentelemetry starts OpenTelemetry's with the tracer of its layer.
pub(super) struct ThroughTracing {
    /// Starts the spans of receive calls: only a tracer can start a span at an earlier time.
    pub(super) tracer: Arc<dyn AnyTracer>,
}

impl AnyTracer for ThroughTracing {
    fn start(
        &self,
        builder: SpanBuilder,
        parent: &Context,
        details: &mut dyn FnMut(&mut Details<'_>),
    ) -> (Context, Recording) {
        let span = traced::open(&builder, parent);
        if span.is_disabled() {
            return (parent.clone(), Recording::default());
        }
        let (context, is_recording) = match traced::is_receive(&span) {
            true => self.start_received(&span, builder, parent, details),
            false => start(&span, builder, parent, details),
        };
        (traced::within(&context, span), Recording { is_recording, is_traced: true })
    }
}

impl ThroughTracing {
    /// Starts the span with our own tracer, if the layer would start one. The layer gets a parent that suppresses its span.
    fn start_received(
        &self,
        span: &Span,
        builder: SpanBuilder,
        parent: &Context,
        details: &mut dyn FnMut(&mut Details<'_>),
    ) -> (Context, bool) {
        let has_layer = span.set_parent(Context::new().with_telemetry_suppressed()).is_ok();
        if !has_layer || !span.context().is_telemetry_suppressed() {
            details(&mut Details(&mut |attribute| {
                traced::record(span, &attribute);
            }));
            return (parent.clone(), false);
        }
        let (context, recording) = self.tracer.start(builder, parent, &mut |of_span| {
            details(&mut Details(&mut |attribute| {
                traced::record(span, &attribute);
                of_span.set(attribute.key, attribute.value);
            }));
        });
        (context, recording.is_recording)
    }
}

/// Starts the layer's span, if there is an OpenTelemetry layer and no filter hides the span from it.
fn start(
    span: &Span,
    builder: SpanBuilder,
    parent: &Context,
    details: &mut dyn FnMut(&mut Details<'_>),
) -> (Context, bool) {
    let started = match span.set_parent(parent.clone()) {
        Ok(()) => Some(started(span, builder)),
        Err(_) => None,
    };
    // Without a provider the layer's span has no ids, or the parent's.
    let is_own = |own: &Context| own.span().span_context().is_valid() && !traced::is_same(own, parent);
    let started = started.filter(is_own);
    let is_recording = started.as_ref().is_some_and(|own| own.span().is_recording());
    let context = started.unwrap_or_else(|| parent.clone());
    let of_span = context.span();
    details(&mut Details(&mut |attribute| {
        if !traced::record(span, &attribute) && is_recording {
            of_span.set_attribute(attribute);
        }
    }));
    (context.clone(), is_recording)
}

/// Sets all that a sampler may read, and starts the span: the first call of `context` does.
fn started(span: &Span, builder: SpanBuilder) -> Context {
    span.record(traced::NAME, &*builder.name);
    span.record(traced::KIND, kind(builder.span_kind));
    for link in builder.links.into_iter().flatten() {
        span.add_link_with_attributes(link.span_context, link.attributes);
    }
    for attribute in builder.attributes.into_iter().flatten() {
        if !traced::is_at_start(&attribute) {
            span.set_attribute(attribute.key, attribute.value);
        }
    }
    span.context()
}

fn kind(kind: Option<SpanKind>) -> &'static str {
    match kind {
        Some(SpanKind::Producer) => "producer",
        Some(SpanKind::Consumer) => "consumer",
        _ => "client",
    }
}
