//! A consumer, a topic and its offsets, and reading them to their ends.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use anyhow::{Context as _, anyhow, bail};
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::BorrowedMessage;
use rdkafka::{ClientConfig, Message as _, Offset, TopicPartitionList};

use crate::environment::variable;

/// How long Kafka may take to answer, and to get on with what was asked for.
pub(super) const LIMIT: Duration = Duration::from_secs(5);

pub(super) struct Client {
    pub(super) brokers: String,
    pub(super) consumer: BaseConsumer,
}

/// A partition and the offsets that are to be read from it.
#[derive(Clone, Copy)]
pub(super) struct Range {
    pub(super) partition: i32,
    /// The first offset that can be read.
    pub(super) low: i64,
    pub(super) start: i64,
    /// After the last one.
    pub(super) end: i64,
}

impl Client {
    /// A consumer of `KAFKA_BROKERS`.
    pub(super) fn new(group: &str) -> anyhow::Result<Self> {
        let brokers = variable("KAFKA_BROKERS", "127.0.0.1:9092");
        let consumer = ClientConfig::new()
            .set("bootstrap.servers", &brokers)
            // Without a name librdkafka assigns nothing. It looks up where the group would be, which only a subscription joins.
            .set("group.id", group)
            .set("enable.auto.commit", "false")
            .set("enable.auto.offset.store", "false")
            .set("enable.partition.eof", "true")
            .set("auto.offset.reset", "earliest")
            .set("allow.auto.create.topics", "false")
            .create()
            .map_err(|error| anyhow!("KAFKA_BROKERS={brokers} cannot be used: {error}"))?;
        Ok(Self { brokers, consumer })
    }

    /// Returns what can be read of each partition of a topic, or an error that names the topic.
    pub(super) fn ranges(&self, topic: &str) -> anyhow::Result<Vec<Range>> {
        let Self { brokers, consumer } = self;
        let metadata = consumer
            .fetch_metadata(Some(topic), LIMIT)
            .map_err(|error| anyhow!("no Kafka at KAFKA_BROKERS={brokers}: {error}"))?;
        let shown = format!("{topic:?} at {brokers}");
        let found = metadata.topics().iter().find(|found| found.name() == topic);
        let Some(found) = found else { bail!("no topic {shown}") };
        if let Some(error) = found.error() {
            bail!("no topic {shown}: {}", RDKafkaErrorCode::from(error));
        }
        let range = |partition: i32| {
            let (low, end) = consumer
                .fetch_watermarks(topic, partition, LIMIT)
                .with_context(|| format!("partition {partition} of the topic {shown}"))?;
            Ok(Range { partition, low, start: low, end })
        };
        found.partitions().iter().map(|partition| range(partition.id())).collect()
    }

    /// Reads every range to its end, or until `keep` wants no more of that partition.
    pub(super) fn read(
        &self,
        topic: &str,
        ranges: &[Range],
        mut keep: impl FnMut(&BorrowedMessage<'_>) -> anyhow::Result<bool>,
    ) -> anyhow::Result<()> {
        let consumer = &self.consumer;
        let mut open: BTreeMap<i32, i64> = BTreeMap::new();
        let mut partitions = TopicPartitionList::new();
        for range in ranges.iter().filter(|range| range.start < range.end) {
            open.insert(range.partition, range.end);
            partitions.add_partition_offset(topic, range.partition, Offset::Offset(range.start))?;
        }
        consumer.assign(&partitions)?;
        // If they were read before, they are paused.
        consumer.resume(&partitions)?;

        let (mut failed, mut heard) = (None, Instant::now());
        while !open.is_empty() {
            let done = match consumer.poll(Duration::from_millis(100)) {
                Some(Ok(message)) => {
                    let partition = message.partition();
                    // What a partition still had on the way when it was done.
                    let Some(end) = open.get(&partition) else { continue };
                    let more = message.offset() < *end && keep(&message)?;
                    heard = Instant::now();
                    (!more || message.offset() + 1 >= *end).then_some(partition)
                }
                Some(Err(KafkaError::PartitionEOF(partition))) => Some(partition),
                // librdkafka tries again by itself.
                Some(Err(error)) => {
                    failed = Some(error);
                    None
                }
                None => None,
            };
            if let Some(partition) = done.filter(|partition| open.remove(partition).is_some()) {
                let mut quiet = TopicPartitionList::new();
                quiet.add_partition(topic, partition);
                consumer.pause(&quiet)?;
            }
            if heard.elapsed() > LIMIT {
                let why = failed.map_or_else(|| "no answer".to_owned(), |error| error.to_string());
                bail!("reading the topic {topic:?} does not get on: {why}");
            }
        }
        consumer.unassign()?;
        Ok(())
    }
}
