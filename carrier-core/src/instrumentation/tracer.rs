//! A tracer of any kind, and a span that is started with it.

use opentelemetry::trace::{Span as _, SpanBuilder, TraceContextExt as _, Tracer};
use opentelemetry::{Context, KeyValue};

/// Any tracer: the span goes into its context where its type is still known, so that it is boxed once.
pub(crate) trait AnyTracer: Send + Sync {
    fn start(
        &self,
        builder: SpanBuilder,
        parent: &Context,
        details: &mut dyn FnMut(&mut Details<'_>),
    ) -> Started;
}

/// A span that has begun.
pub(crate) struct Started {
    /// The parent's context with the span in it.
    pub(crate) context: Context,
    pub(crate) is_recording: bool,
}

/// What a span of ours is told once it is known to be recorded.
///
/// What a sampler may want is given when the span is started; all else costs nothing where nobody records it.
pub struct Details<'a>(&'a mut dyn FnMut(KeyValue));

impl Details<'_> {
    /// Adds an attribute.
    pub fn set(&mut self, key: &'static str, value: impl Into<opentelemetry::Value>) {
        (self.0)(KeyValue::new(key, value));
    }
}

impl std::fmt::Debug for Details<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Details").finish_non_exhaustive()
    }
}

impl<T> AnyTracer for T
where
    T: Tracer + Send + Sync,
    T::Span: Send + Sync + 'static,
{
    fn start(
        &self,
        builder: SpanBuilder,
        parent: &Context,
        details: &mut dyn FnMut(&mut Details<'_>),
    ) -> Started {
        let mut span = self.build_with_context(builder, parent);
        // One without ids cannot be current, so it could not be found again to be ended.
        let is_recording = span.is_recording() && span.span_context().is_valid();
        if is_recording {
            details(&mut Details(&mut |attribute| span.set_attribute(attribute)));
            return Started { context: parent.with_span(span), is_recording };
        }
        let own = span.span_context();
        // Without an SDK there may be no span to be current; an invalid one would hide that, also from samplers.
        let context = match own.is_valid() && own != parent.span().span_context() {
            // Its ids are all that anybody can ask it for, and cost no box.
            true => parent.with_remote_span_context(own.clone()),
            false => parent.clone(),
        };
        Started { context, is_recording }
    }
}

/// Attributes for a list, gathered the same way as those of a span.
pub(crate) fn gather(details: impl FnOnce(&mut Details<'_>)) -> Vec<KeyValue> {
    let mut attributes = Vec::new();
    details(&mut Details(&mut |attribute| attributes.push(attribute)));
    attributes
}

/// Sets attributes on the span of a context.
pub(crate) fn set(cx: &Context, details: impl FnOnce(&mut Details<'_>)) {
    let span = cx.span();
    details(&mut Details(&mut |attribute| span.set_attribute(attribute)));
}
