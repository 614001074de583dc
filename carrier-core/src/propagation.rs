//! Injecting and extracting with the propagator of the application.

use opentelemetry::Context;
use opentelemetry::global::get_text_map_propagator;
use opentelemetry::propagation::TextMapPropagator;

use crate::environment;
use crate::{AsExtractor, Fields, TextMapCarrier, TextMapReader};

/// Writes the context into a carrier; with a context that has no span, the propagator's old fields are removed as well.
///
/// Uses the propagator that is registered with [`opentelemetry::global`]. Where none is (or one without fields, which
/// cannot be told from none), `OTEL_PROPAGATORS` decides, and without it W3C trace context alone: see [`w3c`](crate::w3c).
///
/// All fields of the propagator are replaced at once and nothing else is touched: each field is there once or not at
/// all, and every other header stays as it was.
///
/// # Examples
///
/// ```
/// use std::collections::HashMap;
/// use opentelemetry::Context;
///
/// let mut headers = HashMap::new();
/// carrier_core::inject(&Context::current(), &mut headers);
/// ```
pub fn inject<C: TextMapCarrier>(cx: &Context, carrier: &mut C) {
    let registered = get_text_map_propagator(|propagator| {
        let used = is_used(propagator);
        if used {
            inject_with(propagator, cx, carrier);
        }
        used
    });
    if !registered {
        inject_with(environment::propagator(), cx, carrier);
    }
}

/// Reads the context that a carrier brought; an empty context where there is none.
///
/// It never fails and never panics, whatever is in the headers, and starts from an empty context: a message without a
/// context does not get the span that happens to be current. The propagator is chosen as in [`inject`].
///
/// # Examples
///
/// ```
/// use std::collections::HashMap;
/// use opentelemetry::trace::TraceContextExt;
///
/// let headers = HashMap::from([(
///     "traceparent".to_owned(),
///     "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01".to_owned(),
/// )]);
/// let cx = carrier_core::extract(&headers);
/// assert_eq!(cx.span().span_context().span_id().to_string(), "b7ad6b7169203331");
/// ```
pub fn extract<R: TextMapReader>(reader: &R) -> Context {
    get_text_map_propagator(|propagator| is_used(propagator).then(|| extract_with(propagator, reader)))
        .unwrap_or_else(|| environment::propagator().read(&Context::new(), reader))
}

fn is_used(propagator: &dyn TextMapPropagator) -> bool {
    propagator.fields().next().is_some()
}

fn inject_with<C: TextMapCarrier>(propagator: &dyn TextMapPropagator, cx: &Context, carrier: &mut C) {
    let mut fields = Fields::of(propagator);
    propagator.inject_context(cx, &mut fields);
    if !fields.is_empty() {
        carrier.replace(fields);
    }
}

fn extract_with<R: TextMapReader>(propagator: &dyn TextMapPropagator, reader: &R) -> Context {
    let empty = Context::new();
    // Some propagators answer with the current context instead of the one they are given.
    let _guard = empty.clone().attach();
    propagator.extract_with_context(&empty, &AsExtractor::new(reader))
}
