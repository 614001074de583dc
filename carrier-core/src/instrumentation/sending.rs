//! The producer's side: a span whose context goes into the message, and that ends when the outcome is known.

use opentelemetry::trace::{Link, SpanContext};
use opentelemetry::{Context, StringValue};

use super::incoming::valid_span;
use super::live::{Live, Operation};
use super::{Destination, Details, Failure, Instrumentation};
use crate::{Injection, Outcome, TextMapCarrier, TextMapReader};

impl Instrumentation {
    /// Starts the span of one message that is sent, and writes its context into the message.
    ///
    /// Its parent is the current context. It is of kind PRODUCER where the message will carry its context, and CLIENT where
    /// the message keeps one that it has, or propagation is off. A valid context that was in the message is linked.
    /// `details` is asked for more attributes where the span is recorded.
    ///
    /// Where telemetry is suppressed nothing is started, and the current context is written.
    pub fn send<C: TextMapCarrier>(
        &self,
        destination: Destination,
        carrier: &mut C,
        details: impl FnOnce(&mut Details<'_>),
    ) -> Sending {
        self.send_to(|| destination, carrier, details)
    }

    /// As [`send`](Self::send), with a destination that is asked for where a span is started or something is measured.
    pub fn send_to<C: TextMapCarrier>(
        &self,
        destination: impl FnOnce() -> Destination,
        carrier: &mut C,
        details: impl FnOnce(&mut Details<'_>),
    ) -> Sending {
        let parent = Context::current();
        if parent.is_telemetry_suppressed() {
            let injection = self.propagation.inject(&parent, carrier);
            return Sending { injection, context: parent, live: None };
        }
        let began = self.shared.begin();
        let survey = self.propagation.survey(carrier);
        let existing = survey.as_ref().and_then(|survey| survey.existing().cloned());
        let is_written = survey.as_ref().is_some_and(|survey| survey.is_open());
        let links = || existing.map(Link::with_context).into_iter().collect();
        let operation = Operation::send(is_written);
        let (context, live) =
            Live::start(&self.shared, operation, destination, began, &parent, links, details);
        let injection = match survey {
            Some(survey) => self.propagation.inject_surveyed(survey, &context, carrier),
            None => Injection::default(),
        };
        Sending { injection, context, live }
    }

    /// Whether a message carries this span, whoever is trusted to have sent it.
    ///
    /// For a message that comes back: that it is the one that was sent.
    pub fn carries<R: TextMapReader>(&self, reader: &R, span: &SpanContext) -> bool {
        let found = self.propagation.sender(reader);
        found.is_some_and(|found| found.trace_id() == span.trace_id() && found.span_id() == span.span_id())
    }
}

/// A message on its way: owns its span, and ends it exactly once.
///
/// Dropped, it ends the span with the outcome unknown and the status unset: nobody waited for an answer.
#[derive(Debug)]
pub struct Sending {
    injection: Injection,
    context: Context,
    live: Option<Live>,
}

impl Sending {
    /// The context with the span of this message in it, or the sender's own where there is none.
    pub fn context(&self) -> Context {
        self.context.clone()
    }

    /// The span that the message carries; `None` where it carries none.
    pub fn carried(&self) -> Option<SpanContext> {
        match self.injection.outcome() {
            Outcome::Written if !self.injection.is_baggage_alone() => valid_span(&self.context),
            Outcome::Kept | Outcome::LeftAlone => {
                self.injection.existing().filter(|existing| existing.is_valid()).cloned()
            }
            _ => None,
        }
    }

    /// Whether anybody is told how it ends: the span is recorded, or there are metrics. Otherwise nothing is lost with it.
    pub fn is_observed(&self) -> bool {
        self.live.is_some()
    }

    /// What was written into the message.
    pub fn injection(&self) -> &Injection {
        &self.injection
    }

    /// Adds attributes that became known later, where the span is recorded.
    pub fn details(&self, details: impl FnOnce(&mut Details<'_>)) {
        if let Some(live) = &self.live {
            live.details(&self.context, details);
        }
    }

    /// The broker has said which partition the message went to.
    pub fn partition(&mut self, id: impl Into<StringValue>) {
        if let Some(live) = &mut self.live {
            live.partition(&self.context, id.into());
        }
    }

    /// Ends the span: the broker has the message.
    pub fn succeeded(mut self) {
        self.end(None);
    }

    /// Ends the span: the broker does not have the message, or has no use for it.
    pub fn failed(mut self, failure: Failure) {
        self.end(Some(failure));
    }

    /// Ends the span either way.
    pub fn ended(self, result: Result<(), Failure>) {
        match result {
            Ok(()) => self.succeeded(),
            Err(failure) => self.failed(failure),
        }
    }

    fn end(&mut self, failure: Option<Failure>) {
        if let Some(live) = self.live.take() {
            live.end(&self.context, failure);
        }
    }
}

impl Drop for Sending {
    fn drop(&mut self) {
        self.end(None);
    }
}
