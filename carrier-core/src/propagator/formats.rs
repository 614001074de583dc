//! Several formats: one is written, all are read.

use std::fmt;

use opentelemetry::Context;
use opentelemetry::baggage::BaggageExt as _;
use opentelemetry::propagation::text_map_propagator::FieldIter;
use opentelemetry::propagation::{Extractor, Injector, TextMapPropagator};
use opentelemetry::trace::{SpanContext, TraceContextExt as _, TraceFlags};

/// A propagator that writes one format and reads several, for a migration from one format to another.
///
/// The written format is read first, then the others in their order, until one has a span. An injection removes the
/// headers of all these formats, so a forwarded message never has two parents. Of the flags of another format only
/// `sampled` is kept, since the formats give the other bits different meanings.
///
/// # Examples
///
/// ```
/// # #![allow(deprecated)]
/// use carrier_core::{Formats, Propagation, w3c};
///
/// let formats = Formats::writing(w3c()).reading(opentelemetry_zipkin::Propagator::new());
/// Propagation::builder().propagator(formats).build().install()?;
/// # Ok::<(), carrier_core::InstallError>(())
/// ```
pub struct Formats {
    /// The first is written.
    propagators: Vec<Box<dyn TextMapPropagator + Send + Sync>>,
    fields: Vec<String>,
}

impl Formats {
    /// Returns a propagator that writes and reads one format.
    pub fn writing(propagator: impl TextMapPropagator + Send + Sync + 'static) -> Self {
        Self { propagators: Vec::new(), fields: Vec::new() }.reading(propagator)
    }

    /// Reads a further format, if no format before it has a span.
    #[must_use]
    pub fn reading(mut self, propagator: impl TextMapPropagator + Send + Sync + 'static) -> Self {
        self.fields.extend(propagator.fields().map(str::to_owned));
        self.propagators.push(Box::new(propagator));
        self
    }
}

impl fmt::Debug for Formats {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(&self.propagators).finish()
    }
}

impl TextMapPropagator for Formats {
    fn inject_context(&self, cx: &Context, injector: &mut dyn Injector) {
        if let Some(written) = self.propagators.first() {
            written.inject_context(cx, injector);
        }
    }

    fn extract_with_context(&self, cx: &Context, extractor: &dyn Extractor) -> Context {
        let mut all = cx.clone();
        for (index, propagator) in self.propagators.iter().enumerate() {
            let found = propagator.extract_with_context(&all, extractor);
            let span = found.span().span_context().clone();
            if span.is_valid() && span != *all.span().span_context() {
                return if index == 0 { found } else { found.with_remote_span_context(sampled_only(span)) };
            }
            // Baggage may be in one format and the span in another.
            if found.baggage().len() > all.baggage().len() {
                all = found;
            }
        }
        all
    }

    fn fields(&self) -> FieldIter<'_> {
        FieldIter::new(&self.fields)
    }
}

fn sampled_only(span: SpanContext) -> SpanContext {
    let flags = span.trace_flags() & TraceFlags::SAMPLED;
    SpanContext::new(span.trace_id(), span.span_id(), flags, true, span.trace_state().clone())
}
