//! `traceparent` and `tracestate` together.

use std::sync::LazyLock;

use opentelemetry::Context;
use opentelemetry::propagation::text_map_propagator::FieldIter;
use opentelemetry::propagation::{Extractor, Injector, TextMapPropagator};
use opentelemetry::trace::{SpanContext, TraceContextExt};

use super::traceparent::TraceParent;
use super::tracestate;
use crate::read::{Copies, joined, single};
use crate::{FromExtractor, TextMapReader};

pub(crate) const TRACEPARENT: &str = "traceparent";
pub(crate) const TRACESTATE: &str = "tracestate";

static FIELDS: LazyLock<[String; 2]> = LazyLock::new(|| [TRACEPARENT, TRACESTATE].map(str::to_owned));

/// The W3C Trace Context propagator, strict: what is not exactly valid is no context.
///
/// Reads and writes `traceparent` and `tracestate` (W3C Trace Context level 2). The name differs from the SDK's
/// `TraceContextPropagator`, so that a reader of the code sees which one is registered. An empty `tracestate` is never
/// sent; a bad one does not affect `traceparent`; the random flag is kept.
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub struct W3cTraceContext;

impl W3cTraceContext {
    /// The propagator; it has no settings.
    pub fn new() -> Self {
        Self
    }
}

impl TextMapPropagator for W3cTraceContext {
    fn inject_context(&self, cx: &Context, injector: &mut dyn Injector) {
        let span = cx.span();
        let span = span.span_context();
        let Some(parent) = TraceParent::of(span) else {
            return;
        };
        injector.set(TRACEPARENT, ascii(&parent.format()));
        let state = tracestate::format(span.trace_state());
        if !state.is_empty() {
            injector.set(TRACESTATE, state);
        }
    }

    fn extract_with_context(&self, cx: &Context, extractor: &dyn Extractor) -> Context {
        match read(&FromExtractor(extractor)) {
            Some(span) => cx.with_remote_span_context(span),
            None => cx.clone(),
        }
    }

    fn fields(&self) -> FieldIter<'_> {
        FieldIter::new(&*FIELDS)
    }
}

/// The span context in a carrier.
pub(crate) fn read<R: TextMapReader>(reader: &R) -> Option<SpanContext> {
    let (parent, copies) = single(reader, TRACEPARENT, TraceParent::parse)?;
    let state = match copies {
        Copies::Agree => joined(reader, TRACESTATE).filter(|list| !list.broken),
        // Nothing tells which of the traceparents it came with.
        Copies::Conflict => None,
    };
    let state = state
        .and_then(|list| tracestate::parse(&list.text))
        .unwrap_or_default();
    Some(SpanContext::new(
        parent.trace_id,
        parent.span_id,
        parent.flags,
        true,
        state,
    ))
}

fn ascii(bytes: &[u8]) -> String {
    bytes.iter().copied().map(char::from).collect()
}
