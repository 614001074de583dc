//! The W3C propagators: what they write, and the fast path of what they read.
//!
//! The stock propagators live in `opentelemetry_sdk`, which a library does not depend on, and accept more than the
//! specifications allow.

use std::fmt;
use std::sync::LazyLock;

use opentelemetry::Context;
use opentelemetry::baggage::{Baggage, BaggageExt as _};
use opentelemetry::propagation::text_map_propagator::FieldIter;
use opentelemetry::propagation::{Extractor, Injector, TextMapPropagator};
use opentelemetry::trace::{SpanContext, TraceContextExt as _, TraceFlags, TraceId, TraceState};

use super::FromExtractor;
use crate::carrier::{Conflict, ExtractionStatus, FieldNames, FieldValue, Fields, TextMapReader};
use crate::format::baggage::{self, Member, ReceivedMembers};
use crate::format::traceparent::TraceParent;
use crate::format::tracestate::{self, ParsedState};
use crate::format::{BAGGAGE_SLOT, TRACESTATE_SLOT, W3C_FIELDS};

const RANDOM: TraceFlags = TraceFlags::new(0x02);

static FIELDS: LazyLock<[String; 3]> = LazyLock::new(|| W3C_FIELDS.map(str::to_owned));

/// Returns the strict W3C propagator for trace context and baggage.
///
/// # Examples
///
/// ```
/// opentelemetry::global::set_text_map_propagator(carrier_core::w3c());
/// ```
pub fn w3c() -> W3c {
    W3c { trace_context: true, baggage: true }
}

/// The strict, bounded W3C propagators: Trace Context, Baggage, or both ([`w3c`]).
///
/// **Trace Context**, level 2: what is not exactly valid is no context. Members of `tracestate` are sent unchanged and in
/// their order, including those that OpenTelemetry's `TraceState` cannot hold. The random flag is sent even if a sampler's
/// decision to drop cleared it. Both are kept in the [`Context`] for the trace id that they came with: a context from
/// `Context::new().with_span(…)` loses them. Members that a sampler or the user adds or changes are added at the left. An
/// empty `tracestate` is never sent, and a bad one does not affect `traceparent`.
///
/// **Baggage**: at most 64 members and 8,192 bytes are read and written; whole members beyond that are left out. A bad
/// member is skipped alone. Every value is read back as it was written; characters that end a member or a header are
/// encoded.
#[derive(Clone)]
pub struct W3c {
    pub(crate) trace_context: bool,
    pub(crate) baggage: bool,
}

impl fmt::Debug for W3c {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match (self.trace_context, self.baggage) {
            (true, true) => "W3c(trace context, baggage)",
            (true, false) => "W3c(trace context)",
            (false, true) => "W3c(baggage)",
            (false, false) => "W3c(off)",
        })
    }
}

impl W3c {
    /// Returns the propagator for `traceparent` and `tracestate` alone.
    pub fn trace_context() -> Self {
        Self { trace_context: true, baggage: false }
    }

    /// Returns the propagator for `baggage` alone.
    pub fn baggage() -> Self {
        Self { trace_context: false, baggage: true }
    }

    /// Returns which W3C fields it reads and writes, by their slots.
    #[inline]
    pub(crate) fn declares(&self) -> [bool; 3] {
        [self.trace_context, self.trace_context, self.baggage]
    }

    /// Sets the fields to send; returns the number of members that are left out of `tracestate` and of `baggage`.
    #[inline]
    pub(crate) fn write(&self, cx: &Context, fields: &mut Fields<'_>) -> (usize, usize) {
        let state = if self.trace_context { write_trace_context(cx, fields) } else { 0 };
        let baggage = if self.baggage { write_baggage(cx, fields) } else { 0 };
        (state, baggage)
    }

    /// Fast path: reads the fields if none is repeated or malformed; otherwise returns `None`.
    #[inline]
    pub(crate) fn read_once<R: TextMapReader>(&self, reader: &R) -> Option<Once> {
        let [parent, state, baggage] = find_once(reader)?;
        let remote = match parent.filter(|_| self.trace_context) {
            None => None,
            Some(parent) => {
                let parent = TraceParent::parse(parent.as_bytes()?).ok()?;
                let state = match state {
                    None => None,
                    Some(state) => Some(tracestate::parse_one(state.as_str()?)?),
                };
                Some(Remote::of(parent, state))
            }
        };
        let members = match baggage.filter(|_| self.baggage) {
            None => Vec::new(),
            Some(baggage) => baggage::parse_one(baggage.as_str()?)?,
        };
        Some(Once { remote, members })
    }
}

/// Fast path: finds the W3C fields in one pass; `None` if one of them is repeated.
#[inline]
fn find_once<R: TextMapReader>(reader: &R) -> Option<[Option<FieldValue<'_>>; 3]> {
    let mut found = [None; 3];
    let once = reader.find(&FieldNames::W3C).try_for_each(|(index, value)| {
        let slot: &mut Option<FieldValue<'_>> = found.get_mut(index)?;
        slot.replace(value).is_none().then_some(())
    });
    once.map(|()| found)
}

