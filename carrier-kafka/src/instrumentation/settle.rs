//! Settlements: commits of offsets.

use carrier_core::instrumentation::{Destination, Settling, attribute};
use rdkafka::consumer::{CommitMode, Consumer, ConsumerContext};
use rdkafka::error::KafkaResult;
use rdkafka::message::BorrowedMessage;
use rdkafka::{Message as _, TopicPartitionList};

use super::message::Incoming;
use super::{Instrumentation, error_type};
use crate::ExtractFrom as _;

/// Kafka's name of the operation.
const COMMIT: &str = "commit";

impl Instrumentation {
    /// Like [`Consumer::commit_message`], with a span if [`settle_spans`](super::KafkaInstrumentationBuilder::settle_spans) is
    /// on.
    ///
    /// The parent is the current span; the message's sender is linked. With [`CommitMode::Async`] the span ends when the call
    /// returns: rdkafka reports the outcome only to the consumer context's `commit_callback`. With [`CommitMode::Sync`] the
    /// call blocks, as rdkafka's does: in a future, call it in `tokio::task::block_in_place`.
    ///
    /// # Errors
    ///
    /// rdkafka's.
    ///
    /// # Examples
    ///
    /// ```
    /// use carrier_kafka::Instrumentation;
    /// use carrier_kafka::rdkafka::consumer::{CommitMode, StreamConsumer};
    /// use carrier_kafka::rdkafka::error::KafkaResult;
    ///
    /// async fn consume(consumer: &StreamConsumer) -> KafkaResult<()> {
    ///     let kafka = Instrumentation::builder().settle_spans(true).build();
    ///     let message = kafka.process(consumer.recv().await?);
    ///     message.run(async { kafka.commit_message(consumer, &message, CommitMode::Async) }).await
    /// }
    /// ```
    pub fn commit_message<T: Consumer<C> + ?Sized, C: ConsumerContext>(
        &self,
        consumer: &T,
        message: &BorrowedMessage<'_>,
        mode: CommitMode,
    ) -> KafkaResult<()> {
        let incoming = Incoming { kafka: self, message };
        let settling = self.core.settle_message(COMMIT, &incoming, &message.reader(), |span| {
            span.set(attribute::MESSAGING_KAFKA_OFFSET, message.offset());
        });
        ended(settling, consumer.commit_message(message, mode))
    }

    /// Like [`Consumer::commit`], with a span like that of [`commit_message`](Self::commit_message), but without a link.
    ///
    /// A list of several topics has no destination; one of several partitions has no partition.
    ///
    /// # Errors
    ///
    /// rdkafka's.
    pub fn commit<T: Consumer<C> + ?Sized, C: ConsumerContext>(
        &self,
        consumer: &T,
        topic_partition_list: &TopicPartitionList,
        mode: CommitMode,
    ) -> KafkaResult<()> {
        let destination = || self.destination_of(topic_partition_list);
        let settling = self.core.settle(COMMIT, destination, |_| {});
        ended(settling, consumer.commit(topic_partition_list, mode))
    }

    /// Like [`Consumer::commit_consumer_state`], with a span like that of [`commit`](Self::commit), but without a destination:
    /// librdkafka does not report what it commits.
    ///
    /// # Errors
    ///
    /// rdkafka's.
    pub fn commit_consumer_state<T: Consumer<C> + ?Sized, C: ConsumerContext>(
        &self,
        consumer: &T,
        mode: CommitMode,
    ) -> KafkaResult<()> {
        let settling = self.core.settle(COMMIT, Destination::none, |_| {});
        ended(settling, consumer.commit_consumer_state(mode))
    }

    fn destination_of(&self, list: &TopicPartitionList) -> Destination {
        let elements = list.elements();
        let Some((first, rest)) = elements.split_first() else { return Destination::none() };
        if rest.iter().any(|other| other.topic() != first.topic()) {
            return Destination::none();
        }
        let is_same = rest.iter().all(|other| other.partition() == first.partition());
        self.destinations.of(first.topic(), Some(first.partition()).filter(|_| is_same))
    }
}

pub(super) fn ended(settling: Settling, result: KafkaResult<()>) -> KafkaResult<()> {
    settling.ended(result.as_ref().copied().map_err(error_type::of));
    result
}
