//! Looks into a topic. Nothing is committed.

use std::collections::{BTreeMap, VecDeque};

use carrier_kafka::HeadersCarrier;
use rdkafka::message::{BorrowedHeaders, BorrowedMessage, OwnedHeaders};
use rdkafka::{Message as _, Timestamp};

use super::client::{Client, Range};
use crate::cli::Start;
use crate::look::{self, Inspector, Look, Place, Seen};
use crate::text::counted;

/// How many times as many offsets are read if those that were read hold too few messages.
const WIDER: i64 = 8;

/// What was read of each partition, in its order.
type Looks = BTreeMap<i32, VecDeque<Look>>;

pub(crate) fn peek(topic: &str, number: usize, from: Start) -> anyhow::Result<Seen> {
    let client = Client::new("carrier-peek")?;
    let mut ranges = client.ranges(topic)?;
    let shown = format!("{topic:?} at {}", client.brokers);
    let looks = match from {
        Start::Beginning => oldest(&client, topic, &ranges, number)?,
        Start::End => newest(&client, topic, &ranges, number)?,
        Start::Offset(offset) => {
            for range in &mut ranges {
                range.start = offset.clamp(range.low, range.end);
            }
            oldest(&client, topic, &ranges, number)?
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
fn oldest(client: &Client, topic: &str, ranges: &[Range], number: usize) -> anyhow::Result<Vec<Look>> {
    let mut looks = read(client, topic, ranges, |looks, look| {
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
fn newest(client: &Client, topic: &str, ranges: &[Range], number: usize) -> anyhow::Result<Vec<Look>> {
    let (mut looks, mut left) = (Looks::new(), ranges.to_vec());
    let mut width = i64::try_from(number).unwrap_or(i64::MAX);
    while !left.is_empty() {
        for range in &mut left {
            range.start = range.end.saturating_sub(width).max(range.low);
        }
        looks.extend(read(client, topic, &left, |looks, look| {
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
    client: &Client,
    topic: &str,
    ranges: &[Range],
    mut keep: impl FnMut(&mut VecDeque<Look>, Look) -> bool,
) -> anyhow::Result<Looks> {
    let (inspector, mut looks) = (Inspector::new(), Looks::new());
    client.read(topic, ranges, |message| {
        let look = inspect(&inspector, topic, message);
        Ok(keep(looks.entry(message.partition()).or_default(), look))
    })?;
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
