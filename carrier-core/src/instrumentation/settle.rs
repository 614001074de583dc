//! Spans of settlements, where those are wanted.

use std::sync::Arc;

use opentelemetry::Context;
use opentelemetry::trace::{Link, SpanContext};

use super::live::{Live, Operation};
use super::settings::Shared;
use super::{Destination, Details, Failure, Instrumentation};
use crate::TextMapReader;

impl Instrumentation {
    /// Starts the span of a settlement that is not that of one process span, where those are wanted: a commit.
    ///
    /// It is a child of the current span. `operation` is the system's name of it.
    pub fn settle(
        &self,
        operation: &'static str,
        destination: impl FnOnce() -> Destination,
        details: impl FnOnce(&mut Details<'_>),
    ) -> Settling {
        self.settle_linked(operation, destination, Vec::new, details)
    }

    /// As [`settle`](Self::settle), with a link to the sender of the message that is settled.
    pub fn settle_message<R: TextMapReader>(
        &self,
        operation: &'static str,
        destination: impl FnOnce() -> Destination,
        message: &R,
        details: impl FnOnce(&mut Details<'_>),
    ) -> Settling {
        self.settle_linked(operation, destination, || self.link_to_sender(message), details)
    }

    fn settle_linked(
        &self,
        operation: &'static str,
        destination: impl FnOnce() -> Destination,
        links: impl FnOnce() -> Vec<Link>,
        details: impl FnOnce(&mut Details<'_>),
    ) -> Settling {
        let current = Context::current();
        match self.shared.settle_spans && !current.is_telemetry_suppressed() {
            true => Settling::start(&self.shared, operation, destination, &current, links, details),
            false => Settling::NONE,
        }
    }
}

/// What the spans of one message's settlements are made of; there where those are wanted.
pub(super) struct Settles {
    shared: Arc<Shared>,
    creation: Option<SpanContext>,
}

impl std::fmt::Debug for Settles {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Settles").field("creation", &self.creation).finish_non_exhaustive()
    }
}

impl Settles {
    /// Of a message that was sent by this span, where that is known.
    pub(super) fn of(shared: &Arc<Shared>, creation: Option<SpanContext>) -> Self {
        Self { shared: Arc::clone(shared), creation }
    }

    pub(super) fn start(
        &self,
        operation: &'static str,
        destination: impl FnOnce() -> Destination,
        process: &Context,
        details: impl FnOnce(&mut Details<'_>),
    ) -> Settling {
        let links = || self.creation.clone().map(Link::with_context).into_iter().collect();
        Settling::start(&self.shared, operation, destination, process, links, details)
    }
}

/// A settlement under way, whether or not it has a span.
///
/// Dropped, it ends the span with the outcome unknown and the status unset.
#[derive(Debug)]
pub struct Settling(Option<(Context, Live)>);

impl Settling {
    /// One without a span.
    pub(super) const NONE: Self = Self(None);

    fn start(
        shared: &Arc<Shared>,
        operation: &'static str,
        destination: impl FnOnce() -> Destination,
        parent: &Context,
        links: impl FnOnce() -> Vec<Link>,
        details: impl FnOnce(&mut Details<'_>),
    ) -> Self {
        let (operation, began) = (Operation::settle(operation), shared.begin());
        let (context, live) = Live::start(shared, operation, destination, began, parent, links, details);
        Self(live.map(|live| (context, live)))
    }

    /// Ends the span.
    pub fn ended(mut self, result: Result<(), Failure>) {
        self.end(result.err());
    }

    fn end(&mut self, failure: Option<Failure>) {
        if let Some((context, live)) = self.0.take() {
            live.end(&context, failure);
        }
    }
}

impl Drop for Settling {
    fn drop(&mut self) {
        self.end(None);
    }
}
