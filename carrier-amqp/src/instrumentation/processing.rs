//! A delivery that is processed, and settled at most once.

use std::ops::{Deref, DerefMut};

use carrier_core::instrumentation::{Batch, Destination, Details, Failure, Handled, Process, Settlement};
use lapin::Acker;
use lapin::options::{BasicAckOptions, BasicNackOptions, BasicRejectOptions};
use opentelemetry::Context;

use super::message::Incoming;
use super::{AsDelivery, Instrumentation, Route, failure, message};
use crate::{ExtractFrom, FieldTableReader};

impl Instrumentation {
    /// Starts the span of a message that is processed: the one line where you consume.
    ///
    /// `queue` is where it was consumed from; a message does not say. Works on what a stream, a delegate, `basic_get` or a
    /// mock brings. The sender's span is the parent, or a link, as [`Relation`](super::Relation) says; a span that is
    /// current here is linked.
    pub fn process<M: AsDelivery>(&self, queue: &str, message: M) -> Processing<M> {
        let delivery = message.as_delivery();
        let incoming = Incoming { amqp: self, queue, message: &message };
        let process =
            self.core().process(incoming, &delivery.reader(), |span| message::details(span, delivery));
        let acker = process.is_observed().then(|| delivery.acker.clone());
        let from = self.core().has_settle_spans().then(|| (self.clone(), queue.to_owned()));
        Processing { guard: Guard { process, acker }, from, message }
    }

    /// Starts the span of a batch that is processed as one: a trace of its own with a link to each message's sender.
    ///
    /// What all messages share is on the span, and what differs on the links, of which there are at most
    /// [`max_links`](super::Builder::max_links). Settle the messages as ever; their settlements are not seen.
    pub fn process_batch<M: AsDelivery>(&self, queue: &str, messages: &[M]) -> Batch {
        let shared = |field: for<'a> fn(&'a lapin::message::Delivery) -> &'a str| {
            let mut values = messages.iter().map(|message| field(message.as_delivery()));
            let first = values.next().unwrap_or_default();
            if values.all(|value| value == first) { first } else { "" }
        };
        let exchange = shared(|delivery| delivery.exchange.as_str());
        let routing_key = shared(|delivery| delivery.routing_key.as_str());
        let destination = self.destination(&Route::from(exchange, routing_key, queue));
        let messages = messages.iter().map(|message| {
            let delivery = message.as_delivery();
            let details = move |link: &mut Details<'_>| {
                message::delivery_tag(link, delivery);
                if delivery.routing_key.as_str() != routing_key {
                    message::routing_key(link, &delivery.routing_key);
                }
                let properties = &delivery.properties;
                message::ids(link, properties.message_id().as_ref(), properties.correlation_id().as_ref());
            };
            (delivery.reader(), Incoming { amqp: self, queue, message }, details)
        });
        self.core().process_batch(destination, messages, |span| {
            if !routing_key.is_empty() {
                message::routing_key(span, &routing_key.into());
            }
        })
    }
}

/// A message that is processed: owns the span, ends it exactly once, and is the message in all else.
///
/// The span ends when the future given to [`run`](Self::run) is over and the message is settled through this value, in
/// whatever order, or else when this is dropped. What it says of the end is in `carrier.settlement`, and in `error.type` where the
/// future returned an error, panicked or was cancelled, or the message was nacked, rejected, or lost its channel. It never
/// settles a message by itself.
///
/// Not seen: a settlement through [`lapin::Channel::basic_ack`] or with another delivery's `multiple`.
#[derive(Debug)]
pub struct Processing<M: AsDelivery> {
    // In front of the message: the span ends before it is gone.
    guard: Guard,
    /// Who says where it came from, and the queue: for the spans of settlements, where those are wanted.
    from: Option<(Instrumentation, String)>,
    message: M,
}

#[derive(Debug)]
struct Guard {
    process: Process,
    /// Tells what was done behind our back; there where there is a span to say it.
    acker: Option<Acker>,
}

impl Drop for Guard {
    fn drop(&mut self) {
        let Some(acker) = &self.acker else { return };
        self.process.settle_at_last(|| {
            if acker.poisoned() {
                Settlement::ChannelClosed
            } else if !acker.usable() {
                Settlement::Elsewhere
            } else {
                Settlement::Unsettled
            }
        });
    }
}

