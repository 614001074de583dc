//! Messages that are processed together.

use carrier_core::instrumentation::{Batch, Destination, Details, attribute};
use rdkafka::Message;

use super::consumed::Incoming;
use super::outgoing::describe_payload;
use super::settings::partition_id;
use super::{Consumed, Instrumentation};

impl Instrumentation {
    /// Starts the span of messages that are processed together: a trace of its own, with a link to each sender.
    ///
    /// What all messages share is on the span, what differs is on the links (messaging spans, "Recording per-message
    /// attributes on batch operations"). A message whose headers hold no context has none. Its own context, with the
    /// baggage, is in [`Batch::contexts`], in order.
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
    pub fn process_batch<M: Consumed>(&self, messages: &[M]) -> Batch {
        let shared = Shared::of(messages);
        let common = match shared.topic {
            Some(topic) => self.destination(topic, shared.partition),
            None => Destination::none(),
        };
        let each = messages.iter().map(|message| {
            let consumed = message.message();
            let incoming = Incoming { kafka: self, message: consumed };
            (message.reader(), incoming, |link: &mut Details<'_>| self.differing(&shared, consumed, link))
        });
        self.common.process_batch(common, each, |span| {
            let Some(first) = messages.first().map(Consumed::message) else { return };
            if shared.offset {
                span.set(attribute::MESSAGING_KAFKA_OFFSET, first.offset());
            }
            if shared.key {
                self.key.describe(first.key(), span);
            }
            if shared.tombstone && first.payload().is_none() {
                describe_payload(None, span);
            }
        })
    }

    /// What the link of a message says that the span does not.
    fn differing<M: Message>(&self, shared: &Shared<'_>, message: &M, link: &mut Details<'_>) {
        if shared.topic.is_none() {
            link.set(attribute::MESSAGING_DESTINATION_NAME, message.topic().to_owned());
        }
        if shared.topic.is_none() || shared.partition.is_none() {
            if let Some(id) = partition_id(message.partition()) {
                link.set(attribute::MESSAGING_DESTINATION_PARTITION_ID, id);
            }
        }
        if !shared.offset {
            link.set(attribute::MESSAGING_KAFKA_OFFSET, message.offset());
        }
        if !shared.key {
            self.key.describe(message.key(), link);
        }
        if !shared.tombstone && message.payload().is_none() {
            describe_payload(None, link);
        }
    }
}

/// What all messages of a batch have in common.
struct Shared<'a> {
    topic: Option<&'a str>,
    partition: Option<i32>,
    offset: bool,
    key: bool,
    tombstone: bool,
}

impl<'a> Shared<'a> {
    fn of<M: Consumed>(messages: &'a [M]) -> Self {
        let all = || messages.iter().map(Consumed::message);
        let topic = common(all().map(Message::topic));
        Self {
            topic,
            partition: common(all().map(Message::partition)),
            offset: messages.len() == 1,
            key: common(all().map(Message::key)).is_some(),
            tombstone: common(all().map(|message| message.payload().is_none())).is_some(),
        }
    }
}

/// The one value that all have; `None` where they differ, or there are none.
fn common<T: PartialEq>(mut values: impl Iterator<Item = T>) -> Option<T> {
    let first = values.next()?;
    values.all(|value| value == first).then_some(first)
}
