//! RabbitMQ: every look is a delivery, and what was delivered is put back.

use std::pin::pin;
use std::time::Duration;

use anyhow::{Context as _, anyhow, bail};
use carrier_amqp::FieldTableCarrier;
use carrier_examples::{connect, variable, without_password};
use futures::FutureExt as _;
use lapin::message::Delivery;
use lapin::options::{BasicGetOptions, BasicNackOptions, QueueDeclareOptions};
use lapin::types::{AMQPValue, FieldTable, ShortString};
use lapin::{Channel, Connection};
use tokio::{signal, time};

use crate::look::{Inspector, Look, Place, Seen, Timestamp};
use crate::queue_type::{self, QueueType};

/// How long RabbitMQ may take for anything.
const LIMIT: Duration = Duration::from_secs(10);

/// How many messages are taken for the order of the others alone: it is a delivery for each.
const MAX_MORE: usize = 100;

pub(crate) async fn peek(queue: &str, number: usize, yes: bool) -> anyhow::Result<Seen> {
    let name = ShortString::try_new(queue).context("that is no name of a queue")?;
    let url = variable("AMQP_URL").unwrap_or_else(|| "amqp://127.0.0.1:5672/%2f".to_owned());
    let connection = connect(&url).await?;
    let shown = format!("{queue:?} at {}", without_password(&url));

    // Passive, so that a name with a typing error makes no queue.
    let passive = QueueDeclareOptions { passive: true, ..QueueDeclareOptions::default() };
    let channel = connection.create_channel().await?;
    let declared = within(channel.queue_declare(name.clone(), passive, FieldTable::default())).await;
    let there = declared.with_context(|| format!("no queue {shown} to be read"))?.message_count();

    let found = time::timeout(LIMIT, queue_type::find(&connection, &name)).await;
    let queue_type = found.context("RabbitMQ does not tell the queue's type in time")??;
    refuse(&queue_type, &shown, yes)?;
    let taken = look(&connection, &name, number, &queue_type).await?;
    // Whatever comes of it: the messages are where they were.
    let _ = within(connection.close(200, "done".into())).await;
    let summary = match taken.looks.len() {
        0 => format!("the queue {shown} is empty: no message is ready"),
        count => {
            let there = usize::try_from(there).unwrap_or(usize::MAX).max(count);
            let (more, order) = (taken.more, if taken.in_order { "in their order" } else { "behind others" });
            let more = if more > 0 { format!(" ({more} more for the order)") } else { String::new() };
            format!(
                "queue {shown} ({queue_type}): {count} of {there} messages; every look is a delivery, \
                 and these{more} were put back {order}"
            )
        }
    };
    Ok(Seen { summary, looks: taken.looks, interrupted: taken.interrupted })
}

fn refuse(queue_type: &QueueType, shown: &str, yes: bool) -> anyhow::Result<()> {
    let counts =
        "every look counts as a delivery, and a message that had too many (20 by default) is removed";
    match queue_type {
        QueueType::Stream => bail!("{shown} is a stream: it cannot be looked at this way"),
        _ if yes => Ok(()),
        QueueType::Classic => Ok(()),
        QueueType::Quorum => bail!("{shown} is a quorum queue: {counts}; --yes looks all the same"),
        QueueType::Unknown(why) => {
            bail!("{shown} may be a quorum queue ({why}), where {counts}; --yes looks all the same")
        }
    }
}

/// What was taken out of a queue and put back.
struct Taken {
    looks: Vec<Look>,
    /// How many messages were taken for the order alone.
    more: usize,
    in_order: bool,
    interrupted: bool,
}

/// Takes messages out, looks at them, and puts them back before anything is shown: a terminal can be slow.
///
/// Where this fails, or the program is killed, the broker puts them back when the connection ends.
///
/// A quorum queue gives out what came back before everything else, and puts what comes back now behind it. There the
/// messages keep their order where all that came back before is taken as well: up to one that was never delivered.
async fn look(
    connection: &Connection,
    queue: &ShortString,
    number: usize,
    queue_type: &QueueType,
) -> anyhow::Result<Taken> {
    let channel = connection.create_channel().await?;
    let inspector = Inspector::new();
    let mut interrupt = pin!(signal::ctrl_c());
    let mut taken = Taken { looks: Vec::new(), more: 0, in_order: true, interrupted: false };
    let mut last = None;
    loop {
        let came_back = !matches!(queue_type, QueueType::Classic) && last.is_some_and(|(_, again)| again);
        if taken.looks.len() == number && !came_back {
            break;
        }
        // Between two messages: one that is on its way would be put back too late.
        taken.interrupted = interrupt.as_mut().now_or_never().is_some();
        if taken.interrupted || taken.more == MAX_MORE {
            taken.in_order = !came_back;
            break;
        }
        let Some(message) = within(channel.basic_get(queue.clone(), BasicGetOptions::default())).await?
        else {
            break;
        };
        last = Some((message.delivery_tag, message.redelivered));
        if taken.looks.len() < number {
            taken.looks.push(inspect(&inspector, queue.as_str(), &message));
        } else {
            taken.more += 1;
        }
    }
    put_back(&channel, last).await.context("the messages come back when this connection ends")?;
    Ok(taken)
}

/// All at once: a classic queue sorts them in where they were, a quorum queue keeps them in the order they went.
async fn put_back(channel: &Channel, last: Option<(u64, bool)>) -> anyhow::Result<()> {
    if let Some((delivery_tag, _)) = last {
        let all = BasicNackOptions { multiple: true, requeue: true };
        within(channel.basic_nack(delivery_tag, all)).await?;
    }
    // Answered when the broker is done with what came before.
    within(channel.close(200, "done".into())).await
}

fn inspect(inspector: &Inspector, queue: &str, message: &Delivery) -> Look {
    let mut headers = message.properties.headers().clone().unwrap_or_default();
    let place = Place::Queue {
        queue: queue.to_owned(),
        delivery_tag: message.delivery_tag,
        redelivered: message.redelivered,
        delivery_count: headers.inner().get("x-delivery-count").and_then(integer),
    };
    let timestamp = message.properties.timestamp().map_or(Timestamp::None, Timestamp::Seconds);
    inspector.look(place, &FieldTableCarrier(&mut headers), timestamp)
}

fn integer(value: &AMQPValue) -> Option<i64> {
    match value {
        AMQPValue::LongLongInt(count) => Some(*count),
        AMQPValue::LongInt(count) => Some((*count).into()),
        AMQPValue::LongUInt(count) => Some((*count).into()),
        AMQPValue::ShortInt(count) => Some((*count).into()),
        AMQPValue::ShortUInt(count) => Some((*count).into()),
        AMQPValue::ShortShortInt(count) => Some((*count).into()),
        AMQPValue::ShortShortUInt(count) => Some((*count).into()),
        _ => None,
    }
}

async fn within<T>(answer: impl Future<Output = lapin::Result<T>>) -> anyhow::Result<T> {
    match time::timeout(LIMIT, answer).await {
        Ok(answer) => Ok(answer?),
        Err(_) => Err(anyhow!("RabbitMQ gave no answer within {} s", LIMIT.as_secs())),
    }
}
