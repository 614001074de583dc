//! Commits made through our calls.

use carrier_core::instrumentation::{Destination, Settling, attribute};
use rdkafka::consumer::{CommitMode, Consumer, ConsumerContext};
use rdkafka::error::KafkaResult;
use rdkafka::message::BorrowedMessage;
use rdkafka::{Message as _, TopicPartitionList};

use super::Instrumentation;
use super::failure::failure;
use crate::ExtractFrom as _;

/// Kafka's name of a settlement.
const COMMIT: &str = "commit";

impl Instrumentation {
    /// As [`Consumer::commit_message`], with a span where [`settle_spans`](super::Builder::settle_spans) are wanted.
    ///
    /// The span is a child of the current one, and links to the message's sender. With [`CommitMode::Async`] it ends when
    /// the call returns: the outcome is told to the consumer's context only, in rdkafka's `commit_callback`. With
    /// [`CommitMode::Sync`] the call blocks, as rdkafka's does: in a future it belongs into `tokio::task::block_in_place`.
    ///
    /// # Errors
    ///
    /// As rdkafka's.
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
    pub fn commit_message<T, C>(
        &self,
        consumer: &T,
        message: &BorrowedMessage<'_>,
        mode: CommitMode,
    ) -> KafkaResult<()>
    where
        T: Consumer<C> + ?Sized,
        C: ConsumerContext,
    {
        let destination = || self.destination(message.topic(), Some(message.partition()));
        let settling = self.common.settle_message(COMMIT, destination, &message.reader(), |span| {
            span.set(attribute::MESSAGING_KAFKA_OFFSET, message.offset());
        });
        ended(settling, consumer.commit_message(message, mode))
    }

    /// As [`Consumer::commit`], with a span as [`commit_message`](Self::commit_message) has one, but without a link.
    ///
    /// A list of several topics has no destination, one of several partitions no partition.
    ///
    /// # Errors
    ///
    /// As rdkafka's.
    pub fn commit<T, C>(
        &self,
        consumer: &T,
        topic_partition_list: &TopicPartitionList,
        mode: CommitMode,
    ) -> KafkaResult<()>
    where
        T: Consumer<C> + ?Sized,
        C: ConsumerContext,
    {
        let destination = || self.destination_of(topic_partition_list);
        let settling = self.common.settle(COMMIT, destination, |_| {});
        ended(settling, consumer.commit(topic_partition_list, mode))
    }

    /// As [`Consumer::commit_consumer_state`], with a span as [`commit`](Self::commit) has one, and without a destination:
    /// what is committed is librdkafka's to know.
    ///
    /// # Errors
    ///
    /// As rdkafka's.
    pub fn commit_consumer_state<T, C>(&self, consumer: &T, mode: CommitMode) -> KafkaResult<()>
    where
        T: Consumer<C> + ?Sized,
        C: ConsumerContext,
    {
        let settling = self.common.settle(COMMIT, Destination::none, |_| {});
        ended(settling, consumer.commit_consumer_state(mode))
    }

    fn destination_of(&self, list: &TopicPartitionList) -> Destination {
        let elements = list.elements();
        let Some((first, rest)) = elements.split_first() else { return Destination::none() };
        if rest.iter().any(|other| other.topic() != first.topic()) {
            return Destination::none();
        }
        let is_same = rest.iter().all(|other| other.partition() == first.partition());
        self.destination(first.topic(), Some(first.partition()).filter(|_| is_same))
    }
}

fn ended(settling: Settling, result: KafkaResult<()>) -> KafkaResult<()> {
    settling.ended(result.clone().map_err(|error| failure(&error)));
    result
}
