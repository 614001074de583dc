//! `traceparent` and `tracestate` together.

use std::sync::LazyLock;

use opentelemetry::Context;
use opentelemetry::propagation::text_map_propagator::FieldIter;
use opentelemetry::propagation::{Extractor, Injector, TextMapPropagator};
use opentelemetry::trace::{SpanContext, TraceContextExt, TraceFlags, TraceId, TraceState};

use super::W3c;
use super::traceparent::TraceParent;
use super::{handover, tracestate};
use crate::names::{OURS, TRACEPARENT, TRACEPARENT_AT, TRACESTATE, TRACESTATE_AT};
use crate::read::single;
use crate::value::Value;
use crate::{Conflict, Status, TextMapReader};

const RANDOM: TraceFlags = TraceFlags::new(0x02);

static FIELDS: LazyLock<[String; 2]> = LazyLock::new(|| [TRACEPARENT, TRACESTATE].map(str::to_owned));

/// The W3C Trace Context propagator, level 2, strict: what is not exactly valid is no context.
///
/// Reads and writes `traceparent` and `tracestate` (W3C Trace Context level 2). The name differs from the SDK's
/// `TraceContextPropagator`, so that a reader of the code sees which one is registered.
///
/// What came in goes out: members of `tracestate` unchanged and in their order, also those that OpenTelemetry's
/// `TraceState` cannot hold, and the random flag, also where a sampler's decision to drop cleared it. Both are kept in the
/// [`Context`] and belong to a span as long as that has the trace id they came with: a context made with
/// `Context::new().with_span(…)` loses them, as does a process that hands on only the `SpanContext`. Members that a sampler
/// or the user adds or changes go to the left. An empty `tracestate` is never sent; a bad one does not affect
/// `traceparent`.
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
        write(cx, |place, mut value, _| match value {
            Value::Line(line) if handover::hand(line, injector) => {}
            _ => injector.set(OURS[place], value.take_string()),
        });
    }

    fn extract_with_context(&self, cx: &Context, extractor: &dyn Extractor) -> Context {
        W3c { trace_context: true, baggage: false }.extract_with_context(cx, extractor)
    }

    fn fields(&self) -> FieldIter<'_> {
        FieldIter::new(&*FIELDS)
    }
}

/// What OpenTelemetry's own types lose on the way through a program, kept in the context.
#[derive(Debug, Clone, PartialEq)]
struct Received {
    /// Whose it is; the invalid id is nobody's.
    trace_id: TraceId,
    /// The random flag, or nothing.
    random: TraceFlags,
    state: Option<Box<WholeState>>,
}

impl Received {
    const NOTHING: Self = Self { trace_id: TraceId::INVALID, random: TraceFlags::NOT_SAMPLED, state: None };
}

/// A tracestate of which OpenTelemetry's type holds a part only.
#[derive(Debug, Clone, PartialEq)]
struct WholeState {
    held: TraceState,
    text: String,
}

/// The trace context in a carrier.
#[derive(Debug)]
pub(crate) struct Found {
    pub(crate) status: Status,
    /// The one to use.
    pub(crate) context: Option<Remote>,
    /// Valid span contexts that are not used.
    pub(crate) unused: Vec<SpanContext>,
}

/// A sender's span, and what its type cannot hold.
#[derive(Debug, PartialEq)]
pub(crate) struct Remote {
    span: SpanContext,
    received: Option<Received>,
}

impl Remote {
    #[inline]
    pub(crate) fn of(parent: TraceParent, state: Option<tracestate::Parsed>) -> Self {
        let (held, raw) = state.map(|parsed| (parsed.state, parsed.raw)).unwrap_or_default();
        let random = parent.flags & RANDOM;
        let received = (random == RANDOM || raw.is_some()).then(|| Received {
            trace_id: parent.trace_id,
            random,
            state: raw.map(|text| Box::new(WholeState { held: held.clone(), text })),
        });
        Self { span: parent.to_remote(held), received }
    }

    /// The given context with the span that was found.
    #[inline]
    pub(crate) fn onto(self, cx: &Context) -> Context {
        let cx = cx.with_remote_span_context(self.span);
        match self.received {
            Some(received) => cx.with_value(received),
            // What an earlier message brought is not this one's, even in the same trace.
            None if cx.get::<Received>().is_some() => cx.with_value(Received::NOTHING),
            None => cx,
        }
    }
}

/// Reads the trace context of a carrier.
pub(crate) fn read<R: TextMapReader>(reader: &R, conflict: Conflict) -> Found {
    let parent = single(reader, TRACEPARENT, conflict, TraceParent::parse);
    let Some(value) = parent.value else {
        // Without a valid traceparent tracestate is not even looked at.
        return Found { unused: spans(&parent.unused), status: parent.status, context: None };
    };
    let (state, doubt) = tracestate::read(reader, &parent);
    Found {
        unused: spans(&parent.unused),
        status: parent.status.or(doubt),
        context: Some(Remote::of(value, state)),
    }
}

