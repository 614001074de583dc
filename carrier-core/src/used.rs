//! The propagator that an injection uses.

use opentelemetry::Context;
use opentelemetry::baggage::BaggageExt;
use opentelemetry::propagation::TextMapPropagator;
use opentelemetry::trace::{TraceContextExt, TraceState};

use crate::injection::{DropReason, Injection};
use crate::names::{BAGGAGE_AT, OURS, TRACESTATE_AT};
use crate::{Fields, W3c};

/// The propagator that is used.
#[derive(Clone, Copy)]
pub(crate) enum Used<'p> {
    /// It need not be asked through OpenTelemetry's interface.
    Ours(&'p W3c),
    Other(&'p dyn TextMapPropagator),
}

impl<'p> Used<'p> {
    /// Its fields, of which none is set yet.
    #[inline]
    pub(crate) fn fields(self) -> Fields<'p> {
        match self {
            Self::Ours(w3c) => Fields::of_ours([w3c.trace_context, w3c.trace_context, w3c.baggage]),
            Self::Other(propagator) => Fields::of(propagator),
        }
    }

    /// Whether it writes spans: one of baggage alone does not.
    #[cfg(feature = "instrumentation")]
    pub(crate) fn has_spans(self) -> bool {
        match self {
            Self::Ours(w3c) => w3c.trace_context,
            Self::Other(propagator) => propagator.fields().any(|field| field != crate::names::BAGGAGE),
        }
    }

    /// Writes its fields for a context; what it leaves out is reported.
    #[inline]
    pub(crate) fn write(self, cx: &Context, fields: &mut Fields<'p>, report: &mut Injection) {
        match self {
            Self::Ours(w3c) => w3c.write(cx, fields, report),
            Self::Other(propagator) => {
                propagator.inject_context(cx, fields);
                report_left_out(cx, fields, report);
            }
        }
    }
}

/// Reports the members that a propagator left out: over its limits, or not fit for a header.
fn report_left_out(cx: &Context, fields: &Fields<'_>, report: &mut Injection) {
    let limit_or_invalid = if fields.is_refused() { DropReason::Invalid } else { DropReason::Budget };
    let baggage = cx.baggage().len();
    let span = cx.span();
    let state = span.span_context().trace_state();
    let is_sent = *state != TraceState::NONE && span.span_context().is_valid();
    let state = if is_sent { state.into_iter().len() } else { 0 };
    for (at, there, reason) in
        [(BAGGAGE_AT, baggage, limit_or_invalid), (TRACESTATE_AT, state, DropReason::Invalid)]
    {
        if there > 0 && fields.has(OURS[at]) {
            report.drop_members(OURS[at], there.saturating_sub(fields.members(at)), reason);
        }
    }
}
