//! The full read of the W3C fields: repeated and malformed headers, with a status.

use std::borrow::Cow;

use opentelemetry::Context;
use opentelemetry::trace::{SpanContext, TraceState};
use smallvec::SmallVec;

use super::w3c::{Once, Remote, W3c};
use crate::carrier::bounded::{Joined, Single, assigned, joined, single};
use crate::carrier::{Conflict, ExtractionStatus, TextMapReader};
use crate::format::baggage::{self, ReceivedMembers};
use crate::format::traceparent::TraceParent;
use crate::format::{BAGGAGE, MalformedReason, TRACEPARENT, TRACESTATE, tracestate};

/// What a carrier holds of the fields that one of our propagators reads.
#[derive(Debug)]
pub(crate) struct Found {
    fields: Once,
    received: Option<ReceivedMembers>,
    status: ExtractionStatus,
    unused: SmallVec<[SpanContext; 1]>,
}

impl Found {
    /// Returns the context with what was found, the status, and the valid span contexts that are not used.
    pub(crate) fn onto(self, cx: &Context) -> (Context, ExtractionStatus, SmallVec<[SpanContext; 1]>) {
        let cx = self.fields.onto(cx);
        let cx = match self.received {
            Some(received) => cx.with_value(received),
            None => cx,
        };
        (cx, self.status, self.unused)
    }
}

impl W3c {
    /// Reads the fields of a carrier.
    pub(crate) fn inspect<R: TextMapReader>(&self, reader: &R, conflict: Conflict) -> Found {
        let mut fields = Once::default();
        let mut received = None;
        let mut status = ExtractionStatus::Absent;
        let mut unused = SmallVec::new();
        if self.trace_context {
            let parent = single(reader, TRACEPARENT, conflict, TraceParent::parse);
            unused.extend(parent.unused.iter().map(|parent| parent.to_remote(TraceState::NONE)));
            let (state, of_state) = read_tracestate(reader, &parent);
            status = parent.status.or(of_state);
            fields.remote =
                parent.value.map(|value| Remote::of(value, state.as_deref().map(tracestate::build)));
        }
        if self.baggage {
            if let Some(list) = joined(reader, BAGGAGE) {
                let parsed = baggage::parse(&list.text);
                status = status.or(baggage_status(list.status, &parsed));
                received = ReceivedMembers::of(&list.text, &parsed.members);
                fields.members = parsed.members;
            }
        }
        Found { fields, received, status, unused }
    }
}

/// Reads the `tracestate` that belongs to a `traceparent`: its text, if that is valid as a whole, and its status.
///
/// Without a valid `traceparent` it must not be parsed.
pub(super) fn read_tracestate<'a, R: TextMapReader, T>(
    reader: &'a R,
    parent: &Single<T>,
) -> (Option<Cow<'a, str>>, ExtractionStatus) {
    let list = match parent.value {
        None => None,
        Some(_) if parent.is_conflict() => assigned(reader, TRACESTATE, parent),
        Some(_) => joined(reader, TRACESTATE),
    };
    match list {
        None => (None, ExtractionStatus::Absent),
        // Members over the limit may be left out, but a copy that is not text is a bad member.
        Some(Joined {
            text,
            status: status @ (ExtractionStatus::Valid | ExtractionStatus::OverLimit { .. }),
        }) => match tracestate::check(&text) {
            Ok(()) => (Some(text), status),
            Err(reason) => (None, ExtractionStatus::malformed(TRACESTATE, reason)),
        },
        Some(list) => (None, list.status),
    }
}

/// Returns the status of a baggage list from the status of its copies and of its members.
pub(super) fn baggage_status(copies: ExtractionStatus, parsed: &baggage::ParsedBaggage) -> ExtractionStatus {
    let mut status = match parsed.members.is_empty() {
        true => ExtractionStatus::Absent,
        false => ExtractionStatus::Valid,
    };
    if parsed.is_malformed {
        status = ExtractionStatus::malformed(BAGGAGE, MalformedReason::Member);
    }
    if parsed.is_over_limit {
        status = status.worse(ExtractionStatus::OverLimit { field: BAGGAGE.into() });
    }
    // A copy without a problem says nothing about its members.
    if copies.is_invalid() { copies.worse(status) } else { status }
}
