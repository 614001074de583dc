//! What spans say of a message of lapin's.

use std::time::{Duration, SystemTime};

use carrier_core::instrumentation::{Arrival, Destination, Details, attribute};
use lapin::message::{BasicGetMessage, Delivery};
use lapin::types::ShortString;

use super::redelivery::integer;
use super::{Instrumentation, Redelivery, Route};

/// What can be processed: a delivery, however it came.
///
/// A type of your own that holds a delivery can implement it too.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is no message that can be processed",
    note = "`Delivery`, `BasicGetMessage` and references to them are"
)]
pub trait AsDelivery {
    /// Whether [`Channel::basic_get`](super::Channel::basic_get) has counted it as consumed already.
    const IS_COUNTED: bool = false;

    /// lapin's delivery.
    fn as_delivery(&self) -> &Delivery;
}

impl AsDelivery for Delivery {
    fn as_delivery(&self) -> &Delivery {
        self
    }
}

impl AsDelivery for BasicGetMessage {
    const IS_COUNTED: bool = true;

    fn as_delivery(&self) -> &Delivery {
        &self.delivery
    }
}

impl<T: AsDelivery + ?Sized> AsDelivery for &T {
    const IS_COUNTED: bool = T::IS_COUNTED;

    fn as_delivery(&self) -> &Delivery {
        (**self).as_delivery()
    }
}

pub(super) fn route<'a>(delivery: &'a Delivery, queue: &'a str) -> Route<'a> {
    Route::from(delivery.exchange.as_str(), delivery.routing_key.as_str(), queue)
}

/// A message that is processed.
pub(super) struct Incoming<'a, M> {
    pub(super) amqp: &'a Instrumentation,
    pub(super) queue: &'a str,
    pub(super) message: &'a M,
}

impl<M: AsDelivery> Arrival for Incoming<'_, M> {
    fn destination(&self) -> Destination {
        self.amqp.destination(&route(self.message.as_delivery(), self.queue))
    }

    fn sent_at(&self) -> Option<SystemTime> {
        sent_at(self.message.as_delivery())
    }

    fn is_redelivered(&self) -> bool {
        was_tried(self.message.as_delivery())
    }

    fn is_counted(&self) -> bool {
        M::IS_COUNTED
    }

    fn is_to_be_settled(&self) -> bool {
        true
    }
}

/// What a span says of the one message that it is for.
pub(super) fn details(span: &mut Details<'_>, delivery: &Delivery) {
    routing_key(span, &delivery.routing_key);
    delivery_tag(span, delivery);
    let properties = &delivery.properties;
    ids(span, properties.message_id().as_ref(), properties.correlation_id().as_ref());
    let size = i64::try_from(delivery.data.len()).unwrap_or(i64::MAX);
    span.set(attribute::MESSAGING_MESSAGE_BODY_SIZE, size);
    if let Some(redelivery) = Redelivery::told(delivery) {
        redelivery.details(span);
    }
}

pub(super) fn routing_key(span: &mut Details<'_>, routing_key: &ShortString) {
    if !routing_key.as_str().is_empty() {
        span.set(attribute::MESSAGING_RABBITMQ_DESTINATION_ROUTING_KEY, routing_key.as_str().to_owned());
    }
}

pub(super) fn delivery_tag(span: &mut Details<'_>, delivery: &Delivery) {
    let tag = i64::try_from(delivery.delivery_tag).unwrap_or(i64::MAX);
    span.set(attribute::MESSAGING_RABBITMQ_MESSAGE_DELIVERY_TAG, tag);
}

pub(super) fn ids(span: &mut Details<'_>, message: Option<&ShortString>, correlation: Option<&ShortString>) {
    if let Some(id) = message {
        span.set(attribute::MESSAGING_MESSAGE_ID, id.as_str().to_owned());
    }
    if let Some(id) = correlation {
        span.set(attribute::MESSAGING_MESSAGE_CONVERSATION_ID, id.as_str().to_owned());
    }
}

/// When a message was sent: by the broker's clock in milliseconds (`timestamp_in_ms`, of the message interceptor that adds
/// it), else by the property `timestamp`, in seconds.
fn sent_at(delivery: &Delivery) -> Option<SystemTime> {
    let properties = &delivery.properties;
    let broker = properties.headers().as_ref().and_then(|headers| headers.inner().get("timestamp_in_ms"));
    let milliseconds = broker.and_then(integer).and_then(|time| u64::try_from(time).ok());
    let since = match milliseconds {
        Some(milliseconds) => Duration::from_millis(milliseconds),
        None => Duration::from_secs((*properties.timestamp())?),
    };
    // Zero is what a client writes that has no clock.
    if since.is_zero() { None } else { SystemTime::UNIX_EPOCH.checked_add(since) }
}

/// Whether a message was given out before, here or in the queue that dead-lettered it. One that comes out of a queue for
/// delays, where nobody consumes, was not.
fn was_tried(delivery: &Delivery) -> bool {
    Redelivery::of(delivery).attempts() > 0
}

#[cfg(test)]
mod tests {
    use carrier_core::{Propagation, w3c};
    use lapin::BasicProperties;
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
