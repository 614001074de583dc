//! A message that was asked for and received.

use opentelemetry::Context;

use super::live::{Beginning, Live, Operation};
use super::{Destination, Details, Failure, Instrumentation};
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
        let links = || message.map(|message| self.link_to_sender(message)).unwrap_or_default();
        let operation = Operation::receive();
        let destination = || destination;
        let (context, live) =
            Live::start(&self.shared, operation, destination, Some(began), &current, links, details);
        if let Some(live) = live {
            live.consumed(u64::from(message.is_some()), &[]);
            live.end(&context, failure);
        }
    }
}
