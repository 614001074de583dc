//! Looks into a queue.

use anyhow::{Context as _, bail};
use carrier_amqp::FieldTableCarrier;
use lapin::message::Delivery;
use lapin::types::AMQPValue;
use tokio::time;

use super::client::{Client, LIMIT, name};
use super::queue_type::{self, QueueType};
use super::take;
use crate::look::{Inspector, Look, Place, Seen, Timestamp};

pub(crate) async fn peek(queue: &str, number: usize, yes: bool) -> anyhow::Result<Seen> {
    let name = name(queue)?;
    let client = Client::connect().await?;
    let shown = format!("{queue:?} at {}", client.address);
    let there = client.there(&name).await?;
    let found = time::timeout(LIMIT, queue_type::find(&client.connection, &name)).await;
    let queue_type = found.context("RabbitMQ does not tell the queue's type in time")??;
    refuse(&queue_type, &shown, yes)?;
    let inspector = Inspector::new();
    let look = |message: &Delivery| inspect(&inspector, queue, message);
    let taken = match queue_type {
        QueueType::Quorum => take::consume(&client.channel, &name, number, look).await?,
        _ => take::get(&client.channel, &name, number, look).await?,
    };
    // A quorum queue puts the messages back at this moment.
    client.close().await;
    let summary = match taken.looks.len() {
        0 => format!("the queue {shown} is empty: no message is ready"),
        count => {
            let there = there.max(count);
            let (more, order) = match queue_type {
                QueueType::Unknown(_) => (0, "in their order if it is a classic queue"),
                _ => (taken.more, if taken.in_order { "in their order" } else { "behind others" }),
            };
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
