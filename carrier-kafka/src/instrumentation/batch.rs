//! Messages that are processed together.

use carrier_core::instrumentation::{Batch, Destination, Details, attribute};
use rdkafka::Message;

use super::destination::partition_id;
use super::message::{Incoming, describe_payload};
use super::{AsMessage, Instrumentation};
use crate::ExtractFrom as _;

impl Instrumentation {
    /// Starts the span of messages that are processed together: a new trace, with a link to each sender.
    ///
    /// What all messages share is on the span. What differs is on the links, of which there are at most
    /// [`max_links`](super::KafkaInstrumentationBuilder::max_links). The context of each message, with its baggage, is in
    /// [`Batch::contexts`], in order.
    ///
    /// # Examples
    ///
    /// ```
    /// use carrier_kafka::Instrumentation;
    /// use carrier_kafka::opentelemetry::context::FutureExt;
    /// use carrier_kafka::rdkafka::message::BorrowedMessage;
    ///
    /// async fn consume(kafka: &Instrumentation, messages: &[BorrowedMessage<'_>]) {
    ///     let batch = kafka.process_batch(messages);
    ///     let all = async {
    ///         for (message, cx) in messages.iter().zip(batch.contexts()) {
    ///             store(message).await;                         // in the batch's trace
    ///             notify(message).with_context(cx.clone()).await; // in the message's own
    ///         }
    ///     };
    ///     batch.run(all).await;
    /// }
    ///
    /// async fn store(message: &BorrowedMessage<'_>) { /* … */ }
    /// async fn notify(message: &BorrowedMessage<'_>) { /* … */ }
    /// ```
    pub fn process_batch<M: AsMessage>(&self, messages: &[M]) -> Batch {
        let shared = Shared::of(messages);
        let common = match shared.topic {
            Some(topic) => self.destinations.of(topic, shared.partition),
            None => Destination::none(),
        };
        let each = messages.iter().map(|message| {
            let received = message.as_message();
            let details = |link: &mut Details<'_>| {
                if shared.topic.is_none() {
                    link.set(attribute::MESSAGING_DESTINATION_NAME, received.topic().to_owned());
                }
                if let (true, Some(id)) = (shared.partition.is_none(), partition_id(received.partition())) {
                    link.set(attribute::MESSAGING_DESTINATION_PARTITION_ID, id);
                }
                self.describe_part(received, &shared, false, link);
            };
            (received.reader(), Incoming { kafka: self, message }, details)
        });
        self.core.process_batch(common, each, |span| {
            if let Some(first) = messages.first() {
                self.describe_part(first.as_message(), &shared, true, span);
            }
        })
    }

    /// Sets the attributes that all messages share, or those that differ.
    fn describe_part<M: Message>(
        &self,
        message: &M,
        shared: &Shared<'_>,
        is_shared: bool,
        details: &mut Details<'_>,
    ) {
        if shared.offset == is_shared {
            details.set(attribute::MESSAGING_KAFKA_OFFSET, message.offset());
        }
        if shared.key == is_shared {
            self.message_key.describe(message.key(), details);
        }
        if shared.tombstone == is_shared && message.payload().is_none() {
            describe_payload(None, details);
        }
    }
}

/// What all messages of a batch share.
struct Shared<'a> {
    topic: Option<&'a str>,
    partition: Option<i32>,
    offset: bool,
    key: bool,
    tombstone: bool,
}

impl<'a> Shared<'a> {
    fn of<M: AsMessage>(messages: &'a [M]) -> Self {
        let all = || messages.iter().map(AsMessage::as_message);
        let topic = common(all().map(Message::topic));
        Self {
            topic,
            partition: topic.and(common(all().map(Message::partition))),
            offset: messages.len() == 1,
            key: common(all().map(Message::key)).is_some(),
            tombstone: common(all().map(|message| message.payload().is_none())).is_some(),
        }
    }
}

/// The value that all messages have; `None` if they differ, or there are none.
fn common<T: PartialEq>(mut values: impl Iterator<Item = T>) -> Option<T> {
    let first = values.next()?;
    values.all(|value| value == first).then_some(first)
}
