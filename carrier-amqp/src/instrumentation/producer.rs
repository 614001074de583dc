//! A channel that starts a span for each message that it publishes or gets.

use std::sync::Arc;

use carrier_core::instrumentation::{AlreadyCounted, StartTime};
use lapin::message::{BasicGetMessage, BasicReturnMessage};
use lapin::options::*;
use lapin::types::{
    Boolean, ChannelId, DeliveryTag, FieldTable, MessageCount, ReplyCode, ShortString, ShortUInt,
};
use lapin::{ChannelStatus, Consumer, Error, ExchangeKind, Queue, Result};

use super::message::Incoming;
use super::pending::Pending;
use super::{Instrumentation, Route, error_type, message};
use crate::ExtractFrom as _;

impl Instrumentation {
    /// Wraps a lapin channel, so that publishing and getting has spans.
    pub fn channel(&self, channel: lapin::Channel) -> Channel {
        Channel { pending: Arc::default(), inner: channel, instrumentation: self.clone() }
    }
}

/// A [`lapin::Channel`] whose published and gotten messages have spans. All other methods are lapin's.
///
/// It is no `lapin::Channel` through `Deref`: a function that takes `&lapin::Channel` would publish without a span and without
/// a context. Let such a function take this type, or pass [`as_inner`](Self::as_inner) if it does not publish.
///
/// ```compile_fail,E0308
/// async fn publish(channel: &carrier_amqp::lapin::Channel) { /* … */ }
///
/// async fn example(channel: carrier_amqp::instrumentation::Channel) {
///     publish(&channel).await;
/// }
/// ```
#[derive(Debug, Clone)]
pub struct Channel {
    /// The messages of all clones whose outcome is not known yet. The first field: what has arrived is read before lapin's
    /// channel is dropped, which closes it.
    pub(super) pending: Arc<Pending>,
    pub(super) inner: lapin::Channel,
    pub(super) instrumentation: Instrumentation,
}

impl Channel {
    /// Like [`lapin::Channel::basic_get`], with a span that links to the message's sender. If the queue is empty, nothing is
    /// recorded.
    ///
    /// Pass the message to [`Instrumentation::process`] as it is: this call has counted it as consumed.
    ///
    /// # Errors
    ///
    /// lapin's.
    pub async fn basic_get(
        &self,
        queue: ShortString,
        options: BasicGetOptions,
    ) -> Result<Option<AlreadyCounted<BasicGetMessage>>> {
        let (amqp, start) = (&self.instrumentation, StartTime::now());
        let got = self.inner.basic_get(queue.clone(), options).await;
        if matches!(got, Ok(None)) {
            return Ok(None);
        }
        let message = got.as_ref().ok().and_then(Option::as_ref);
        let reader = message.map(|message| message.reader());
        let incoming = message.map(|message| Incoming { amqp, queue: queue.as_str(), message });
        let route = match message {
            Some(message) => message::route(message, queue.as_str()),
            None => Route::from("", "", queue.as_str()),
        };
        let result = got.as_ref().map(|_| incoming.as_ref().zip(reader.as_ref())).map_err(error_type::of);
        amqp.core.received(start, amqp.destinations.of(&route), result, |span| {
            if let Some(message) = message {
                message::describe(message, span);
            }
        });
        Ok(got?.map(AlreadyCounted))
    }

    /// Returns lapin's channel. What is published through it has no span and no context.
    ///
    /// Select a transaction on this value, not on lapin's. Returned messages whose confirmation was dropped are only in
    /// this value's [`wait_for_confirms`](Self::wait_for_confirms).
    pub fn as_inner(&self) -> &lapin::Channel {
        &self.inner
    }

    /// Returns lapin's channel: see [`as_inner`](Self::as_inner).
    pub fn into_inner(self) -> lapin::Channel {
        self.inner
    }
}

/// Defines methods that call lapin's method of the same name.
macro_rules! lapins {
    ($($name:ident($($argument:ident: $type:ty),*) -> $output:ty;)*) => {
        impl Channel {$(
            #[doc = concat!("Calls [`lapin::Channel::", stringify!($name), "`].")]
            ///
            /// # Errors
            ///
            /// lapin's.
            pub async fn $name(&self, $($argument: $type),*) -> Result<$output> {
                self.inner.$name($($argument),*).await
            }
        )*}
    };
}

