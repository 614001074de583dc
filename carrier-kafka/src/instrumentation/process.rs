//! A message that is processed.

use std::ops::{Deref, DerefMut};

use carrier_core::instrumentation::{Failure, Handled, Process};
use opentelemetry::Context;

use super::message::Incoming;
use super::{AsMessage, Instrumentation};
use crate::{ExtractFrom, HeadersReader};

impl Instrumentation {
    /// Starts the span of one message that is processed: the line in your consumer.
    ///
    /// The message is taken by value, by reference, or in an `Arc` or `Box`. [`Relation`](super::Relation) and
    /// [`Ambient`](super::Ambient) decide about the parent and the links.
    ///
    /// # Examples
    ///
    /// ```
    /// use carrier_kafka::Instrumentation;
    /// use carrier_kafka::rdkafka::Message;
    /// use carrier_kafka::rdkafka::consumer::{CommitMode, Consumer, StreamConsumer};
    /// use carrier_kafka::rdkafka::error::KafkaResult;
    ///
    /// async fn consume(kafka: Instrumentation, consumer: StreamConsumer) -> KafkaResult<()> {
    ///     loop {
    ///         let message = kafka.process(consumer.recv().await?);
    ///         message.run(work(message.payload())).await;
    ///         consumer.commit_message(&message, CommitMode::Async)?;
    ///     }
    /// }
    ///
    /// async fn work(payload: Option<&[u8]>) { /* the process span is the current one */ }
    /// ```
    ///
    /// Keep the message together with its span in a task, or pass it to a function that takes it by value:
    ///
    /// ```
    /// # use carrier_kafka::Instrumentation;
    /// # use carrier_kafka::rdkafka::message::{BorrowedMessage, OwnedMessage};
    /// fn on_message(kafka: &Instrumentation, message: &BorrowedMessage<'_>) {
    ///     let (process, message) = kafka.process(message.detach()).into_parts();
    ///     tokio::spawn(async move { process.run(handle(message)).await });
    /// }
    ///
    /// async fn handle(message: OwnedMessage) { /* the process span is the current one */ }
    /// ```
    ///
    /// A guard that is dropped at once ends its span before the message is handled, so the compiler warns:
    ///
    /// ```compile_fail
    /// #![deny(unused_must_use)]
    /// fn on_message(kafka: &carrier_kafka::Instrumentation, message: &carrier_kafka::rdkafka::message::OwnedMessage) {
    ///     kafka.process(message);
    /// }
    /// ```
    pub fn process<M: AsMessage>(&self, message: M) -> Processing<M> {
        let received = message.as_message();
        let incoming = Incoming { kafka: self, message: &message };
        let process = self.core.process(incoming, &received.reader(), |span| self.describe(received, span));
        Processing { process, message }
    }
}

/// A message that is processed, together with its span. It is the message through `Deref`.
///
/// The span ends when the future given to [`run`](Self::run) is over, or when this is dropped. The span fails if the future
/// returned an error, panicked or was cancelled. A commit does not end it: it settles all messages before an offset.
#[derive(Debug)]
#[must_use = "the span ends when this is dropped; keep it until the message is handled"]
pub struct Processing<M> {
    // Before the message: the span ends before the message is dropped.
    process: Process,
    message: M,
}

impl<M> Processing<M> {
    /// Runs a handler with the process span as the current one: see [`Process::run`].
    pub async fn run<F: Future<Output: Handled<K>>, K>(&self, handler: F) -> F::Output {
        self.process.run(handler).await
    }

    /// Calls a handler that is not a future, with the process span as the current one: see [`Process::in_scope`].
    pub fn in_scope<T>(&self, handler: impl FnOnce() -> T) -> T {
        self.process.in_scope(handler)
    }

    /// The context of the handler: it contains the process span and the message's baggage.
    ///
    /// For a handler that is not a future, use [`in_scope`](Self::in_scope).
    pub fn context(&self) -> &Context {
        self.process.context()
    }

    /// Reports a failure of a handler that is not a future given to [`run`](Self::run). The first failure counts.
    pub fn fail(&self, failure: Failure) {
        self.process.fail(failure);
    }

    /// Returns the span and the message apart, for a function that takes the message by value.
    pub fn into_parts(self) -> (Process, M) {
        (self.process, self.message)
    }
}

impl<M> Deref for Processing<M> {
    type Target = M;

    fn deref(&self) -> &M {
        &self.message
    }
}

impl<M> DerefMut for Processing<M> {
    fn deref_mut(&mut self) -> &mut M {
        &mut self.message
    }
}

/// A message that is processed again, or in a batch as well. It was counted as consumed before.
impl<M: AsMessage> AsMessage for Processing<M> {
    type Message = M::Message;

    fn as_message(&self) -> &M::Message {
        self.message.as_message()
    }

    fn is_counted(&self) -> bool {
        true
    }
}

impl<M: AsMessage> ExtractFrom for Processing<M> {
    fn reader(&self) -> HeadersReader<'_> {
        self.message.as_message().reader()
    }
}
