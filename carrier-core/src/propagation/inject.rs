//! Injection, and the report of what was done.

use std::borrow::Cow;

use opentelemetry::Context;
use opentelemetry::baggage::BaggageExt as _;
use opentelemetry::trace::{SpanContext, TraceContextExt as _, TraceState};

use super::Propagation;
use super::budget::Budget;
use super::configuration::{Existing, Settings, Used, filtered};
use super::extract::read;
use crate::carrier::{FieldNames, Fields, MessageSize, TextMapCarrier};
use crate::format::{BAGGAGE_SLOT, TRACESTATE_SLOT, W3C_FIELDS};

/// Writes the context into a carrier; a context without a span removes the propagator's old fields.
///
/// It uses the [installed](Propagation::install) configuration. Without one it uses the propagator that is registered with
/// [`opentelemetry::global`], if that has fields; otherwise what `OTEL_PROPAGATORS` lists; and without that variable W3C
/// trace context alone.
///
/// All fields of the propagator are replaced at once, in any case of their names. Every other header stays as it is. You
/// may ignore the report.
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
pub fn inject<C: TextMapCarrier>(cx: &Context, carrier: &mut C) -> Injection {
    Propagation::new().inject(cx, carrier)
}

impl Propagation {
    /// Writes the context into a carrier; a context without a span removes the propagator's old fields.
    ///
    /// As [`inject`], with this configuration.
    pub fn inject<C: TextMapCarrier>(&self, cx: &Context, carrier: &mut C) -> Injection {
        self.with_propagator(|settings, propagator| {
            let mut fields = fields_of(propagator);
            let prepared = settings.prepare(propagator, &fields, carrier);
            settings.write(propagator, &mut fields, prepared, cx, carrier, settings.budget)
        })
    }

    /// Looks at a carrier before a span is started.
    #[cfg(feature = "instrumentation")]
    pub(crate) fn prepare<C: TextMapCarrier>(&self, carrier: &C) -> Prepared {
        self.with_propagator(|settings, propagator| {
            let fields = fields_of(propagator);
            settings.prepare(propagator, &fields, carrier)
        })
    }

    /// As [`inject`](Self::inject), after [`prepare`](Self::prepare) of the same carrier, with one more limit.
    #[cfg(feature = "instrumentation")]
    pub(crate) fn inject_prepared<C: TextMapCarrier>(
        &self,
        prepared: Prepared,
        cx: &Context,
        carrier: &mut C,
        limit: Budget,
    ) -> Injection {
        let mut prepared = Some(prepared);
        self.with_propagator(|settings, propagator| {
            let mut fields = fields_of(propagator);
            let mut prepared = prepared.take().unwrap_or_default();
            // Another propagator may be registered since. Its fields were not looked for.
            if prepared.declared.is_none() || prepared.declared != fields.declared() {
                prepared.absent = None;
            }
            settings.write(propagator, &mut fields, prepared, cx, carrier, settings.budget.and(limit))
        })
    }
}

/// What a carrier holds before an injection.
#[derive(Debug, Default)]
#[cfg_attr(not(feature = "instrumentation"), expect(dead_code, reason = "instrumentation reads all of it"))]
pub(crate) struct Prepared {
    /// The size of the message, if none of the fields is present.
    absent: Option<MessageSize>,
    /// The fields that were looked for.
    declared: Option<[bool; 3]>,
    /// The propagator writes spans. One for baggage alone does not.
    writes_spans: bool,
    existing: Option<SpanContext>,
    /// The outcome, if nothing is to be written.
    outcome: InjectionOutcome,
}

#[cfg(feature = "instrumentation")]
impl Prepared {
    /// Returns the valid span context that the message has.
    pub(crate) fn existing(&self) -> Option<&SpanContext> {
        self.existing.as_ref()
    }

    /// Returns whether an injection will write a span.
    pub(crate) fn writes_span(&self) -> bool {
        self.writes_spans && self.outcome == InjectionOutcome::Nothing
    }
}

