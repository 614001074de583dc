//! A message that was asked for and received.

use opentelemetry::Context;
use opentelemetry::trace::Link;

use super::incoming::valid_span;
use super::live::{Beginning, Live, Operation};
use super::relation::Chosen;
use super::{Destination, Details, Failure, Instrumentation, Received};
use crate::TextMapReader;

impl Instrumentation {
    /// Records that a message was asked for, and what came: a span from `began` to now, and a count of one.
    ///
    /// The span is made behind the event, so that a sampler sees the link to the message's sender, and so that a call
    /// which is cancelled leaves nothing open. `message` is `None` where there was none.
    pub fn received<R: TextMapReader>(
        &self,
        began: Beginning,
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
        let links = || {
            let is_related = self.relation.of(&Received::default()) != Chosen::Nothing;
            let found = message.filter(|_| is_related).map(|reader| self.read(reader));
            let sender =
                found.and_then(|found| valid_span(&found.context).or_else(|| found.links().first().cloned()));
            sender.map(Link::with_context).into_iter().collect()
        };
        let operation = Operation::receive();
        let live = Live::start(&self.shared, operation, destination, began, &current, links, details);
        live.consumed(u64::from(message.is_some()), &[]);
        live.end(failure);
    }
}
