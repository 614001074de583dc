//! Copies records to another topic. An offset is committed after Kafka has confirmed the copy, so none is left out.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, anyhow};
use rdkafka::consumer::{CommitMode, Consumer as _};
use rdkafka::error::{KafkaError, KafkaResult, RDKafkaErrorCode};
use rdkafka::message::{BorrowedHeaders, BorrowedMessage};
use rdkafka::producer::{DeliveryFuture, FutureProducer, FutureRecord};
use rdkafka::{ClientConfig, Message as _, Offset, TopicPartitionList};
use tokio::runtime::Handle;
use tokio::{signal, task};

use super::client::{Client, LIMIT, Range};
use crate::cli::{MoveKafka, Partitioner};
use crate::moved::Report;

/// How many records are copied before their offsets are committed: so many can be there twice.
const BATCH: usize = 100;

/// Copies records, and returns whether Ctrl-C ended it.
pub(crate) async fn transfer(options: &MoveKafka) -> anyhow::Result<bool> {
    let interrupted = Arc::new(AtomicBool::new(false));
    let interrupt = interrupted.clone();
    tokio::spawn(async move {
        if signal::ctrl_c().await.is_ok() {
            interrupt.store(true, Relaxed);
        }
    });
    task::block_in_place(|| copy_all(options, &interrupted))?;
    Ok(interrupted.load(Relaxed))
}

fn copy_all(options: &MoveKafka, interrupted: &AtomicBool) -> anyhow::Result<()> {
    let MoveKafka { from, to, moved, .. } = options;
    let group = options.group.clone().unwrap_or_else(|| format!("carrier-peek.{from}.{to}"));
    let client = Client::new(&group)?;
    client.ranges(to)?;
    let mut ranges = client.ranges(from)?;
    from_committed(&client, from, &mut ranges).with_context(|| format!("the offsets of group {group:?}"))?;
    // Some offsets can be without a record. A handler that fails at once would fill the topic for ever: so to these ends.
    let there = ranges.iter().map(|range| range.end - range.start).sum::<i64>();
    let there = usize::try_from(there).unwrap_or(usize::MAX);
    let number = moved.number.unwrap_or(usize::MAX).min(there);
    let report = Report::new(format!("topic {from:?} at {} to topic {to:?}", client.brokers), number, there);
    if moved.dry_run {
        report.dry_run();
        return Ok(());
    }
    let producer = producer(&client, options.partitioner)?;
    let mut copies = Copies { client: &client, producer, options, sent: Vec::new(), report };
    let result = client.read(from, &ranges, |record| {
        if interrupted.load(Relaxed) || copies.count() == number {
            return Ok(false);
        }
        copies.send(record)?;
        if copies.sent.len() == BATCH {
            copies.commit()?;
        }
        Ok(copies.count() < number)
    });
    // Also after an error: what is confirmed is not copied again.
    let committed = copies.commit();
    result.and(committed).with_context(|| copies.report.so_far())?;
    copies.report.done();
    Ok(())
}

/// Begins each range after the records that are copied already.
fn from_committed(client: &Client, topic: &str, ranges: &mut [Range]) -> anyhow::Result<()> {
    let mut partitions = TopicPartitionList::new();
    for range in &*ranges {
        partitions.add_partition(topic, range.partition);
    }
    let committed = coordinated(|| client.consumer.committed_offsets(partitions.clone(), LIMIT))?;
    for range in ranges {
        let found = committed.find_partition(topic, range.partition);
        if let Some(Offset::Offset(offset)) = found.map(|found| found.offset()) {
            range.start = offset.clamp(range.low, range.end);
        }
    }
    Ok(())
}

/// Asks the group's coordinator again if the broker is about to become it: the first group of a cluster needs a topic.
fn coordinated<T>(ask: impl Fn() -> KafkaResult<T>) -> KafkaResult<T> {
    use RDKafkaErrorCode::{CoordinatorLoadInProgress, CoordinatorNotAvailable, NotCoordinator};
    let began = Instant::now();
    loop {
        let answer = ask();
        let code = answer.as_ref().err().and_then(KafkaError::rdkafka_error_code);
        let wait = matches!(code, Some(CoordinatorLoadInProgress | CoordinatorNotAvailable | NotCoordinator));
        if !wait || began.elapsed() > LIMIT * 2 {
            return answer;
        }
        thread::sleep(Duration::from_millis(100));
    }
}

fn producer(client: &Client, partitioner: Partitioner) -> anyhow::Result<FutureProducer> {
    let partitioner = match partitioner {
        Partitioner::Librdkafka => "consistent_random",
        Partitioner::Java => "murmur2_random",
    };
    let producer = ClientConfig::new()
        .set("bootstrap.servers", &client.brokers)
        // In their order, and once, if librdkafka has to send again.
        .set("enable.idempotence", "true")
        .set("message.timeout.ms", "30000")
        // The broker has taken this record once: its limit counts.
        .set("message.max.bytes", "1000000000")
        .set("partitioner", partitioner)
        .create()?;
    Ok(producer)
}

struct Copies<'a> {
    client: &'a Client,
    producer: FutureProducer,
    options: &'a MoveKafka,
    /// Partition and offset of the records that are on their way, in the order in which they were read.
    sent: Vec<(i32, i64, DeliveryFuture)>,
    report: Report,
}

impl Copies<'_> {
    fn count(&self) -> usize {
        self.report.moved + self.sent.len()
    }

    /// Sends a copy: key, value, headers and timestamp.
    fn send(&mut self, record: &BorrowedMessage<'_>) -> anyhow::Result<()> {
        let mut copy = FutureRecord::<[u8], [u8]>::to(&self.options.to);
        copy.key = record.key();
        copy.payload = record.payload();
        copy.headers = record.headers().map(BorrowedHeaders::detach);
        copy.timestamp = record.timestamp().to_millis();
        let sent = self.producer.send_result(copy).map_err(|(error, _)| error)?;
        self.sent.push((record.partition(), record.offset(), sent));
        Ok(())
    }

    /// Waits until Kafka has confirmed the copies, and commits the offsets up to the first one that failed.
    fn commit(&mut self) -> anyhow::Result<()> {
        let (mut confirmed, mut result) = (BTreeMap::new(), Ok(()));
        for (partition, offset, sent) in self.sent.drain(..) {
            let delivered = Handle::current().block_on(sent);
            match delivered.map_err(|_| anyhow!("the producer has ended")) {
                Ok(Ok(_)) => {
                    confirmed.insert(partition, offset + 1);
                    self.report.moved += 1;
                }
                Ok(Err((error, _))) => result = Err(error.into()),
                Err(error) => result = Err(error),
            }
            if result.is_err() {
                break;
            }
        }
        let mut offsets = TopicPartitionList::new();
        for (partition, offset) in confirmed {
            offsets.add_partition_offset(&self.options.from, partition, Offset::Offset(offset))?;
        }
        if offsets.count() > 0 {
            coordinated(|| self.client.consumer.commit(&offsets, CommitMode::Sync))?;
        }
        result
    }
}
