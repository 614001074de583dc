//! A message that the program asked for.

use opentelemetry::Context;
use opentelemetry::trace::SpanKind;

use super::builder::Instrumentation;
use super::details::Details;
use super::hook::{Filter, Incoming, Seen};
use super::links::Links;
use super::message::IncomingMessage;
use super::metrics::{QueueTime, Received, StartTime};
use super::operation::{Destination, Operation, OperationType};
use super::outcome::Failure;
use super::relation::{Choice, Sender};
use super::span::{OperationSpan, Start};
use crate::TextMapReader;

impl Instrumentation {
    /// Records a receive call: a span from `start` to now, and a message counted as consumed if there is one.
    ///
    /// Call it after the client's call returned. So a sampler sees the link to the sender, and a call that is cancelled
    /// leaves no open span. Pass `Ok(None)` if there was no message.
    pub fn received<M: IncomingMessage, R: TextMapReader>(
        &self,
        start: StartTime,
        destination: Destination,
        message: Result<Option<(&M, &R)>, Failure>,
        details: impl FnOnce(&mut Details<'_>),
    ) {
        let current = Context::current();
        let is_empty = matches!(message, Ok(None));
        let filter = self.filters.of(OperationType::Receive, is_empty, || destination.clone());
        if current.is_telemetry_suppressed() || filter != Filter::Observe {
            return;
        }
        let (message, failure) = match message {
            Ok(message) => (message, None),
            Err(failure) => (None, Some(failure)),
        };
        let sender = message.map(|(_, reader)| Sender::read(&self.propagation, reader, self.has_metrics()));
        let seen = message.map(|(message, reader)| Incoming(message, reader));
        let (context, span) = OperationSpan::start(
            Start {
                telemetry: &self.telemetry,
                operation: Operation::new(OperationType::Receive, SpanKind::Client),
                at: Some(start),
                parent: &current,
                message: seen.as_ref().map(|seen| seen as &dyn Seen),
            },
            || destination,
            |_, links| {
                if let (Some((message, reader)), Some(sender)) = (message, &sender) {
                    self.link_to_sender(message, reader, sender, links);
                }
            },
            details,
        );
        if let Some(mut span) = span {
            if let Some(sender) = sender {
                let received = Received {
                    is_counted: false,
                    status: sender.status,
                    queue_time: QueueTime::Unknown,
                    attempts: None,
                };
                span.consumed(&context, &[received]);
            }
            span.end(&context, failure, None);
        }
    }

    /// Adds a link to a message's sender, for a span that has another parent. Adds none if the relation is `Ignore`.
    pub(super) fn link_to_sender<R: TextMapReader>(
        &self,
        message: &impl IncomingMessage,
        reader: &R,
        sender: &Sender,
        links: &mut Links,
    ) {
        if self.relation.of(message, QueueTime::Unknown, sender, reader) != Choice::Ignore {
            sender.span().into_iter().for_each(|span| links.add(span));
        }
    }
}
