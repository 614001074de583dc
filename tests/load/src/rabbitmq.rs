//! RabbitMQ with confirms, 512 messages in flight.

use std::collections::VecDeque;

use anyhow::{Context as _, anyhow, bail, ensure};
use carrier_amqp::Instrumentation;
use carrier_measure::PARENT;
use lapin::options::{BasicPublishOptions, ConfirmSelectOptions, QueueDeclareOptions};
use lapin::types::{AMQPValue, FieldTable, ShortString};
use lapin::uri::AMQPUri;
use lapin::{BasicProperties, Channel, Confirmation};
use opentelemetry::Context;

use crate::BODY;
use crate::context;
use crate::usage::{Bounds, Figures, measured};

const IN_FLIGHT: usize = 512;

/// Messages before the clock starts.
const FIRST: u32 = 2_000;

/// A channel with confirms, and a queue that goes away with the connection and never holds many messages.
pub(crate) async fn queue() -> anyhow::Result<(Channel, ShortString)> {
    let channel = carrier_tests::rabbitmq().await.channel().await;
    channel.confirm_select(ConfirmSelectOptions::default()).await?;
    let mut arguments = FieldTable::default();
    arguments.insert("x-max-length".into(), AMQPValue::LongInt(1_000));
    let options = QueueDeclareOptions { exclusive: true, ..QueueDeclareOptions::default() };
    let queue = channel.queue_declare("".into(), options, arguments).await?.name().clone();
    Ok((channel, queue))
}

pub(crate) async fn run(variant: &str, bounds: Bounds) -> anyhow::Result<Figures> {
    let rabbitmq = carrier_tests::rabbitmq().await;
    let uri: AMQPUri = rabbitmq.url().parse().map_err(|_| anyhow!("AMQP_URL is no AMQP URL"))?;
    let (channel, queue) = queue().await?;

    let _parent = context::enter(variant);
    context::install();
    let to = || (ShortString::default(), queue.clone(), BasicPublishOptions::default());
    if context::is_level2(variant) {
        let amqp = context::instrumentation!(Instrumentation::builder().uri(&uri), variant);
        let channel = amqp.channel(channel);
        let publish = async || {
            let (exchange, queue, options) = to();
            channel.basic_publish(exchange, queue, options, &BODY, BasicProperties::default()).await
        };
        return drive(bounds, publish).await;
    }
    let properties: fn() -> BasicProperties = match variant {
        "bare" => BasicProperties::default,
        "ready" => || {
            let mut headers = FieldTable::default();
            headers.insert("traceparent".into(), AMQPValue::LongString(PARENT.into()));
            BasicProperties::default().with_headers(headers)
        },
        "level1" => || {
            let mut properties = BasicProperties::default();
            carrier_amqp::inject(&Context::current(), &mut properties);
            properties
        },
        _ => bail!("there is no such variant"),
    };
    let publish = async || {
        let (exchange, queue, options) = to();
        channel.basic_publish(exchange, queue, options, &BODY, properties()).await
    };
    drive(bounds, publish).await
}

/// Publishes, and never has more than so many messages without their confirmation.
async fn drive<C>(
    bounds: Bounds,
    mut publish: impl AsyncFnMut() -> lapin::Result<C>,
) -> anyhow::Result<Figures>
where
    C: Future<Output = lapin::Result<Confirmation>>,
{
    measured(bounds, FIRST, async |bounds| {
        let (mut waiting, mut sent) = (VecDeque::with_capacity(IN_FLIGHT), 0);
        loop {
            let is_sending = bounds.allow(sent);
            if waiting.len() == IN_FLIGHT || !is_sending {
                let Some(confirm) = waiting.pop_front() else { return Ok(sent) };
                let confirm: C = confirm;
                let is_taken = matches!(confirm.await?, Confirmation::Ack(None));
                ensure!(is_taken, "the broker did not take a message");
            }
            if is_sending {
                waiting.push_back(publish().await.context("a message was not published")?);
                sent += 1;
            }
        }
    })
    .await
}