lapins! {
    wait_for_recovery(error: Error) -> ();

    basic_consume(
        queue: ShortString, consumer_tag: ShortString, options: BasicConsumeOptions, arguments: FieldTable
    ) -> Consumer;
    basic_cancel(consumer_tag: ShortString, options: BasicCancelOptions) -> ();
    basic_qos(prefetch_count: ShortUInt, options: BasicQosOptions) -> ();
    basic_ack(delivery_tag: DeliveryTag, options: BasicAckOptions) -> ();
    basic_nack(delivery_tag: DeliveryTag, options: BasicNackOptions) -> ();
    basic_reject(delivery_tag: DeliveryTag, options: BasicRejectOptions) -> ();
    basic_recover(options: BasicRecoverOptions) -> ();
    basic_recover_async(options: BasicRecoverAsyncOptions) -> ();

    exchange_declare(
        exchange: ShortString, kind: ExchangeKind, options: ExchangeDeclareOptions, arguments: FieldTable
    ) -> ();
    exchange_delete(exchange: ShortString, options: ExchangeDeleteOptions) -> ();
    exchange_bind(
        destination: ShortString, source: ShortString, routing_key: ShortString, options: ExchangeBindOptions,
        arguments: FieldTable
    ) -> ();
    exchange_unbind(
        destination: ShortString, source: ShortString, routing_key: ShortString, options: ExchangeUnbindOptions,
        arguments: FieldTable
    ) -> ();

    queue_declare(queue: ShortString, options: QueueDeclareOptions, arguments: FieldTable) -> Queue;
    queue_bind(
        queue: ShortString, exchange: ShortString, routing_key: ShortString, options: QueueBindOptions,
        arguments: FieldTable
    ) -> ();
    queue_purge(queue: ShortString, options: QueuePurgeOptions) -> MessageCount;
    queue_delete(queue: ShortString, options: QueueDeleteOptions) -> MessageCount;
    queue_unbind(
        queue: ShortString, exchange: ShortString, routing_key: ShortString, arguments: FieldTable
    ) -> ();

    channel_flow(options: ChannelFlowOptions) -> Boolean;
    access_request(realm: ShortString, options: AccessRequestOptions) -> ();
    confirm_select(options: ConfirmSelectOptions) -> ();
}

impl Channel {
    /// Calls [`lapin::Channel::id`].
    pub fn id(&self) -> ChannelId {
        self.inner.id()
    }

    /// Calls [`lapin::Channel::status`].
    pub fn status(&self) -> &ChannelStatus {
        self.inner.status()
    }

    /// Calls [`lapin::Channel::close`]. What was published in a transaction and not committed has no known outcome.
    ///
    /// # Errors
    ///
    /// lapin's.
    pub async fn close(&self, reply_code: ReplyCode, reply_text: ShortString) -> Result<()> {
        let closed = self.inner.close(reply_code, reply_text).await;
        drop(self.pending.transaction());
        closed
    }

    /// Calls [`lapin::Channel::wait_for_confirms`]. The returned messages include those whose confirmation was dropped.
    ///
    /// # Errors
    ///
    /// lapin's.
    pub async fn wait_for_confirms(&self) -> Result<Vec<BasicReturnMessage>> {
        let mut returned = self.inner.wait_for_confirms().await?;
        returned.append(&mut self.pending.returned());
        Ok(returned)
    }

    /// Calls [`lapin::Channel::tx_select`]. The spans of published messages then end with the transaction.
    ///
    /// The outcome of messages that were published in a transaction before this call is then unknown: if lapin has recovered
    /// the channel, the broker has lost them.
    ///
    /// # Errors
    ///
    /// lapin's.
    pub async fn tx_select(&self) -> Result<()> {
        self.inner.tx_select().await?;
        drop(self.pending.transaction());
        self.pending.select_transaction();
        Ok(())
    }

    /// Calls [`lapin::Channel::tx_commit`], and ends the spans of the transaction's messages.
    ///
    /// # Errors
    ///
    /// lapin's.
    pub async fn tx_commit(&self) -> Result<()> {
        let messages = self.pending.transaction();
        let committed = self.inner.tx_commit().await;
        for message in messages {
            message.ended(committed.as_ref().copied().map_err(error_type::of));
        }
        committed
    }

    /// Calls [`lapin::Channel::tx_rollback`]. The spans of the transaction's messages fail with `rolled_back`.
    ///
    /// # Errors
    ///
    /// lapin's.
    pub async fn tx_rollback(&self) -> Result<()> {
        let messages = self.pending.transaction();
        let rolled_back = self.inner.tx_rollback().await;
        for message in messages {
            message
                .ended(Err(rolled_back.as_ref().map_or_else(error_type::of, |()| error_type::rolled_back())));
        }
        rolled_back
    }
}
