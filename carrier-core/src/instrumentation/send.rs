//! A message that is sent: its span's context is written into the message.

use std::time::Instant;

use opentelemetry::trace::{SpanContext, SpanKind, TraceContextExt as _};
use opentelemetry::{Context, StringValue};

use super::attribute;
use super::builder::Instrumentation;
use super::details::Details;
use super::hook::{Filter, Outgoing};
use super::links::is_same;
use super::message::OutgoingMessage;
use super::operation::{Operation, OperationType};
use super::outcome::Failure;
use super::relation::{Relation, valid_span, with_span_of};
use super::span::{OperationSpan, Start};
use crate::{Injection, InjectionOutcome, TextMapCarrier, TextMapReader};

/// The header of a message that was published again: the number of attempts to process it, including the failed one.
pub const ATTEMPTS_HEADER: &str = "x-carrier-attempts";

/// A larger number in [`ATTEMPTS_HEADER`] is not ours, and counts as absent.
pub const MAX_ATTEMPTS: u64 = u32::MAX as u64;

/// The name of the operation of a call.
const REQUEST: &str = "request";

/// How a message is sent.
pub(super) enum Manner {
    First,
    /// The program waits for the reply.
    Request,
    /// Again, after an attempt that failed.
    Again(Option<SpanContext>),
}

/// In the context of a call: the span that the request carries.
#[derive(Debug)]
pub(super) struct Requested(pub(super) SpanContext);

