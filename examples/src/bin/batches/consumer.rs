//! The consumer: gathers a batch, works on it as one, and commits what is done.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use carrier_examples::kafka::{Kafka, LIMIT};
use carrier_kafka::Instrumentation;
use opentelemetry::trace::{SpanId, TraceContextExt as _};
use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer as _, StreamConsumer};
use rdkafka::error::KafkaResult;
use rdkafka::message::BorrowedMessage;
use rdkafka::{Message as _, Offset, TopicPartitionList};
use tokio::task::{self, block_in_place};
use tokio::time::{Instant, timeout_at};

use crate::store::{NotStored, Place, Store};
use crate::waiting::{Waited, Waiting};

/// A batch is full with so many records.
const MOST: usize = 4;

/// And goes so long after its first one, full or not.
const WITHIN: Duration = Duration::from_millis(200);

#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Rewind {
    AfterAFailure,
    Never,
}

/// What became of a batch, to be shown and checked.
pub(crate) struct Consumed {
    pub(crate) span: SpanId,
    pub(crate) places: Vec<Place>,
    /// Those of records that brought a context.
    pub(crate) traced: BTreeSet<Place>,
    pub(crate) failed: bool,
    pub(crate) waited: Option<Waited>,
}

pub(crate) fn subscribe(broker: &Kafka) -> KafkaResult<StreamConsumer> {
    let consumer: StreamConsumer = broker
        .consumer_config()
        .set("auto.offset.reset", "earliest")
        // Otherwise librdkafka commits what was handed out, whatever became of it.
        .set("enable.auto.commit", "false")
        .create()?;
    consumer.subscribe(&[&broker.topic])?;
    Ok(consumer)
}

/// Works until so many records are behind it. Nothing here ends where a batch failed once.
pub(crate) async fn consume(
    kafka: &Instrumentation,
    consumer: &StreamConsumer,
    store: &mut Store,
    count: usize,
    rewind: Rewind,
    waiting: &Waiting,
) -> anyhow::Result<Vec<Consumed>> {
    let mut consumed = Vec::new();
    let mut passed = 0;
    while passed < count {
        let messages = gather(consumer).await?;
        // One span for all of them, in a trace of its own, with a link to the sender of each.
        let batch = kafka.process_batch(&messages);
        let span = batch.context().span().span_context().span_id();

        let done = batch.run(async {
            store.add(&messages, batch.contexts()).await?;
            // Behind the work: before it, what fails is lost. A commit is for all records before it, so not each has one.
            let behind = behind(&messages)?;
            // The call waits for Kafka, and not as a future; it stays on this thread, where the batch's span is current.
            block_in_place(|| kafka.commit(consumer, &behind, CommitMode::Sync))?;
            Ok::<_, NotStored>(())
        });
        let failed = done.await.is_err();

        if failed && rewind == Rewind::AfterAFailure {
            // Not committed is not yet read again: that takes a restart, or this. Without it the next commit, which is
            // for all records before it, would be for these as well.
            let beginning = beginning(&messages)?;
            block_in_place(|| consumer.seek_partitions(beginning, LIMIT))?;
        } else {
            passed += messages.len();
        }
        let places: Vec<_> = messages.iter().map(|message| (message.partition(), message.offset())).collect();
        let with_contexts = places.iter().zip(batch.contexts());
        let traced = with_contexts.filter(|(_, cx)| cx.has_active_span()).map(|(place, _)| *place).collect();
        consumed.push(Consumed { span, places, traced, failed, waited: waiting.since_last_time()? });
    }
    Ok(consumed)
}

/// Waits for a record as long as it takes, and then for more, but not long.
async fn gather(consumer: &StreamConsumer) -> KafkaResult<Vec<BorrowedMessage<'_>>> {
    let mut messages = vec![consumer.recv().await?];
    let end = Instant::now() + WITHIN;
    while messages.len() < MOST {
        let Ok(message) = timeout_at(end, consumer.recv()).await else { break };
        messages.push(message?);
    }
    Ok(messages)
}

/// For each partition, where to go on behind a batch.
fn behind(messages: &[BorrowedMessage<'_>]) -> KafkaResult<TopicPartitionList> {
    offsets(messages, |offset| offset + 1, i64::max)
}

/// For each partition, where a batch begins.
fn beginning(messages: &[BorrowedMessage<'_>]) -> KafkaResult<TopicPartitionList> {
    offsets(messages, |offset| offset, i64::min)
}

fn offsets(
    messages: &[BorrowedMessage<'_>],
    of: impl Fn(i64) -> i64,
    choose: impl Fn(i64, i64) -> i64,
) -> KafkaResult<TopicPartitionList> {
    let mut chosen = BTreeMap::new();
    for message in messages {
        let offset = of(message.offset());
        let known = chosen.entry((message.topic(), message.partition())).or_insert(offset);
        *known = choose(*known, offset);
    }
    let mut list = TopicPartitionList::new();
    for ((topic, partition), offset) in chosen {
        list.add_partition_offset(topic, partition, Offset::Offset(offset))?;
    }
    Ok(list)
}

/// Asks Kafka, for each partition, which offset the group has committed and which one is the next to be written.
pub(crate) async fn ends(broker: &Kafka) -> anyhow::Result<Vec<(i64, i64)>> {
    let (config, topic) = (broker.consumer_config(), broker.topic.clone());
    let asked = task::spawn_blocking(move || {
        // Another consumer of the group: this one knows only what Kafka knows.
        let consumer: BaseConsumer = config.create()?;
        let mut partitions = TopicPartitionList::new();
        partitions.add_partition_range(&topic, 0, 1);
        let committed = consumer.committed_offsets(partitions, LIMIT)?;
        let each = committed.elements().into_iter().map(|element| {
            let (_, end) = consumer.fetch_watermarks(&topic, element.partition(), LIMIT)?;
            Ok((element.offset().to_raw().unwrap_or(0).max(0), end))
        });
        each.collect::<KafkaResult<Vec<_>>>()
    });
    Ok(asked.await??)
}
