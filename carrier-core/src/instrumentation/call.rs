//! A request whose reply the program waits for.

use opentelemetry::Context;

use super::attribute;
use super::builder::Instrumentation;
use super::details::Details;
use super::handled::Handled;
use super::message::OutgoingMessage;
use super::outcome::Failure;
use super::process::Process;
use super::relation::valid_span;
use super::send::{Manner, Requested};
use crate::TextMapCarrier;

impl Instrumentation {
    /// Starts the span of a call: of a request and the wait for its reply. Its context is written into the request.
    ///
    /// The span is named `request {destination}`, and its parent is the current span. Its kind is CLIENT, because the program
    /// waits for the reply (Trace API, "SpanKind"). The messaging spans have PRODUCER for a span whose context the message
    /// carries; they have no operation for request and reply.
    ///
    /// Publish the request with any client inside [`Call::run`]. The span of the program that processes it is a child of this
    /// span. If [`send`](Self::send) publishes it, there is an ordinary send span below the call, and the send span is the
    /// parent of the process span. The message counts as sent once.
    ///
    /// [`MessageParts`](super::MessageParts) of `message` has the reply's destination and the conversation id.
    ///
    /// # Examples
    ///
    /// ```
    /// use carrier_core::instrumentation::{Destination, Instrumentation};
    /// use std::collections::HashMap;
    ///
    /// # async fn ask(headers: HashMap<String, String>) -> Result<String, std::io::Error> { Ok("42".into()) }
    /// # async fn example() -> Result<String, std::io::Error> {
    /// let nats = Instrumentation::builder("nats").build();
    /// let mut headers = HashMap::new();
    /// let call = nats.call(|| Destination::new("prices"), &mut headers, |_| {});
    /// call.run(ask(headers)).await
    /// # }
    /// ```
    pub fn call<C: TextMapCarrier>(
        &self,
        message: impl OutgoingMessage,
        carrier: &mut C,
        details: impl FnOnce(&mut Details<'_>),
    ) -> Call {
        let sending = self.send_in(Context::current(), Manner::Request, &message, carrier, |span| {
            let parts = message.parts();
            for (key, value) in [
                (attribute::MESSAGING_MESSAGE_CONVERSATION_ID, parts.conversation_id),
                (attribute::REPLY_DESTINATION, parts.reply_to),
            ] {
                if let Some(value) = value {
                    span.set(key, value.to_owned());
                }
            }
            details(span);
        });
        let (context, span) = sending.into_parts();
        let context = match valid_span(&context).filter(|_| span.is_some()) {
            Some(request) => context.with_value(Requested(request)),
            None => context,
        };
        let process = Process::new(self, context, span, None);
        process.set_used();
        Call(process)
    }
}

/// A request whose reply the program waits for. It owns the span, and ends it exactly once.
///
/// The span ends when the future given to [`run`](Self::run) is over, or when this is dropped. It fails if the future returned
/// an error ([`Handled`]), panicked or was cancelled ([`Cancellation`](super::Cancellation)): so does a call whose time is over.
#[derive(Debug)]
#[must_use = "the span ends when this is dropped; keep it until the reply has arrived"]
pub struct Call(Process);

impl Call {
    /// Publishes the request and waits for the reply, with the call's span as the current one: see [`Process::run`].
    pub async fn run<F, K>(&self, exchange: F) -> F::Output
    where
        F: Future,
        F::Output: Handled<K>,
    {
        self.0.run(exchange).await
    }

    /// The context that contains the call's span.
    pub fn context(&self) -> &Context {
        self.0.context()
    }

    /// Reports a failure of a call that is not a future given to [`run`](Self::run). The first failure counts.
    pub fn fail(&self, failure: Failure) {
        self.0.fail(failure);
    }
}
