//! Takes messages out of a queue so that they return to their places: how depends on the queue's type.

use std::pin::pin;
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use futures::{FutureExt as _, StreamExt as _};
use lapin::message::Delivery;
use lapin::options::{BasicConsumeOptions, BasicGetOptions, BasicNackOptions, BasicQosOptions};
use lapin::types::{AMQPValue, FieldTable, ShortString};
use lapin::{Channel, Consumer};
use tokio::{signal, time};

use super::client::{ready, within};
use crate::look::Look;

/// How many messages are taken for the order of the others alone: it is a delivery for each.
const MAX_MORE: usize = 100;

/// How long a consumer may be silent before the queue is asked whether it is empty.
const QUIET: Duration = Duration::from_millis(50);

/// How long a consumer may get nothing of a queue that is not empty.
const SILENCE: Duration = Duration::from_secs(5);

/// What was taken out of a queue.
#[derive(Default)]
pub(super) struct Taken {
    pub(super) looks: Vec<Look>,
    /// How many messages were taken for the order alone.
    pub(super) more: usize,
    pub(super) in_order: bool,
    pub(super) interrupted: bool,
}

impl Taken {
    fn add(&mut self, look: impl FnOnce() -> Look, number: usize) {
        if self.looks.len() < number { self.looks.push(look()) } else { self.more += 1 }
    }
}

/// Takes messages one by one and puts them back with one `nack`. A classic queue sorts them in by their numbers.
pub(super) async fn get(
    channel: &Channel,
    queue: &ShortString,
    number: usize,
    look: impl Fn(&Delivery) -> Look,
) -> anyhow::Result<Taken> {
    let mut interrupt = pin!(signal::ctrl_c());
    let (mut taken, mut last) = (Taken { in_order: true, ..Taken::default() }, None);
    while taken.looks.len() < number {
        // Between two messages: one that is on its way would be put back too late.
        taken.interrupted = interrupt.as_mut().now_or_never().is_some();
        if taken.interrupted {
            break;
        }
        let message = within(channel.basic_get(queue.clone(), BasicGetOptions::default())).await?;
        let Some(message) = message else { break };
        last = Some(message.delivery_tag);
        taken.looks.push(look(&message));
    }
    if let Some(delivery_tag) = last {
        let all = BasicNackOptions { multiple: true, requeue: true };
        within(channel.basic_nack(delivery_tag, all)).await.context("the messages come back at the end")?;
    }
    // Answered after the broker has processed what came before.
    within(channel.close(200, "done".into())).await.context("the messages come back at the end")?;
    Ok(taken)
}

/// Takes messages of a quorum queue with consumers; they return, in their order, when the connection closes.
///
/// A quorum queue counts each `get` as a consumer of its own. RabbitMQ sends at most 32 commands to the queue at once and
/// then those that wait in no order, so a `nack` of more than 32 consumers changes the order. If the queue has no
/// delivery limit, a `nack` even puts a message at the end. When a connection closes, the queue puts the messages of each
/// consumer back in their order and before all others.
///
/// Messages that came back earlier are delivered first, and the queue puts others that come back after those. So this
/// takes all that came back earlier: up to a message that was never delivered.
pub(super) async fn consume(
    channel: &Channel,
    queue: &ShortString,
    number: usize,
    look: impl Fn(&Delivery) -> Look,
) -> anyhow::Result<Taken> {
    let mut interrupt = pin!(signal::ctrl_c());
    let (mut taken, mut consumers) = (Taken::default(), Vec::new());
    // Ctrl-C is only caught from the first poll on.
    taken.interrupted = interrupt.as_mut().now_or_never().is_some();
    let (mut wanted, mut came_back, mut empty) = (number, false, false);
    while wanted > 0 && !empty && !taken.interrupted {
        let prefetch = u16::try_from(wanted).unwrap_or(u16::MAX);
        let mut consumer = consumer(channel, queue, prefetch, consumers.len()).await?;
        let mut received = 0;
        while received < prefetch && !empty {
            tokio::select! {
                biased;
                _ = interrupt.as_mut() => {
                    taken.interrupted = true;
                    break;
                }
                message = next(&mut consumer, channel, queue) => match message? {
                    Some(message) => {
                        received += 1;
                        came_back = message.redelivered;
                        taken.add(|| look(&message), number);
                    }
                    None => empty = true,
                },
            }
        }
        consumers.push(consumer);
        wanted = match number - taken.looks.len() {
            // Twice as many each time, so that RabbitMQ has few consumers to put back.
            0 if came_back => taken.more.max(1).min(MAX_MORE - taken.more),
            left => left,
        };
    }
    taken.in_order = empty || !came_back;
    Ok(taken)
}

/// A consumer that gets `prefetch` messages, if no other consumer takes them.
async fn consumer(
    channel: &Channel,
    queue: &ShortString,
    prefetch: u16,
    index: usize,
) -> anyhow::Result<Consumer> {
    within(channel.basic_qos(prefetch, BasicQosOptions::default())).await?;
    let mut arguments = FieldTable::default();
    arguments.insert("x-priority".into(), AMQPValue::LongInt(-1_000));
    // RabbitMQ before 4.0 puts the consumers' messages back in the order of these names.
    let tag = format!("carrier-peek-{index:08}");
    let options = BasicConsumeOptions::default();
    within(channel.basic_consume(queue.clone(), tag.into(), options, arguments)).await
}

/// Returns the next message, or `None` if no message is ready.
async fn next(
    consumer: &mut Consumer,
    channel: &Channel,
    queue: &ShortString,
) -> anyhow::Result<Option<Delivery>> {
    let (began, mut was_empty) = (Instant::now(), 0);
    loop {
        match time::timeout(QUIET, consumer.next()).await {
            Ok(Some(message)) => return Ok(Some(message?)),
            Ok(None) => bail!("RabbitMQ cancelled the consumer: was the queue deleted?"),
            // The second answer arrives after all messages that were on their way at the first one.
            Err(_) if was_empty == 2 => return Ok(None),
            Err(_) if ready(channel, queue).await? == 0 => was_empty += 1,
            Err(_) if began.elapsed() > SILENCE => {
                bail!("RabbitMQ delivers no message: does another consumer use the queue alone?")
            }
            Err(_) => was_empty = 0,
        }
    }
}
