//! Kafka: partitions are assigned by hand, so no group is joined and nothing is committed.

use std::collections::{BTreeMap, VecDeque};
use std::time::{Duration, Instant};

use anyhow::{Context as _, anyhow, bail};
use carrier_examples::variable;
use carrier_kafka::HeadersCarrier;
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::{BorrowedHeaders, BorrowedMessage, OwnedHeaders};
use rdkafka::{ClientConfig, Message as _, Offset, Timestamp, TopicPartitionList};

use crate::look::{self, Inspector, Look, Place, Seen};
use crate::options::Start;
use crate::text::counted;

/// How long Kafka may take to answer, and to get on with what was asked for.
const LIMIT: Duration = Duration::from_secs(5);

/// How many times as many offsets are read where those that were read hold too few messages.
const WIDER: i64 = 8;

/// A partition and the offsets that are to be read from it.
#[derive(Clone, Copy)]
struct Range {
    partition: i32,
    /// The first offset that can be read.
    low: i64,
    start: i64,
    /// Behind the last one.
    end: i64,
}

/// What was read of each partition, in its order.
type Looks = BTreeMap<i32, VecDeque<Look>>;

pub(crate) fn peek(topic: &str, number: usize, from: Start) -> anyhow::Result<Seen> {
    let brokers = variable("KAFKA_BROKERS").unwrap_or_else(|| "127.0.0.1:9092".to_owned());
    let consumer: BaseConsumer = ClientConfig::new()
        .set("bootstrap.servers", &brokers)
        // Without a name librdkafka assigns nothing. It looks up where the group would be, which only a subscription joins.
        .set("group.id", "carrier-peek")
        .set("enable.auto.commit", "false")
        .set("enable.auto.offset.store", "false")
        .set("enable.partition.eof", "true")
        .set("auto.offset.reset", "earliest")
        .set("allow.auto.create.topics", "false")
        .create()
        .map_err(|error| anyhow!("KAFKA_BROKERS={brokers} cannot be used: {error}"))?;
    let metadata = consumer
        .fetch_metadata(Some(topic), LIMIT)
        .map_err(|error| anyhow!("no Kafka at KAFKA_BROKERS={brokers}: {error}"))?;
    let shown = format!("{topic:?} at {brokers}");
    let found = metadata.topics().iter().find(|found| found.name() == topic);
    let Some(found) = found else { bail!("no topic {shown}") };
    if let Some(error) = found.error() {
        bail!("no topic {shown}: {}", RDKafkaErrorCode::from(error));
    }

    let mut ranges = Vec::new();
    for partition in found.partitions() {
        let (low, end) = consumer
            .fetch_watermarks(topic, partition.id(), LIMIT)
            .with_context(|| format!("partition {} of the topic {shown}", partition.id()))?;
        ranges.push(Range { partition: partition.id(), low, start: low, end });
    }
    let looks = match from {
        Start::Beginning => oldest(&consumer, topic, &ranges, number)?,
        Start::End => newest(&consumer, topic, &ranges, number)?,
        Start::Offset(offset) => {
            for range in &mut ranges {
                range.start = offset.clamp(range.low, range.end);
            }
            oldest(&consumer, topic, &ranges, number)?
        }
    };

    // Not all of them need hold a message: some were compacted away, some end transactions.
    let offsets: i64 = ranges.iter().map(|range| range.end - range.low).sum();
    let summary = match offsets {
        0 => format!("the topic {shown} is empty"),
        _ => format!(
            "topic {shown} ({}, {}): {}; no group joined, nothing committed",
            counted(ranges.len(), "partition"),
            counted(usize::try_from(offsets).unwrap_or(usize::MAX), "offset"),
            counted(looks.len(), "message"),
        ),
    };
    Ok(Seen { summary, looks, interrupted: false })
}

/// The oldest messages from the ranges' starts on, over all partitions.
fn oldest(
    consumer: &BaseConsumer,
    topic: &str,
    ranges: &[Range],
    number: usize,
) -> anyhow::Result<Vec<Look>> {
    let mut looks = read(consumer, topic, ranges, |looks, look| {
        looks.push_back(look);
        looks.len() < number
    })?;
    let next = || {
        let left = looks.values_mut().filter(|looks| !looks.is_empty());
        left.min_by_key(|looks| looks.front().and_then(|look| look.timestamp))?.pop_front()
    };
    Ok(std::iter::from_fn(next).take(number).collect())
}

/// The newest messages over all partitions, the newest last.
fn newest(
    consumer: &BaseConsumer,
    topic: &str,
    ranges: &[Range],
    number: usize,
) -> anyhow::Result<Vec<Look>> {
    let (mut looks, mut left) = (Looks::new(), ranges.to_vec());
    let mut width = i64::try_from(number).unwrap_or(i64::MAX);
    while !left.is_empty() {
        for range in &mut left {
            range.start = range.end.saturating_sub(width).max(range.low);
        }
        looks.extend(read(consumer, topic, &left, |looks, look| {
            looks.push_back(look);
            if looks.len() > number {
                looks.pop_front();
            }
            true
        })?);
        let enough = |range: &Range| looks.get(&range.partition).is_some_and(|looks| looks.len() == number);
        left.retain(|range| range.start > range.low && !enough(range));
        width = width.saturating_mul(WIDER);
    }
    let next = || {
        let left = looks.values_mut().filter(|looks| !looks.is_empty());
        left.max_by_key(|looks| looks.back().and_then(|look| look.timestamp))?.pop_back()
    };
    let mut newest: Vec<_> = std::iter::from_fn(next).take(number).collect();
    newest.reverse();
    Ok(newest)
}

/// Reads every range to its end, or until `keep` wants no more of that partition.
fn read(
    consumer: &BaseConsumer,
    topic: &str,
    ranges: &[Range],
    mut keep: impl FnMut(&mut VecDeque<Look>, Look) -> bool,
) -> anyhow::Result<Looks> {
    let mut open: BTreeMap<i32, i64> = BTreeMap::new();
    let mut partitions = TopicPartitionList::new();
    for range in ranges.iter().filter(|range| range.start < range.end) {
        open.insert(range.partition, range.end);
        partitions.add_partition_offset(topic, range.partition, Offset::Offset(range.start))?;
    }
    consumer.assign(&partitions)?;
    // Where they were read before they still rest.
    consumer.resume(&partitions)?;

    let (inspector, mut looks, mut failed) = (Inspector::new(), Looks::new(), None);
    let mut heard = Instant::now();
    while !open.is_empty() {
        let done = match consumer.poll(Duration::from_millis(100)) {
            Some(Ok(message)) => {
                heard = Instant::now();
                let partition = message.partition();
                // What a partition still had on the way when it was done.
                let Some(end) = open.get(&partition) else { continue };
                let more = message.offset() < *end
                    && keep(looks.entry(partition).or_default(), inspect(&inspector, topic, &message));
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
    Ok(looks)
}

fn inspect(inspector: &Inspector, topic: &str, message: &BorrowedMessage<'_>) -> Look {
    let place =
        Place::Topic { topic: topic.to_owned(), partition: message.partition(), offset: message.offset() };
    let timestamp = match message.timestamp() {
        Timestamp::NotAvailable => look::Timestamp::None,
        Timestamp::CreateTime(made) | Timestamp::LogAppendTime(made) => look::Timestamp::Milliseconds(made),
    };
    let mut headers = message.headers().map_or_else(OwnedHeaders::new, BorrowedHeaders::detach);
    inspector.look(place, &HeadersCarrier(&mut headers), timestamp)
}
