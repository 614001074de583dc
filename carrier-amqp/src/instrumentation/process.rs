//! A message that is processed.

use std::ops::{Deref, DerefMut};

use carrier_core::instrumentation::{self as core, Failure, Handled, Settlement};
use lapin::Acker;
use opentelemetry::Context;

use super::message::Incoming;
use super::{AsMessage, Instrumentation, message};
use crate::{ExtractFrom, FieldTableReader};

impl Instrumentation {
    /// Starts the span of one message that is processed: the line in your consumer.
    ///
    /// `queue` is the queue that the message was consumed from; a message does not contain it. The message may come from a
    /// stream, a delegate, `basic_get` or a mock. [`Relation`](super::Relation) and [`Ambient`](super::Ambient) decide
    /// about the parent and the links.
    ///
    /// # Examples
    ///
    /// Keep the message together with its span, also in a task:
    ///
    /// ```no_run
    /// # use carrier_amqp::Instrumentation;
    /// # use carrier_amqp::lapin::{self, message::Delivery};
    /// # async fn work(data: &[u8]) {}
    /// async fn on_delivery(amqp: &Instrumentation, delivery: Delivery) {
    ///     let delivery = amqp.process("orders", delivery);
    ///     tokio::spawn(async move {
    ///         delivery.run(work(&delivery.data)).await;
    ///         delivery.ack(Default::default()).await
    ///     });
    /// }
    /// ```
    ///
    /// Or pass the message to a function that takes it by value:
    ///
    /// ```no_run
    /// # use carrier_amqp::Instrumentation;
    /// # use carrier_amqp::lapin::{self, message::Delivery};
    /// async fn on_delivery(amqp: &Instrumentation, delivery: Delivery) -> lapin::Result<bool> {
    ///     let (process, delivery) = amqp.process("orders", delivery).into_parts();
    ///     process.run(handle(delivery)).await
    /// }
    ///
    /// async fn handle(delivery: Delivery) -> lapin::Result<bool> {
    ///     delivery.ack(Default::default()).await
    /// }
    /// ```
    ///
    /// A guard that is dropped at once ends its span before the message is handled, so the compiler warns:
    ///
    /// ```compile_fail
    /// #![deny(unused_must_use)]
    /// fn on_delivery(amqp: &carrier_amqp::Instrumentation, delivery: carrier_amqp::lapin::message::Delivery) {
    ///     amqp.process("orders", &delivery);
    /// }
    /// ```
    pub fn process<M: AsMessage>(&self, queue: &str, message: M) -> Processing<M> {
        let delivery = message.as_message();
        let incoming = Incoming { amqp: self, queue, message: &message };
        let process =
            self.core.process(incoming, &delivery.reader(), |span| message::describe(delivery, span));
        let process = process.until_settled();
        let acker = process.is_observed().then(|| delivery.acker.clone());
        let source = self.core.has_settle_spans().then(|| (self.clone(), queue.to_owned()));
        Processing { process: Process { inner: process, acker }, source, message }
    }
}

/// A message that is processed, together with its span. It is the message through `Deref`.
///
/// The span ends when the future given to [`run`](Self::run) is over and the message is settled through this value, in any
/// order, or when this is dropped. `carrier.settlement` reports the settlement. The span fails if the future returned an
/// error, panicked or was cancelled, or if the message was nacked, rejected, or lost its channel. This value never settles
/// the message itself.
///
/// A settlement through [`lapin::Channel::basic_ack`] or another delivery's `multiple` is not seen.
#[derive(Debug)]
#[must_use = "the span ends when this is dropped; keep it until the message is handled and settled"]
pub struct Processing<M> {
    // Before the message: the span ends before the message is dropped.
    pub(super) process: Process,
    /// The instrumentation and the queue, for settlement spans.
    pub(super) source: Option<(Instrumentation, String)>,
    pub(super) message: M,
}

impl<M> Processing<M> {
    /// Runs a handler with the process span as the current one: see [`Process::run`](core::Process::run).
    pub async fn run<F: Future<Output: Handled<K>>, K>(&self, handler: F) -> F::Output {
        self.process.inner.run(handler).await
    }

    /// Calls a handler that is not a future, with the process span as the current one: see [`Process::in_scope`](core::Process::in_scope).
    pub fn in_scope<T>(&self, handler: impl FnOnce() -> T) -> T {
        self.process.inner.in_scope(handler)
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

/// The span of a message that is processed, without the message: see [`Processing::into_parts`].
///
/// The span ends when the future given to [`run`](Self::run) is over and has settled the message, or when this is dropped.
/// `carrier.settlement` is `settled` if the message was settled on the delivery: lapin does not report how.
#[derive(Debug)]
#[must_use = "the span ends when this is dropped; keep it until the message is handled and settled"]
pub struct Process {
    pub(super) inner: core::Process,
    /// Lets `drop` see settlements made directly on lapin's acker. `None` if nothing is observed.
    acker: Option<Acker>,
}

impl Process {
    /// Runs a handler with the process span as the current one: see [`Process::run`](core::Process::run).
    pub async fn run<F: Future<Output: Handled<K>>, K>(&self, handler: F) -> F::Output {
        let output = self.inner.run(handler).await;
        if self.acker.as_ref().is_some_and(|acker| !acker.poisoned() && !acker.usable()) {
            self.inner.settle(Settlement::Settled);
        }
        output
    }

    /// Calls a handler that is not a future: see [`Process::in_scope`](core::Process::in_scope).
    pub fn in_scope<T>(&self, handler: impl FnOnce() -> T) -> T {
        self.inner.in_scope(handler)
    }

    /// The context of the handler: it contains the process span and the message's baggage.
    pub fn context(&self) -> &Context {
        self.inner.context()
    }

    /// Reports a failure of a handler that is not a future given to [`run`](Self::run). The first failure counts.
    pub fn fail(&self, failure: Failure) {
        self.inner.fail(failure);
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let Some(acker) = &self.acker else { return };
        self.inner.settle_on_drop(|| {
            if acker.poisoned() {
                Settlement::ChannelClosed
            } else if !acker.usable() {
                Settlement::Settled
            } else {
                Settlement::Unsettled
            }
        });
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

impl<M: AsMessage> ExtractFrom for Processing<M> {
    fn reader(&self) -> FieldTableReader<'_> {
        self.message.as_message().reader()
    }
}
