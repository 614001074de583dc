//! One message that is processed.

use std::ops::Deref;

use carrier_core::instrumentation::{Failure, Handled, Process};
use opentelemetry::Context;

use super::consumed::Incoming;
use super::{Consumed, Instrumentation};
use crate::{ExtractFrom, HeadersReader};

impl Instrumentation {
    /// Starts the span of one message that is processed: the line where you consume.
    ///
    /// The message is taken by value or by reference, and is there through `Deref`. What the sender's span and the current
    /// one are to the new one is said by [`Relation`](super::Relation) and [`Ambient`](super::Ambient).
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
    pub fn process<M: Consumed>(&self, message: M) -> Processing<M> {
        let consumed = message.message();
        let incoming = Incoming { kafka: self, message: consumed };
        let process = self.common.process(incoming, &message.reader(), |span| self.describe(consumed, span));
        Processing { process, message }
    }
}

/// A message that is processed: owns its span, which ends once, with the future given to [`run`](Self::run) or when this
/// is dropped.
///
/// The span fails with the error that the future returned, or since it panicked or was cancelled. It knows nothing of
/// commits: an offset is committed for all messages before it, by whoever does it.
#[derive(Debug)]
pub struct Processing<M> {
    process: Process,
    message: M,
}

impl<M> Processing<M> {
    /// Runs a handler: the process span is current at every poll, on whatever thread, and nothing is attached in between.
    ///
    /// Not covered: a task that the handler spawns, and `spawn_blocking` (give them the context:
    /// `tokio::spawn(work.with_context(Context::current()))`), and the `Drop` of what the handler holds when it is
    /// cancelled. A future that is dropped before it is over is recorded as cancelled, one that panics as panicked.
    pub async fn run<F>(&self, handler: F) -> F::Output
    where
        F: Future,
        F::Output: Handled,
    {
        self.process.run(handler).await
    }

    /// The context of the handler: the process span is its current one, and the message's baggage is in it.
    ///
    /// For handlers that are no future: `let _guard = message.context().clone().attach();`.
    pub fn context(&self) -> &Context {
        self.process.context()
    }

    /// The handler failed: for one that is not a future given to [`run`](Self::run). The first failure counts.
    pub fn fail(&self, failure: Failure) {
        self.process.fail(failure);
    }

    /// Ends the span and gives the message back.
    pub fn into_inner(self) -> M {
        self.message
    }
}

impl<M> Deref for Processing<M> {
    type Target = M;

    fn deref(&self) -> &M {
        &self.message
    }
}

impl<M: ExtractFrom> ExtractFrom for Processing<M> {
    fn reader(&self) -> HeadersReader<'_> {
        self.message.reader()
    }
}