/// Fields that are present once at most, and valid.
#[derive(Debug, Default)]
pub(crate) struct Once {
    pub(super) remote: Option<Remote>,
    pub(super) members: Vec<Member>,
}

impl Once {
    #[inline]
    pub(crate) fn status(&self) -> ExtractionStatus {
        match self.remote.is_none() && self.members.is_empty() {
            true => ExtractionStatus::Absent,
            false => ExtractionStatus::Valid,
        }
    }

    /// Returns the context with what was read.
    #[inline]
    pub(crate) fn onto(self, cx: &Context) -> Context {
        let cx = match self.remote {
            Some(remote) => remote.onto(cx),
            None => cx.clone(),
        };
        if self.members.is_empty() { cx } else { with_members(&cx, self.members) }
    }
}

/// What OpenTelemetry's types lose on the way through a program, kept in the context.
#[derive(Debug, Clone, PartialEq)]
struct Received {
    /// The trace that it belongs to.
    trace_id: TraceId,
    /// The random flag, or none.
    random: TraceFlags,
    state: Option<Box<WholeState>>,
}

impl Received {
    const NOTHING: Self = Self { trace_id: TraceId::INVALID, random: TraceFlags::NOT_SAMPLED, state: None };
}

/// A `tracestate` that OpenTelemetry's type holds in part only.
#[derive(Debug, Clone, PartialEq)]
struct WholeState {
    held: TraceState,
    text: String,
}

/// The sender's span, and what its type cannot hold.
#[derive(Debug, PartialEq)]
pub(super) struct Remote {
    span: SpanContext,
    received: Option<Received>,
}

impl Remote {
    #[inline]
    pub(super) fn of(parent: TraceParent, state: Option<ParsedState>) -> Self {
        let (held, raw) = state.map(|parsed| (parsed.state, parsed.raw)).unwrap_or_default();
        let random = parent.flags & RANDOM;
        let received = (random == RANDOM || raw.is_some()).then(|| Received {
            trace_id: parent.trace_id,
            random,
            state: raw.map(|text| Box::new(WholeState { held: held.clone(), text })),
        });
        Self { span: parent.to_remote(held), received }
    }

    /// Returns the context with the sender's span.
    #[inline]
    fn onto(self, cx: &Context) -> Context {
        let cx = cx.with_remote_span_context(self.span);
        match self.received {
            Some(received) => cx.with_value(received),
            // What an earlier message brought does not belong to this one, even in the same trace.
            None if cx.get::<Received>().is_some() => cx.with_value(Received::NOTHING),
            None => cx,
        }
    }
}

/// Returns the context with these members added to its baggage.
fn with_members(cx: &Context, members: Vec<Member>) -> Context {
    let existing = cx.baggage().iter().map(|(key, value)| (key.clone(), value.clone()));
    cx.with_baggage(existing.chain(members).collect::<Baggage>())
}

#[inline]
fn write_trace_context(cx: &Context, fields: &mut Fields<'_>) -> usize {
    let span = cx.span();
    let span = span.span_context();
    let Some(mut parent) = TraceParent::of(span) else { return 0 };
    let received = cx.get::<Received>().filter(|received| received.trace_id == span.trace_id());
    if let Some(received) = received {
        parent.flags = parent.flags | received.random;
    }
    fields.set_traceparent(&parent);
    let whole = received.and_then(|received| received.state.as_ref());
    if whole.is_none() && *span.trace_state() == TraceState::NONE {
        return 0;
    }
    let (state, left_out) = match whole {
        Some(whole) => tracestate::merge(span.trace_state(), &whole.held, &whole.text),
        None => tracestate::format(span.trace_state()),
    };
    fields.set_list(TRACESTATE_SLOT, state);
    left_out
}

#[inline]
fn write_baggage(cx: &Context, fields: &mut Fields<'_>) -> usize {
    let baggage = cx.baggage();
    if baggage.is_empty() {
        return 0;
    }
    let (mut text, mut left_out) = baggage::format(baggage, None);
    if let Some(received) = cx.get::<ReceivedMembers>().filter(|_| left_out > 0) {
        (text, left_out) = baggage::format(baggage, Some(received));
    }
    fields.set_list(BAGGAGE_SLOT, text);
    left_out
}

impl TextMapPropagator for W3c {
    fn inject_context(&self, cx: &Context, injector: &mut dyn Injector) {
        let mut fields = Fields::default();
        self.write(cx, &mut fields);
        fields.drain().for_each(|(name, value)| injector.set(&name, value.take_string()));
    }

    fn extract_with_context(&self, cx: &Context, extractor: &dyn Extractor) -> Context {
        let reader = FromExtractor(extractor);
        match self.read_once(&reader) {
            Some(once) => once.onto(cx),
            None => self.inspect(&reader, Conflict::default()).onto(cx).0,
        }
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

#[cfg(test)]
mod tests;
