//! A message that the program asked for.

use opentelemetry::Context;
use opentelemetry::trace::SpanKind;

use super::builder::Instrumentation;
use super::links::Links;
use super::message::Incoming;
use super::metrics::{QueueTime, StartTime};
use super::operation::{Destination, Operation, OperationType};
use super::outcome::Failure;
use super::relation::{Choice, Sender};
use super::span::{Details, OperationSpan};
use crate::TextMapReader;

impl Instrumentation {
    /// Records a receive call: a span from `start` to now, and a message counted as consumed if there is one.
    ///
    /// Call it after the client's call returned. So a sampler sees the link to the sender, and a call that is cancelled
    /// leaves no open span. Pass `Ok(None)` if there was no message.
    pub fn received<R: TextMapReader>(
        &self,
        start: StartTime,
        destination: Destination,
        message: Result<Option<&R>, Failure>,
        details: impl FnOnce(&mut Details<'_>),
    ) {
        let current = Context::current();
        if current.is_telemetry_suppressed() {
            return;
        }
        let (message, failure) = match message {
            Ok(message) => (message, None),
            Err(failure) => (None, Some(failure)),
        };
        let links = |destination: &Destination, links: &mut Links| {
            if let Some(message) = message {
                self.link_to_sender(message, destination, links);
            }
        };
        let operation = Operation::new(OperationType::Receive, SpanKind::Client);
        let (telemetry, destination) = (&self.telemetry, || destination);
        let (context, span) =
            OperationSpan::start(telemetry, operation, destination, Some(start), &current, links, details);
        if let Some(span) = span {
            span.consumed(u64::from(message.is_some()), &[]);
            span.end(&context, failure, None);
        }
    }

    /// Adds a link to a message's sender, for a span that has another parent. Adds none if the relation is `Ignore`.
    pub(super) fn link_to_sender<R: TextMapReader>(
        &self,
        message: &R,
        destination: &Destination,
        links: &mut Links,
    ) {
        let sender = Sender::read(&self.propagation, message);
        let known = Incoming::new(destination.clone());
        if self.relation.of(&known, QueueTime::Unknown, &sender, message) != Choice::Ignore {
            sender.span().into_iter().for_each(|span| links.add(span));
        }
    }
}
