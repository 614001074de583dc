//! Spans of settlements, which are off by default.

use std::sync::Arc;

use opentelemetry::trace::{SpanContext, SpanKind};
use opentelemetry::{Context, StringValue};

use super::builder::Instrumentation;
use super::details::Details;
use super::hook::Filter;
use super::links::Links;
use super::message::IncomingMessage;
use super::operation::{Destination, Operation, OperationType};
use super::outcome::Failure;
use super::relation::Sender;
use super::span::{OperationSpan, Start, Telemetry};
use crate::TextMapReader;

impl Instrumentation {
    /// Starts the span of a settlement that belongs to no single process span: a commit. Does nothing unless
    /// [`settle_spans`](super::InstrumentationBuilder::settle_spans) is on.
    ///
    /// The parent is the current span. `operation` is the messaging system's name of the operation.
    pub fn settle(
        &self,
        operation: impl Into<StringValue>,
        destination: impl FnOnce() -> Destination,
        details: impl FnOnce(&mut Details<'_>),
    ) -> Settling {
        self.settle_linked(operation, destination, |_| {}, details)
    }

    /// Like [`settle`](Self::settle), with a link to the sender of the message that is settled.
    pub fn settle_message<R: TextMapReader>(
        &self,
        operation: impl Into<StringValue>,
        message: &impl IncomingMessage,
        reader: &R,
        details: impl FnOnce(&mut Details<'_>),
    ) -> Settling {
        let links = |links: &mut Links| {
            let sender = Sender::read(&self.propagation, reader, false);
            self.link_to_sender(message, reader, &sender, links);
        };
        self.settle_linked(operation, || message.destination(), links, details)
    }

    fn settle_linked(
        &self,
        operation: impl Into<StringValue>,
        destination: impl FnOnce() -> Destination,
        links: impl FnOnce(&mut Links),
        details: impl FnOnce(&mut Details<'_>),
    ) -> Settling {
        let current = Context::current();
        if !self.settle_spans || current.is_telemetry_suppressed() {
            return Settling(None);
        }
        let destination = destination();
        match self.filters.of(OperationType::Settle, false, || destination.clone()) {
            Filter::Observe => {
                Settling::start(&self.telemetry, operation, || destination, &current, links, details)
            }
            Filter::CarryOnly | Filter::Skip => Settling(None),
        }
    }
}

/// Data needed to start settlement spans later. Kept only if `settle_spans` is on.
#[derive(Debug)]
pub(super) struct Settlements {
    pub(super) telemetry: Arc<Telemetry>,
    /// The span that sent the message.
    pub(super) sender: Option<SpanContext>,
}

/// A settlement in progress, with or without a span.
///
/// If it is dropped, the outcome is unknown. The span ends with the status unset, and its duration is not measured.
#[derive(Debug)]
#[must_use = "the span ends with an unknown outcome if this is dropped; call `ended`"]
pub struct Settling(pub(super) Option<(Context, OperationSpan)>);

impl Settling {
    pub(super) fn start(
        telemetry: &Telemetry,
        operation: impl Into<StringValue>,
        destination: impl FnOnce() -> Destination,
        parent: &Context,
        links: impl FnOnce(&mut Links),
        details: impl FnOnce(&mut Details<'_>),
    ) -> Self {
        let named = Operation::new(OperationType::Settle, SpanKind::Client);
        let operation = Operation { name: operation.into(), ..named };
        let start = Start { telemetry, operation, at: telemetry.start_time(), parent, message: None };
        let (context, span) = OperationSpan::start(start, destination, |_, to| links(to), details);
        Self(span.map(|span| (context, span)))
    }

    /// Ends the span.
    pub fn ended(mut self, result: Result<(), Failure>) {
        if let Some((context, span)) = self.0.take() {
            span.end(&context, result.err(), None);
        }
    }
}

impl Drop for Settling {
    fn drop(&mut self) {
        if let Some((context, span)) = self.0.take() {
            span.abandon(&context);
        }
    }
}
