//! W3C Trace Context and W3C Baggage.
//!
//! Our own, since the stock propagators live in `opentelemetry_sdk` (which a library does not depend on) and accept
//! more than the specifications do.

mod baggage;
mod trace_context;
mod traceparent;
mod tracestate;

use std::sync::LazyLock;

use opentelemetry::Context;
use opentelemetry::baggage::BaggageExt;
use opentelemetry::propagation::text_map_propagator::FieldIter;
use opentelemetry::propagation::{Extractor, Injector, TextMapPropagator};
use opentelemetry::trace::TraceContextExt;

pub(crate) use self::baggage::BAGGAGE;
pub use self::baggage::W3cBaggage;
pub use self::trace_context::W3cTraceContext;
pub(crate) use self::trace_context::{TRACEPARENT, TRACESTATE};
pub(crate) use self::traceparent::TraceParent;
pub(crate) use self::tracestate::is_valid as is_valid_tracestate;

use crate::FromExtractor;
use crate::TextMapReader;

/// W3C trace context and baggage, strict: the propagator to register.
///
/// # Examples
///
/// ```
/// opentelemetry::global::set_text_map_propagator(carrier_core::w3c());
/// ```
pub fn w3c() -> W3c {
    W3c {
        trace_context: true,
        baggage: true,
    }
}

/// [`W3cTraceContext`] and [`W3cBaggage`] as one propagator; [`w3c`] makes it.
#[derive(Debug, Clone)]
pub struct W3c {
    pub(crate) trace_context: bool,
    pub(crate) baggage: bool,
}

// Trace context first, so that either alone is a part of it.
static FIELDS: LazyLock<[String; 3]> =
    LazyLock::new(|| [TRACEPARENT, TRACESTATE, BAGGAGE].map(str::to_owned));

impl W3c {
    /// The context in a carrier: an empty one where there is none.
    pub(crate) fn read<R: TextMapReader>(&self, cx: &Context, reader: &R) -> Context {
        let span = self.trace_context.then(|| trace_context::read(reader)).flatten();
        let baggage = self.baggage.then(|| baggage::read(reader, cx)).flatten();
        match (span, baggage) {
            (None, None) => cx.clone(),
            (Some(span), None) => cx.with_remote_span_context(span),
            (None, Some(baggage)) => cx.with_baggage(baggage),
            (Some(span), Some(baggage)) => cx.with_remote_span_context(span).with_baggage(baggage),
        }
    }
}

impl TextMapPropagator for W3c {
    fn inject_context(&self, cx: &Context, injector: &mut dyn Injector) {
        if self.trace_context {
            W3cTraceContext.inject_context(cx, injector);
        }
        if self.baggage {
            W3cBaggage.inject_context(cx, injector);
        }
    }

    fn extract_with_context(&self, cx: &Context, extractor: &dyn Extractor) -> Context {
        self.read(cx, &FromExtractor(extractor))
    }

    fn fields(&self) -> FieldIter<'_> {
        FieldIter::new(match (self.trace_context, self.baggage) {
            (true, true) => &FIELDS[..],
            (true, false) => &FIELDS[..2],
            (false, true) => &FIELDS[2..],
            (false, false) => &[],
        })
    }
}