impl<M: AsDelivery> Processing<M> {
    /// Runs a handler with the process span as the current one: see [`Process::run`].
    ///
    /// # Examples
    ///
    /// ```no_run
    /// # async fn example(amqp: carrier_amqp::Instrumentation, delivery: lapin::message::Delivery) -> lapin::Result<bool> {
    /// let delivery = amqp.process("orders", delivery);
    /// delivery.run(async { /* … */ delivery.ack(Default::default()).await }).await
    /// # }
    /// ```
    pub async fn run<F>(&self, handler: F) -> F::Output
    where
        F: Future,
        F::Output: Handled,
    {
        self.guard.process.run(handler).await
    }

    /// The context of the handler: the process span, and the message's baggage.
    pub fn context(&self) -> &Context {
        self.guard.process.context()
    }

    /// The handler failed: for one that is not a future given to [`run`](Self::run). The first failure counts.
    pub fn fail(&self, failure: Failure) {
        self.guard.process.fail(failure);
    }

    /// Acknowledges the message, as [`Acker::ack`].
    ///
    /// # Errors
    ///
    /// lapin's own.
    pub async fn ack(&self, options: BasicAckOptions) -> lapin::Result<bool> {
        self.settle("ack", Settlement::Acked, self.acker().ack(options)).await
    }

    /// Acknowledges the message negatively, as [`Acker::nack`].
    ///
    /// # Errors
    ///
    /// lapin's own.
    pub async fn nack(&self, options: BasicNackOptions) -> lapin::Result<bool> {
        self.settle("nack", Settlement::Nacked, self.acker().nack(options)).await
    }

    /// Rejects the message, as [`Acker::reject`].
    ///
    /// # Errors
    ///
    /// lapin's own.
    pub async fn reject(&self, options: BasicRejectOptions) -> lapin::Result<bool> {
        self.settle("reject", Settlement::Rejected, self.acker().reject(options)).await
    }

    /// The message; its span ends here.
    pub fn into_inner(self) -> M {
        self.message
    }

    fn acker(&self) -> &Acker {
        &self.message.as_delivery().acker
    }

    async fn settle(
        &self,
        operation: &'static str,
        settlement: Settlement,
        call: impl Future<Output = lapin::Result<bool>>,
    ) -> lapin::Result<bool> {
        let delivery = self.message.as_delivery();
        let destination = || match &self.from {
            Some((amqp, queue)) => amqp.destination(&message::route(delivery, queue)),
            None => Destination::none(),
        };
        let process = &self.guard.process;
        let settling = process.settling(operation, destination, |span| message::delivery_tag(span, delivery));
        // lapin sends the frame before it waits, so a call that is dropped on the way has settled the message.
        let sent = Sent { process, settlement: self.acker().usable().then_some(settlement) };
        let result = call.await;
        match &result {
            Ok(true) => {}
            Ok(false) => sent.nothing(self.acker()),
            Err(_) => sent.lost(),
        }
        settling.ended(match &result {
            Ok(_) => Ok(()),
            Err(error) => Err(failure::of(error)),
        });
        result
    }
}

/// A settlement that was asked for.
struct Sent<'a> {
    process: &'a Process,
    settlement: Option<Settlement>,
}

impl Sent<'_> {
    /// Nothing was sent: it was settled before, or the channel is closed.
    fn nothing(mut self, acker: &Acker) {
        self.settlement = acker.poisoned().then_some(Settlement::ChannelClosed);
    }

    fn lost(mut self) {
        self.settlement = Some(Settlement::ChannelClosed);
    }
}

impl Drop for Sent<'_> {
    fn drop(&mut self) {
        if let Some(settlement) = self.settlement {
            self.process.settle(settlement);
        }
    }
}

impl<M: AsDelivery> Deref for Processing<M> {
    type Target = M;

    fn deref(&self) -> &M {
        &self.message
    }
}

impl<M: AsDelivery> DerefMut for Processing<M> {
    fn deref_mut(&mut self) -> &mut M {
        &mut self.message
    }
}

impl<M: AsDelivery> ExtractFrom for Processing<M> {
    fn reader(&self) -> FieldTableReader<'_> {
        self.message.as_delivery().reader()
    }
}