fn spans(parents: &[TraceParent]) -> Vec<SpanContext> {
    parents.iter().map(|parent| parent.to_remote(TraceState::NONE)).collect()
}

/// Calls `put` with the place and the value of each field that is sent, and how many members are left out of it.
#[inline]
pub(crate) fn write(cx: &Context, mut put: impl FnMut(usize, Value, usize)) {
    let span = cx.span();
    let span = span.span_context();
    let Some(mut parent) = TraceParent::of(span) else {
        return;
    };
    let received = cx.get::<Received>().filter(|received| received.trace_id == span.trace_id());
    if let Some(received) = received {
        parent.flags = parent.flags | received.random;
    }
    put(TRACEPARENT_AT, Value::Line(parent.format()), 0);
    let whole = received.and_then(|received| received.state.as_ref());
    if whole.is_some() || *span.trace_state() != TraceState::NONE {
        let (state, left_out) = match whole {
            Some(whole) => tracestate::merge(span.trace_state(), &whole.held, &whole.text),
            None => tracestate::format(span.trace_state()),
        };
        put(TRACESTATE_AT, state.into(), left_out);
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::*;

    const PARENT: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-03";

    type Headers = HashMap<String, String>;

    fn headers(state: &str) -> Headers {
        [(TRACEPARENT, PARENT), (TRACESTATE, state)]
            .map(|(key, value)| (key.to_owned(), value.to_owned()))
            .into()
    }

    fn received(state: &str) -> Context {
        onto(&headers(state), &Context::new())
    }

    fn onto(headers: &Headers, cx: &Context) -> Context {
        read(headers, Conflict::Restart).context.unwrap().onto(cx)
    }

    fn sent(cx: &Context) -> Headers {
        let mut headers = Headers::new();
        W3cTraceContext.inject_context(cx, &mut headers);
        headers
    }

    /// A child as an SDK makes it: a span of its own in the same trace, with these flags and this state.
    fn child(cx: &Context, flags: u8, state: TraceState) -> Context {
        let trace_id = cx.span().span_context().trace_id();
        let span = SpanContext::new(trace_id, 7.into(), TraceFlags::new(flags), false, state);
        cx.with_remote_span_context(span)
    }

    #[test]
    fn a_service_without_an_sdk_hands_on_what_came() {
        for state in ["a=1,b=2", "x@y@z=1,b=2", &format!("{}=1", "k".repeat(256))] {
            assert_eq!(sent(&received(state)), headers(state));
        }
    }

    #[test]
    fn the_random_flag_survives_a_decision_to_drop() {
        let cx = received("a=1");
        let dropped = child(&cx, 0x00, TraceState::NONE);
        assert!(sent(&dropped)[TRACEPARENT].ends_with("-02"));
    }

    #[test]
    fn the_random_flag_does_not_reach_another_trace() {
        let other = SpanContext::new(9.into(), 7.into(), TraceFlags::SAMPLED, false, TraceState::NONE);
        let cx = received("x@y@z=1").with_remote_span_context(other);
        let sent = sent(&cx);
        assert!(sent[TRACEPARENT].ends_with("-01"));
        assert!(!sent.contains_key(TRACESTATE));
    }

    #[test]
    fn a_child_keeps_members_that_the_type_cannot_hold() {
        let cx = received("x@y@z=1,b=2");
        let state = cx.span().span_context().trace_state().insert("new", "n").unwrap();
        assert_eq!(sent(&child(&cx, 1, state))[TRACESTATE], "new=n,x@y@z=1,b=2");
    }

    #[test]
    fn a_second_message_of_the_trace_does_not_get_the_members_of_the_first() {
        let second = onto(&headers("b=2"), &received("x@y@z=1"));
        assert_eq!(sent(&second), headers("b=2"));
        let mut without_random = headers("b=2");
        without_random.insert(TRACEPARENT.to_owned(), PARENT.replace("-03", "-01"));
        let second = onto(&without_random, &received("x@y@z=1"));
        assert_eq!(sent(&second), without_random);
    }

    #[test]
    fn a_bad_tracestate_leaves_traceparent_alone() {
        let cx = received("BAD");
        assert!(cx.has_active_span());
        assert!(!sent(&cx).contains_key(TRACESTATE));
    }

    #[test]
    fn without_a_valid_traceparent_nothing_is_read() {
        let mut headers = headers("a=1");
        headers.remove(TRACEPARENT);
        let found = read(&headers, Conflict::Restart);
        assert_eq!((found.status, found.context), (Status::Absent, None));
    }
}