#[inline]
fn fields_of(propagator: Used<'_>) -> Fields<'_> {
    match propagator {
        Used::W3c(w3c) => Fields::of_w3c(w3c.declares()),
        Used::Other(propagator) => Fields::of(propagator),
    }
}

impl Settings {
    #[inline]
    fn prepare<C: TextMapCarrier>(&self, propagator: Used<'_>, fields: &Fields<'_>, carrier: &C) -> Prepared {
        let message = measure(fields, carrier);
        let declared = fields.declared();
        let writes_spans = declared.is_none_or(|[parent, state, _]| parent || state);
        let mut prepared = Prepared { declared, writes_spans, ..Prepared::default() };
        if !message.is_present {
            prepared.absent = Some(message);
            return prepared;
        }
        let mut found = read(self, propagator, carrier, true);
        let is_valid = found.context().has_active_span();
        prepared.outcome = match self.existing {
            Existing::Keep if is_valid => InjectionOutcome::Kept,
            Existing::LeaveAlone => InjectionOutcome::LeftAlone,
            _ => InjectionOutcome::Nothing,
        };
        prepared.existing = match is_valid {
            true => Some(found.context().span().span_context().clone()),
            // Of conflicting ones the last is the newest.
            false => found.pop_link(),
        };
        prepared
    }

    #[inline]
    fn write<'p, C: TextMapCarrier>(
        &self,
        propagator: Used<'p>,
        fields: &mut Fields<'p>,
        prepared: Prepared,
        cx: &Context,
        carrier: &mut C,
        budget: Budget,
    ) -> Injection {
        let mut report = Injection::of(prepared.existing, prepared.outcome);
        if report.outcome != InjectionOutcome::Nothing {
            return report;
        }
        let (cx, dropped) = filtered(cx, self.baggage_out.as_ref());
        report.left_out(BAGGAGE_SLOT, dropped, DropReason::NotAllowed);
        match propagator {
            Used::W3c(w3c) => {
                let (state, baggage) = w3c.write(&cx, fields);
                report.left_out(TRACESTATE_SLOT, state, DropReason::Invalid);
                report.left_out(BAGGAGE_SLOT, baggage, DropReason::Budget);
            }
            Used::Other(propagator) => {
                propagator.inject_context(&cx, fields);
                report_left_out(&cx, fields, &mut report);
            }
        }
        let message = match prepared.absent {
            Some(_) if fields.additions() == 0 => return report,
            Some(message) => {
                fields.set_new();
                // A propagator may set a field that it did not declare.
                if fields.may_replace() { measure(fields, carrier) } else { message }
            }
            None => measure(fields, carrier),
        };
        let mut left_out = [0; 3];
        let added = budget.apply(&message, fields, &mut left_out);
        for slot in [BAGGAGE_SLOT, TRACESTATE_SLOT] {
            report.left_out(slot, left_out[slot], DropReason::Budget);
        }
        match added {
            Some(bytes) if fields.additions() > 0 => report.written(fields, bytes),
            Some(_) => report.outcome = InjectionOutcome::Removed,
            None => {
                fields.clear();
                report.outcome = InjectionOutcome::NoRoom;
            }
        }
        carrier.replace(fields);
        report
    }
}

#[inline]
fn measure<C: TextMapCarrier>(fields: &Fields<'_>, carrier: &C) -> MessageSize {
    match fields.declared() {
        Some([true, true, true]) => carrier.measure(&FieldNames::W3C),
        _ => carrier.measure(&FieldNames::new(&fields.names())),
    }
}

/// Reports the members that a foreign propagator left out, for its limits or since no header may hold them.
fn report_left_out(cx: &Context, fields: &Fields<'_>, report: &mut Injection) {
    let reason = if fields.is_refused() { DropReason::Invalid } else { DropReason::Budget };
    let span = cx.span();
    let state = span.span_context().trace_state();
    let is_sent = *state != TraceState::NONE && span.span_context().is_valid();
    let state = if is_sent { state.into_iter().len() } else { 0 };
    for (slot, members, reason) in
        [(BAGGAGE_SLOT, cx.baggage().len(), reason), (TRACESTATE_SLOT, state, DropReason::Invalid)]
    {
        if members > 0 && fields.has(W3C_FIELDS[slot]) {
            report.left_out(slot, members.saturating_sub(fields.members(slot)), reason);
        }
    }
}

/// What an injection did to a message. You may ignore it.
#[derive(Debug, Clone, Default)]
pub struct Injection {
    w3c: [bool; 3],
    outcome: InjectionOutcome,
    bytes: usize,
    /// Boxed, since it is mostly absent and the report is returned by value.
    rare: Option<Box<Rare>>,
}

#[derive(Debug, Clone, Default)]
struct Rare {
    others: Vec<String>,
    dropped: Vec<DroppedMembers>,
    existing: Option<SpanContext>,
}