impl Instrumentation {
    /// Starts the span of one message that is sent, and writes its context into the message.
    ///
    /// The parent is the current span. The span's kind is PRODUCER. It is CLIENT if the message keeps the context that it
    /// has, or if propagation is off. A valid context that was in the message is linked.
    ///
    /// If no span is current, a context that was in the message is the parent: so a dead letter that is published after its
    /// handler stays in the trace. It is only linked if [`Trust`](crate::Trust) or [`Relation`] allows no parent, and with
    /// any [`Relation::Rule`]. So do not reuse the headers of one message for an unrelated one.
    ///
    /// If telemetry is suppressed, no span is started, and the current context is written. `message` is asked for its
    /// destination only if a span is started, metrics are recorded, or there is a filter. It may be a closure that returns
    /// the destination.
    pub fn send<C: TextMapCarrier>(
        &self,
        message: impl OutgoingMessage,
        carrier: &mut C,
        details: impl FnOnce(&mut Details<'_>),
    ) -> Sending {
        self.send_in(Context::current(), Manner::First, &message, carrier, details)
    }

    /// Like [`send`](Self::send), for a received message that is published again because its processing failed.
    ///
    /// The message stays in its own trace: the parent is the context that it carries, also if the failed attempt is in another
    /// trace because of [`Relation::Link`]. Without a context that [`Trust`](crate::Trust) accepts as a parent, it is the
    /// failed attempt. The span links to the span in `failed`, the context of the failed attempt.
    ///
    /// `carrier` has the received headers. Write the number of attempts into [`ATTEMPTS_HEADER`] before.
    pub fn send_again<C: TextMapCarrier>(
        &self,
        message: impl OutgoingMessage,
        carrier: &mut C,
        failed: &Context,
        details: impl FnOnce(&mut Details<'_>),
    ) -> Sending {
        let brought = self.propagation.extract(carrier);
        let parent = if brought.span().span_context().is_valid() { brought } else { failed.clone() };
        let is_suppressed = Context::map_current(Context::is_telemetry_suppressed);
        let parent = match is_suppressed || failed.is_telemetry_suppressed() {
            true => parent.with_telemetry_suppressed(),
            false => parent,
        };
        self.send_in(parent, Manner::Again(valid_span(failed)), &message, carrier, details)
    }

    /// Starts the span of a message that is sent from the context `current`.
    pub(super) fn send_in<C: TextMapCarrier>(
        &self,
        current: Context,
        manner: Manner,
        message: &impl OutgoingMessage,
        carrier: &mut C,
        details: impl FnOnce(&mut Details<'_>),
    ) -> Sending {
        let filter = self.filters.of(OperationType::Send, false, || message.destination());
        if filter == Filter::Skip {
            return Sending { injection: Injection::default(), context: current, span: None };
        }
        if filter == Filter::CarryOnly || current.is_telemetry_suppressed() {
            let prepared = self.propagation.prepare(carrier);
            let injection = self.propagation.inject_prepared(prepared, &current, carrier, self.budget);
            return Sending { injection, context: current, span: None };
        }
        let start = self.telemetry.start_time();
        let prepared = self.propagation.prepare(carrier);
        let existing = prepared.existing().cloned();
        let span_kind = if prepared.writes_span() { SpanKind::Producer } else { SpanKind::Client };
        let mut operation = Operation::new(OperationType::Send, span_kind);
        if let Manner::Request = manner {
            (operation.name, operation.span_kind) = (REQUEST.into(), SpanKind::Client);
        }
        // The call counts its request, and its span is above this one.
        let is_requested = existing
            .as_ref()
            .is_some_and(|existing| current.get().is_some_and(|Requested(call)| is_same(existing, call)));
        operation.counts_sent = !is_requested;
        // `inject` may have written the current span before.
        let linked =
            existing.filter(|existing| !is_requested && !is_same(existing, current.span().span_context()));
        let is_forwarded = linked.is_some() && !current.span().span_context().is_valid();
        let parent = if is_forwarded { self.context_of_forwarded(current, carrier) } else { current };
        let failed = if let Manner::Again(failed) = manner { failed } else { None };
        let (context, span) = OperationSpan::start(
            Start {
                telemetry: &self.telemetry,
                operation,
                at: start,
                parent: &parent,
                message: Some(&Outgoing(message, &*carrier)),
            },
            || message.destination(),
            |_, links| linked.into_iter().chain(failed).for_each(|span| links.add(span)),
            details,
        );
        let injection = self.propagation.inject_prepared(prepared, &context, carrier, self.budget);
        let sending = Sending { injection, context, span };
        if sending.injection.outcome() == InjectionOutcome::NoRoom {
            sending.describe_left_out();
        }
        sending
    }

    /// The parent of a message that is sent while no span is current: the context that it has, if that may be a parent.
    fn context_of_forwarded<R: TextMapReader>(&self, current: Context, message: &R) -> Context {
        // A rule needs to know where the message came from.
        if !matches!(self.relation, Relation::Parent) {
            return current;
        }
        let brought = self.propagation.extract(message);
        match brought.span().span_context().is_valid() {
            true => with_span_of(&current, &brought),
            false => current,
        }
    }

    /// Whether a message carries this span, regardless of [`Trust`](crate::Trust).
    ///
    /// Use it to recognise a message that the broker returned.
    pub fn carries<R: TextMapReader>(&self, reader: &R, span: &SpanContext) -> bool {
        let found = self.propagation.sender(reader);
        found.is_some_and(|found| found.trace_id() == span.trace_id() && found.span_id() == span.span_id())
    }
}

/// A message that is being sent. It owns the span, and ends it exactly once.
///
/// If it is dropped, the outcome is unknown. The span ends with the status unset, and the metrics do not count the message.
#[derive(Debug)]
#[must_use = "the span ends with an unknown outcome if this is dropped; call `ended`"]
pub struct Sending {
    injection: Injection,
    context: Context,
    span: Option<OperationSpan>,
}

impl Sending {
    /// The context that contains this message's span, or the caller's context if no span was started.
    pub fn context(&self) -> Context {
        self.context.clone()
    }

    /// The span context that the message carries, if it carries one.
    pub fn carried(&self) -> Option<SpanContext> {
        match self.injection.outcome() {
            InjectionOutcome::Written if !self.injection.is_baggage_alone() => valid_span(&self.context),
            InjectionOutcome::Kept | InjectionOutcome::LeftAlone => {
                self.injection.existing().filter(|existing| existing.is_valid()).cloned()
            }
            _ => None,
        }
    }

    /// Takes the span out, which another guard ends.
    pub(super) fn into_parts(mut self) -> (Context, Option<OperationSpan>) {
        (self.context(), self.span.take())
    }

    /// Whether the outcome is recorded: on the span, or on metrics.
    pub fn is_observed(&self) -> bool {
        self.span.is_some()
    }

    /// What was written into the message.
    pub fn injection(&self) -> &Injection {
        &self.injection
    }

    /// Adds attributes that became known after the start, if the span is recorded.
    pub fn details(&self, details: impl FnOnce(&mut Details<'_>)) {
        if let Some(span) = &self.span {
            span.details(&self.context, details);
        }
    }

    /// Sets the partition that the broker reported, unless it is known already.
    pub fn partition(&mut self, id: impl Into<StringValue>) {
        if let Some(span) = &mut self.span {
            span.partition(&self.context, id.into());
        }
    }

    /// Reports that the message is sent without our headers after all, because the client refused it with them.
    pub fn left_out(&mut self) {
        self.injection = self.injection.no_room();
        self.describe_left_out();
    }

    fn describe_left_out(&self) {
        self.details(|span| span.set(attribute::CONTEXT_LEFT_OUT, true));
    }

    /// Ends the span: the broker has the message, or it failed to take or route it.
    pub fn ended(self, result: Result<(), Failure>) {
        self.end(result, None);
    }

    /// Like [`ended`](Self::ended), if the client reports the outcome later than it was known.
    ///
    /// The span and the duration metric end at this time.
    pub fn ended_at(self, result: Result<(), Failure>, at: Instant) {
        self.end(result, Some(at));
    }

    fn end(mut self, result: Result<(), Failure>, at: Option<Instant>) {
        if let Some(span) = self.span.take() {
            span.end(&self.context, result.err(), at);
        }
    }
}

impl Drop for Sending {
    fn drop(&mut self) {
        if let Some(span) = self.span.take() {
            span.abandon(&self.context);
        }
    }
}
