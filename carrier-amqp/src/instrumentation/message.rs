//! What is read from a received message.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use carrier_core::instrumentation::{
    AlreadyCounted, Destination, Details, IncomingMessage, MessageParts, OutgoingMessage, attribute,
};
use lapin::BasicProperties;
use lapin::message::{BasicGetMessage, Delivery};
use lapin::types::ShortString;

use super::{Instrumentation, Redelivery, Route};
use crate::carrier::integer;
use crate::{ExtractFrom, FieldTableReader};

/// A message that can be processed: lapin's `Delivery` or `BasicGetMessage`, owned, borrowed, or in an `Arc` or `Box`.
///
/// Implement it for your own type that contains a delivery.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a message that can be processed",
    note = "`Delivery`, `BasicGetMessage`, and an `Arc`, a `Box` or a reference of them are"
)]
pub trait AsMessage {
    /// Returns lapin's delivery.
    fn as_message(&self) -> &Delivery;

    /// Whether the message was counted as consumed already: see [`AlreadyCounted`].
    fn is_counted(&self) -> bool {
        false
    }
}

impl AsMessage for Delivery {
    fn as_message(&self) -> &Delivery {
        self
    }
}

impl AsMessage for BasicGetMessage {
    fn as_message(&self) -> &Delivery {
        &self.delivery
    }
}

impl<M: AsMessage> AsMessage for AlreadyCounted<M> {
    fn as_message(&self) -> &Delivery {
        self.0.as_message()
    }

    fn is_counted(&self) -> bool {
        true
    }
}

/// Implements the trait for a pointer to a message.
macro_rules! for_pointer {
    ($($pointer:ty),*) => {$(
        impl<M: AsMessage + ?Sized> AsMessage for $pointer {
            fn as_message(&self) -> &Delivery {
                (**self).as_message()
            }

            fn is_counted(&self) -> bool {
                (**self).is_counted()
            }
        }
    )*};
}

for_pointer!(&M, Arc<M>, Box<M>);

impl<M: AsMessage> ExtractFrom for AlreadyCounted<M> {
    fn reader(&self) -> FieldTableReader<'_> {
        self.as_message().reader()
    }
}

/// A message that is processed.
pub(super) struct Incoming<'a, M> {
    pub(super) amqp: &'a Instrumentation,
    pub(super) queue: &'a str,
    pub(super) message: &'a M,
}

impl<M: AsMessage> IncomingMessage for Incoming<'_, M> {
    fn destination(&self) -> Destination {
        self.amqp.destinations.of(&route(self.message.as_message(), self.queue))
    }

    fn sent_at(&self) -> Option<SystemTime> {
        sent_at(self.message.as_message())
    }

    /// Also in the queue that dead-lettered the message. A queue for delays, which has no consumer, does not count.
    fn is_redelivered(&self) -> bool {
        Redelivery::of(self.message.as_message()).attempts() > 0
    }

    fn is_counted(&self) -> bool {
        self.message.is_counted()
    }

    fn attempts(&self) -> Option<u64> {
        Redelivery::of(self.message.as_message()).attempt()
    }

    fn parts(&self) -> MessageParts<'_> {
        let delivery = self.message.as_message();
        let properties = &delivery.properties;
        let mut parts = MessageParts::default();
        parts.routing_key = Some(delivery.routing_key.as_str());
        parts.body = Some(&delivery.data);
        parts.reply_to = properties.reply_to().as_ref().map(ShortString::as_str);
        parts.conversation_id = properties.correlation_id().as_ref().map(ShortString::as_str);
        parts
    }
}

/// A message that is published.
pub(super) struct Outgoing<'a> {
    pub(super) amqp: &'a Instrumentation,
    pub(super) route: Route<'a>,
    pub(super) body: &'a [u8],
    pub(super) reply_to: Option<&'a str>,
    pub(super) conversation_id: Option<&'a str>,
}

impl OutgoingMessage for Outgoing<'_> {
    fn destination(&self) -> Destination {
        self.amqp.destinations.of(&self.route)
    }

    fn parts(&self) -> MessageParts<'_> {
        let mut parts = MessageParts::default();
        parts.routing_key = Some(self.route.routing_key);
        parts.body = Some(self.body);
        (parts.reply_to, parts.conversation_id) = (self.reply_to, self.conversation_id);
        parts
    }
}

pub(super) fn route<'a>(delivery: &'a Delivery, queue: &'a str) -> Route<'a> {
    Route::from(delivery.exchange.as_str(), delivery.routing_key.as_str(), queue)
}

