//! What is read from a received message.

use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use carrier_core::instrumentation::{
    AlreadyCounted, Destination, Details, IncomingMessage, MessageParts, OutgoingMessage, attribute,
};
use rdkafka::message::{BorrowedMessage, OwnedMessage};
use rdkafka::{Message, Timestamp};

use super::attribute::ATTEMPTS;
use super::redelivery::{attempts, earlier_attempts};
use super::{Instrumentation, MessageKey};
use crate::{ExtractFrom, HeadersReader};

/// A message that can be processed: rdkafka's `BorrowedMessage` or `OwnedMessage`, owned, borrowed, or in an `Arc` or `Box`.
///
/// Implement it for your own type that contains a message.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a message that can be processed",
    note = "`BorrowedMessage`, `OwnedMessage`, and an `Arc`, a `Box` or a reference of them are"
)]
pub trait AsMessage {
    /// rdkafka's type of the message.
    type Message: Message + ExtractFrom;

    /// Returns rdkafka's message.
    fn as_message(&self) -> &Self::Message;

    /// Whether the message was counted as consumed already: see [`AlreadyCounted`].
    fn is_counted(&self) -> bool {
        false
    }
}

impl<'a> AsMessage for BorrowedMessage<'a> {
    type Message = BorrowedMessage<'a>;

    fn as_message(&self) -> &Self {
        self
    }
}

impl AsMessage for OwnedMessage {
    type Message = OwnedMessage;

    fn as_message(&self) -> &Self {
        self
    }
}

impl<M: AsMessage> AsMessage for AlreadyCounted<M> {
    type Message = M::Message;

    fn as_message(&self) -> &M::Message {
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
            type Message = M::Message;

            fn as_message(&self) -> &M::Message {
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
    fn reader(&self) -> HeadersReader<'_> {
        self.as_message().reader()
    }
}

/// A message that is processed.
pub(super) struct Incoming<'a, M> {
    pub(super) kafka: &'a Instrumentation,
    pub(super) message: &'a M,
}

impl<M: AsMessage> IncomingMessage for Incoming<'_, M> {
    fn destination(&self) -> Destination {
        let message = self.message.as_message();
        self.kafka.destinations.of(message.topic(), Some(message.partition()))
    }

    fn sent_at(&self) -> Option<SystemTime> {
        sent_at(self.message.as_message().timestamp())
    }

    /// It was sent again, or else unknown.
    fn is_redelivered(&self) -> bool {
        attempts(self.message.as_message()) > 0
    }

    fn is_counted(&self) -> bool {
        self.message.is_counted()
    }

    fn attempts(&self) -> Option<u64> {
        Some(earlier_attempts(&self.message.as_message().reader())?.saturating_add(1))
    }

    fn parts(&self) -> MessageParts<'_> {
        let message = self.message.as_message();
        self.kafka.parts(message.key(), message.payload())
    }
}

/// A record that is sent.
pub(super) struct Outgoing<'a> {
    pub(super) kafka: &'a Instrumentation,
    pub(super) topic: &'a str,
    pub(super) partition: Option<i32>,
    pub(super) key: Option<&'a [u8]>,
    pub(super) payload: Option<&'a [u8]>,
    /// The reply topic and the correlation id.
    pub(super) reply: Option<(&'a str, &'a str)>,
}

impl OutgoingMessage for Outgoing<'_> {
    fn destination(&self) -> Destination {
        self.kafka.destinations.of(self.topic, self.partition)
    }

    fn parts(&self) -> MessageParts<'_> {
        let mut parts = self.kafka.parts(self.key, self.payload);
        (parts.reply_to, parts.conversation_id) = self.reply.unzip();
        parts
    }
}

impl Instrumentation {
    fn parts<'a>(&self, key: Option<&'a [u8]>, payload: Option<&'a [u8]>) -> MessageParts<'a> {
        let mut parts = MessageParts::default();
        parts.key = key;
        parts.is_key_hidden = self.message_key != MessageKey::Plain;
        parts.body = payload;
        parts
    }

    /// Sets the attributes of a single message.
    pub(super) fn describe<M: Message + ExtractFrom>(&self, message: &M, span: &mut Details<'_>) {
        span.set(attribute::MESSAGING_KAFKA_OFFSET, message.offset());
        if let Some(attempts) = earlier_attempts(&message.reader()) {
            span.set(ATTEMPTS, i64::try_from(attempts).unwrap_or(i64::MAX));
        }
        self.message_key.describe(message.key(), span);
        describe_payload(message.payload(), span);
    }
}

/// Sets that there is no payload: a tombstone deletes the key's record from a compacted topic.
pub(super) fn describe_payload(payload: Option<&[u8]>, span: &mut Details<'_>) {
    if payload.is_none() {
        span.set(attribute::MESSAGING_KAFKA_MESSAGE_TOMBSTONE, true);
    }
}

/// The time at which a message was sent, as its producer or the broker set it.
fn sent_at(timestamp: Timestamp) -> Option<SystemTime> {
    // A client without a clock writes zero.
    let millis = timestamp.to_millis().filter(|millis| *millis > 0)?;
    UNIX_EPOCH.checked_add(Duration::from_millis(u64::try_from(millis).ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_timestamp_of_either_kind_says_when_a_message_was_sent() {
        let expected = Some(UNIX_EPOCH + Duration::from_millis(1_500));
        assert_eq!(sent_at(Timestamp::CreateTime(1_500)), expected);
        assert_eq!(sent_at(Timestamp::LogAppendTime(1_500)), expected);
    }

    #[test]
    fn no_time_and_times_before_the_epoch_are_unknown() {
        for unknown in [Timestamp::NotAvailable, Timestamp::CreateTime(0), Timestamp::LogAppendTime(-7)] {
            assert_eq!(sent_at(unknown), None);
        }
        let _no_panic = sent_at(Timestamp::CreateTime(i64::MAX));
    }
}