/// The outcome of an injection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum InjectionOutcome {
    /// Propagation is off, or there was nothing to write and nothing to remove.
    #[default]
    Nothing,
    /// The fields were written; old ones were replaced.
    Written,
    /// There was nothing to write, and old fields were removed.
    Removed,
    /// The message had a context, which was kept: [`Existing::Keep`].
    Kept,
    /// The message had a field and was left as it is: [`Existing::LeaveAlone`].
    LeftAlone,
    /// Nothing was written, since the message would have exceeded the transport's limit, which loses the message or the
    /// connection. Old fields were removed.
    NoRoom,
}

/// Members that were left out of a message.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct DroppedMembers {
    /// The field that they belong to.
    pub field: Cow<'static, str>,
    /// The number of members.
    pub members: usize,
    /// Why they were left out.
    pub reason: DropReason,
}

/// Why members were left out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum DropReason {
    /// They exceeded the [`Budget`], or a limit of the propagator.
    Budget,
    /// No header may hold them.
    Invalid,
    /// The predicate on baggage does not allow their keys.
    NotAllowed,
}

impl Injection {
    /// Returns the names of the fields that were written.
    pub fn fields(&self) -> impl ExactSizeIterator<Item = &str> {
        let w3c = W3C_FIELDS.into_iter().zip(self.w3c).filter(|(_, is_written)| *is_written);
        let others = self.rare.iter().flat_map(|rare| rare.others.iter().map(String::as_str));
        w3c.map(|(field, _)| field).chain(others).collect::<Vec<_>>().into_iter()
    }

    /// Returns the bytes of the written fields: names, values and what the transport puts around them.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// Returns the members that were left out.
    pub fn dropped(&self) -> &[DroppedMembers] {
        self.rare.as_ref().map_or(&[], |rare| &rare.dropped)
    }

    /// Returns the valid span context that the message had before, for a link.
    pub fn existing(&self) -> Option<&SpanContext> {
        self.rare.as_ref()?.existing.as_ref()
    }

    /// Returns the outcome.
    pub fn outcome(&self) -> InjectionOutcome {
        self.outcome
    }

    /// Returns whether the written fields hold no span.
    #[cfg(feature = "instrumentation")]
    pub(crate) fn is_baggage_alone(&self) -> bool {
        self.fields().all(|field| field == W3C_FIELDS[BAGGAGE_SLOT])
    }

    /// Returns the report of a message that is sent without the fields after all.
    #[cfg(feature = "instrumentation")]
    pub(crate) fn no_room(&self) -> Self {
        Self::of(self.existing().cloned(), InjectionOutcome::NoRoom)
    }

    #[inline]
    fn of(existing: Option<SpanContext>, outcome: InjectionOutcome) -> Self {
        let rare = existing.map(|existing| Box::new(Rare { existing: Some(existing), ..Rare::default() }));
        Self { outcome, rare, ..Self::default() }
    }

    #[inline]
    fn left_out(&mut self, slot: usize, members: usize, reason: DropReason) {
        if members > 0 {
            self.add_dropped(W3C_FIELDS[slot], members, reason);
        }
    }

    fn add_dropped(&mut self, field: &'static str, members: usize, reason: DropReason) {
        let all = &mut self.rare.get_or_insert_default().dropped;
        match all.iter_mut().find(|dropped| dropped.field == field && dropped.reason == reason) {
            Some(dropped) => dropped.members += members,
            None => all.push(DroppedMembers { field: field.into(), members, reason }),
        }
    }

    #[inline]
    fn written(&mut self, fields: &Fields<'_>, bytes: usize) {
        self.outcome = InjectionOutcome::Written;
        self.bytes = bytes;
        self.w3c = fields.w3c();
        let others = fields.others().map(str::to_owned);
        if others.len() > 0 {
            self.rare.get_or_insert_default().others = others.collect();
        }
    }
}

#[cfg(all(test, feature = "instrumentation"))]
mod tests {
    use super::*;
    use crate::{W3c, testing, w3c};

    #[test]
    fn a_carrier_that_was_prepared_for_other_fields_is_looked_at_again() {
        let before = Propagation::builder().propagator(W3c::trace_context()).build();
        let after = Propagation::builder().propagator(w3c()).build();
        let mut headers = vec![("baggage".to_owned(), "old=1".to_owned())];
        let prepared = before.prepare(&headers);
        after.inject_prepared(prepared, &testing::remote_context(), &mut headers, Budget::default());
        let keys: Vec<_> = headers.iter().map(|(key, _)| &**key).collect();
        assert_eq!(keys, ["traceparent"]);
    }
}
