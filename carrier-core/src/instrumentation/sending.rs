//! The producer's side: a span whose context goes into the message, and that ends when the outcome is known.

use opentelemetry::trace::{Link, SpanContext, TraceContextExt as _};
use opentelemetry::{Context, StringValue};

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
        let parent = Context::current();
        if parent.is_telemetry_suppressed() {
            let injection = self.propagation.inject(&parent, carrier);
            return Sending { carried: carried(&injection, &parent), injection, context: parent, live: None };
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
        Sending { carried: carried(&injection, &context), injection, context, live }
    }
}

/// The span that a message carries behind an injection of `cx`.
fn carried(injection: &Injection, cx: &Context) -> Option<SpanContext> {
    match injection.outcome() {
        Outcome::Written if injection.is_baggage_alone() => None,
        Outcome::Written => Some(cx.span().span_context().clone()),
        Outcome::Kept | Outcome::LeftAlone => injection.existing().cloned(),
        _ => None,
    }
}

impl Instrumentation {
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
    carried: Option<SpanContext>,
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
    pub fn carried(&self) -> Option<&SpanContext> {
        self.carried.as_ref().filter(|carried| carried.is_valid())
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
            live.details(details);
        }
    }

    /// The broker has said which partition the message went to.
    pub fn partition(&mut self, id: impl Into<StringValue>) {
        if let Some(live) = &mut self.live {
            live.partition(id.into());
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
            live.end(failure);
        }
    }
}

impl Drop for Sending {
    fn drop(&mut self) {
        self.end(None);
    }
}
