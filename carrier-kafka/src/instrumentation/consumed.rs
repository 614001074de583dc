//! A message that was consumed, in any of rdkafka's forms.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use carrier_core::instrumentation::{Arrival, Destination, Details, attribute};
use rdkafka::message::{BorrowedMessage, OwnedMessage};
use rdkafka::{Message, Timestamp};

use super::Instrumentation;
use super::outgoing::describe_payload;
use crate::ExtractFrom;

/// What can be processed: a message of rdkafka's, by value or by reference.
///
/// A type of your own that holds a message can implement it too.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a message that was consumed",
    note = "`BorrowedMessage`, `OwnedMessage` and references to them are"
)]
pub trait Consumed: ExtractFrom {
    /// rdkafka's type of the message.
    type Message: Message;

    /// The message.
    fn message(&self) -> &Self::Message;
}

impl<'a> Consumed for BorrowedMessage<'a> {
    type Message = BorrowedMessage<'a>;

    fn message(&self) -> &Self {
        self
    }
}

impl Consumed for OwnedMessage {
    type Message = OwnedMessage;

    fn message(&self) -> &Self {
        self
    }
}

impl<T: Consumed + ?Sized> Consumed for &T {
    type Message = T::Message;

    fn message(&self) -> &T::Message {
        (**self).message()
    }
}

/// A message that is processed.
pub(super) struct Incoming<'a, M> {
    pub(super) kafka: &'a Instrumentation,
    pub(super) message: &'a M,
}

impl<M: Message> Arrival for Incoming<'_, M> {
    fn destination(&self) -> Destination {
        self.kafka.destination(self.message.topic(), Some(self.message.partition()))
    }

    fn sent_at(&self) -> Option<SystemTime> {
        sent_at(self.message.timestamp())
    }
}

impl Instrumentation {
    /// What a span is told of one message, beside where it came from.
    pub(super) fn describe<M: Message>(&self, message: &M, span: &mut Details<'_>) {
        span.set(attribute::MESSAGING_KAFKA_OFFSET, message.offset());
        self.key.describe(message.key(), span);
        describe_payload(message.payload(), span);
    }
}

/// When a message was sent, as its producer or the broker stamped it; `None` where neither did.
fn sent_at(timestamp: Timestamp) -> Option<SystemTime> {
    // Zero is what clients send that have no clock, and nobody sent a message in 1970.
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