/// Sets the attributes of a single message.
pub(super) fn describe(delivery: &Delivery, span: &mut Details<'_>) {
    describe_routing_key(delivery.routing_key.as_str(), span);
    describe_delivery_tag(delivery, span);
    describe_ids(&delivery.properties, span);
    if let Some(redelivery) = Redelivery::if_any(delivery) {
        redelivery.describe(span);
    }
}

pub(super) fn describe_routing_key(routing_key: &str, span: &mut Details<'_>) {
    if !routing_key.is_empty() {
        span.set(attribute::MESSAGING_RABBITMQ_DESTINATION_ROUTING_KEY, routing_key.to_owned());
    }
}

pub(super) fn describe_delivery_tag(delivery: &Delivery, span: &mut Details<'_>) {
    let tag = i64::try_from(delivery.delivery_tag).unwrap_or(i64::MAX);
    span.set(attribute::MESSAGING_RABBITMQ_MESSAGE_DELIVERY_TAG, tag);
}

pub(super) fn describe_ids(properties: &BasicProperties, span: &mut Details<'_>) {
    if let Some(id) = properties.message_id() {
        span.set(attribute::MESSAGING_MESSAGE_ID, id.as_str().to_owned());
    }
    if let Some(id) = properties.correlation_id() {
        span.set(attribute::MESSAGING_MESSAGE_CONVERSATION_ID, id.as_str().to_owned());
    }
}

/// The time at which a message was sent.
///
/// Prefers the broker's clock in milliseconds: `timestamp_in_ms`, which a message interceptor adds. Otherwise it is the
/// property `timestamp`, in seconds.
fn sent_at(delivery: &Delivery) -> Option<SystemTime> {
    let properties = &delivery.properties;
    let broker = properties.headers().as_ref().and_then(|headers| headers.inner().get("timestamp_in_ms"));
    let milliseconds = broker.and_then(integer).and_then(|time| u64::try_from(time).ok());
    let since = match milliseconds {
        Some(milliseconds) => Duration::from_millis(milliseconds),
        None => Duration::from_secs((*properties.timestamp())?),
    };
    // A client without a clock writes zero.
    if since.is_zero() { None } else { SystemTime::UNIX_EPOCH.checked_add(since) }
}

#[cfg(test)]
mod tests {
    use carrier_core::{Propagation, w3c};
    use lapin::types::{AMQPValue, FieldTable};
    use opentelemetry::trace::TraceContextExt as _;

    use super::*;
    use crate::testing;

    fn stamped(timestamp: Option<u64>, in_ms: Option<AMQPValue>) -> Option<Duration> {
        let mut delivery = Delivery::mock(1, "".into(), "".into(), false, Vec::new());
        let mut properties = BasicProperties::default();
        if let Some(timestamp) = timestamp {
            properties = properties.with_timestamp(timestamp);
        }
        if let Some(in_ms) = in_ms {
            let mut headers = FieldTable::default();
            headers.insert("timestamp_in_ms".into(), in_ms);
            properties = properties.with_headers(headers);
        }
        delivery.properties = properties;
        sent_at(&delivery).map(|time| time.duration_since(SystemTime::UNIX_EPOCH).unwrap())
    }

    #[test]
    fn the_brokers_milliseconds_are_preferred_to_the_producers_seconds() {
        let both = stamped(Some(7), Some(AMQPValue::LongLongInt(7_125)));
        assert_eq!(both, Some(Duration::from_millis(7_125)));
        assert_eq!(stamped(Some(7), None), Some(Duration::from_secs(7)));
    }

    #[test]
    fn a_timestamp_that_is_none_is_none() {
        assert_eq!(stamped(None, None), None);
        assert_eq!(stamped(Some(0), None), None);
        assert_eq!(stamped(Some(u64::MAX), None), None);
        assert_eq!(stamped(Some(7), Some(AMQPValue::LongLongInt(-1))), Some(Duration::from_secs(7)));
        assert_eq!(stamped(None, Some(AMQPValue::Boolean(true))), None);
    }

    #[test]
    fn a_message_that_is_processed_can_be_read_as_before() {
        let cx = testing::remote_context();
        let message = Instrumentation::builder().build().process("orders", testing::delivery(&cx, b"17"));
        let found = crate::extract_with(&Propagation::builder().propagator(w3c()).build(), &message);
        assert_eq!(found.span().span_context(), cx.span().span_context());
    }
}
