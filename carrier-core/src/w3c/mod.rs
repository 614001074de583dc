//! W3C Trace Context and W3C Baggage.
//!
//! Our own, since the stock propagators live in `opentelemetry_sdk` (which a library does not depend on) and accept
//! more than the specifications do.

mod baggage;
pub(crate) mod handover;
mod hex;
mod trace_context;
mod traceparent;
mod tracestate;

use std::sync::LazyLock;

use opentelemetry::Context;
use opentelemetry::baggage::BaggageExt;
use opentelemetry::propagation::text_map_propagator::FieldIter;
use opentelemetry::propagation::{Extractor, Injector, TextMapPropagator};

pub use self::baggage::W3cBaggage;
pub(crate) use self::baggage::{MAX_BYTES, MAX_MEMBERS, status_of as baggage_status};
pub use self::trace_context::W3cTraceContext;
pub(crate) use self::traceparent::TraceParent;
pub(crate) use self::tracestate::read_text as read_tracestate;

use crate::names::{BAGGAGE_AT, OURS};
use crate::{Conflict, Extraction, Fields, FromExtractor, Status, TextMapReader};

/// W3C trace context and baggage, strict: the propagator to register.
///
/// # Examples
///
/// ```
/// opentelemetry::global::set_text_map_propagator(carrier_core::w3c());
/// ```
pub fn w3c() -> W3c {
    W3c { trace_context: true, baggage: true }
}

/// [`W3cTraceContext`] and [`W3cBaggage`] as one propagator; [`w3c`] makes it.
#[derive(Debug, Clone)]
pub struct W3c {
    pub(crate) trace_context: bool,
    pub(crate) baggage: bool,
}

// Trace context first, so that either alone is a part of it.
static FIELDS: LazyLock<[String; 3]> = LazyLock::new(|| OURS.map(str::to_owned));

impl W3c {
    /// The names of its fields.
    pub(crate) fn names(&self) -> &'static [&'static str] {
        match (self.trace_context, self.baggage) {
            (true, true) => &OURS,
            (true, false) => &OURS[..2],
            (false, true) => &OURS[2..],
            (false, false) => &[],
        }
    }

    /// What a context says, without a way through OpenTelemetry's interface and its checks of what is valid by itself.
    #[inline]
    pub(crate) fn write(&self, cx: &Context) -> Fields<'static> {
        let mut fields = Fields::of_ours([self.trace_context, self.trace_context, self.baggage]);
        if self.trace_context {
            trace_context::write(cx, |place, value| fields.put(place, value));
        }
        if self.baggage {
            let baggage = cx.baggage();
            if !baggage.is_empty() {
                fields.put(BAGGAGE_AT, baggage::format(baggage));
            }
        }
        fields
    }

    /// What a carrier holds.
    #[inline]
    pub(crate) fn find<R: TextMapReader>(&self, reader: &R, conflict: Conflict) -> Found {
        Found {
            trace: self.trace_context.then(|| trace_context::read(reader, conflict)),
            baggage: self.baggage.then(|| baggage::read(reader)),
        }
    }

    /// The same of what OpenTelemetry's interface shows.
    fn ask(&self, extractor: &dyn Extractor) -> Found {
        handover::ask(self, extractor)
            .unwrap_or_else(|| self.find(&FromExtractor(extractor), Conflict::default()))
    }
}

/// What a carrier holds of the fields that one of our propagators reads.
#[derive(Debug)]
pub(crate) struct Found {
    trace: Option<trace_context::Found>,
    baggage: Option<baggage::Found>,
}

impl Found {
    /// The given context with what was found.
    #[inline]
    pub(crate) fn onto(self, cx: &Context) -> Extraction {
        let (mut found, members) = match self.baggage {
            Some(found) => (Extraction::of(cx.clone(), found.status), found.members),
            None => (Extraction::of(cx.clone(), Status::Absent), Vec::new()),
        };
        if let Some(trace) = self.trace {
            found.status = trace.status.or(found.status);
            if let Some(remote) = trace.context {
                found.context = remote.onto(&found.context);
            }
            if !trace.unused.is_empty() {
                found.unused = trace.unused.into();
            }
        }
        if !members.is_empty() {
            found.context = baggage::onto(members, &found.context);
        }
        found
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
        self.ask(extractor).onto(cx).into_context()
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
