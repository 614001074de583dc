//! The floors of reading and of spans: what somebody would write who needs nothing else.

use opentelemetry::baggage::{Baggage, BaggageExt};
use opentelemetry::trace::{
    Link, Span, SpanContext, SpanKind, TraceContextExt, TraceFlags, TraceState, Tracer,
};
use opentelemetry::{Context, KeyValue};

use crate::state;

/// A context with the span that a `traceparent` names.
pub fn extract(parent: &[u8]) -> Option<Context> {
    extract_with_state(parent, TraceState::NONE)
}

/// The same with a state.
pub fn extract_with_state(parent: &[u8], state: TraceState) -> Option<Context> {
    Some(Context::new().with_remote_span_context(sender(parent, state)?))
}

/// The span context that a `traceparent` names.
fn sender(parent: &[u8], state: TraceState) -> Option<SpanContext> {
    let (trace, span, flags) = parse_parent(parent)?;
    Some(SpanContext::new(trace.into(), span.into(), TraceFlags::new(flags), true, state))
}

/// A hand-written parser: version 00 alone, each digit checked.
fn parse_parent(parent: &[u8]) -> Option<(u128, u64, u8)> {
    if parent.len() != 55 || &parent[..3] != b"00-" || parent[35] != b'-' || parent[52] != b'-' {
        return None;
    }
    let trace = number(&parent[3..35])?;
    let span = u64::try_from(number(&parent[36..52])?).ok()?;
    let flags = u8::try_from(number(&parent[53..])?).ok()?;
    (trace != 0 && span != 0).then_some((trace, span, flags))
}

fn number(digits: &[u8]) -> Option<u128> {
    let mut number = 0;
    for digit in digits {
        let value = match digit {
            b'0'..=b'9' => digit - b'0',
            b'a'..=b'f' => digit - b'a' + 10,
            _ => return None,
        };
        number = number << 4 | u128::from(value);
    }
    Some(number)
}

/// The same with `tracestate` and `baggage`, each cut at its commas and not decoded.
pub fn extract_all(parent: &[u8], tracestate: &[u8], baggage: &[u8]) -> Option<Context> {
    let span = sender(parent, state(std::str::from_utf8(tracestate).ok()?))?;
    let members = std::str::from_utf8(baggage).ok()?.split(',').filter_map(|member| member.split_once('='));
    let mut baggage = Baggage::new();
    for (key, value) in members {
        let _ = baggage.insert(key.to_owned(), value.to_owned());
    }
    Some(Context::new().with_remote_span_context(span).with_baggage(baggage))
}

/// Starts a span that makes itself the current one of a context; the sender of a message is linked.
pub fn span<T>(
    tracer: &T,
    parent: &Context,
    kind: SpanKind,
    name: String,
    attributes: Vec<KeyValue>,
    sender: Option<SpanContext>,
) -> Context
where
    T: Tracer,
    T::Span: Span + Send + Sync + 'static,
{
    let mut builder = tracer.span_builder(name).with_kind(kind).with_attributes(attributes);
    if let Some(sender) = sender {
        builder = builder.with_links(vec![Link::with_context(sender)]);
    }
    parent.with_span(builder.start_with_context(tracer, parent))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{BAGGAGE, PARENT, STATE};

    #[test]
    fn what_is_read_by_hand_is_what_was_written() {
        let cx = extract_all(PARENT.as_bytes(), STATE.as_bytes(), BAGGAGE.as_bytes()).unwrap();
        let span = cx.span().span_context().clone();
        assert_eq!((span.trace_state().header(), cx.baggage().len()), (STATE.to_owned(), 3));
        assert_eq!(span.trace_id().to_string(), PARENT[3..35]);
        assert!(extract(b"00-0-0-00").is_none());
    }
}
