//! RabbitMQ with confirms, 512 messages in flight, bodies of 100 bytes.

use std::collections::VecDeque;

use anyhow::{Context as _, anyhow, bail, ensure};
use carrier_amqp::Instrumentation;
use lapin::options::{BasicPublishOptions, ConfirmSelectOptions, QueueDeclareOptions};
use lapin::types::{AMQPValue, FieldTable, ShortString};
use lapin::uri::AMQPUri;
use lapin::{BasicProperties, Confirmation, Connection, ConnectionProperties};
use opentelemetry::global::set_text_map_propagator;

use crate::bounds::Bounds;
use crate::context::{self, Level2};
use crate::usage::{Figures, Moment};
use crate::{BODY, variable};

const IN_FLIGHT: usize = 512;

/// Messages before the clock starts.
const FIRST: u32 = 2_000;

pub(crate) async fn run(variant: &str, bounds: Bounds) -> anyhow::Result<Figures> {
    let uri: AMQPUri = variable("AMQP_URL")?.parse().map_err(|_| anyhow!("AMQP_URL is no AMQP URL"))?;
    let connection = Connection::connect_uri(uri.clone(), ConnectionProperties::default()).await?;
    let channel = connection.create_channel().await?;
    channel.confirm_select(ConfirmSelectOptions::default()).await?;
    // Goes away with the connection, and never holds many messages.
    let mut arguments = FieldTable::default();
    arguments.insert("x-max-length".into(), AMQPValue::LongInt(1_000));
    let options = QueueDeclareOptions { exclusive: true, ..QueueDeclareOptions::default() };
    let queue = channel.queue_declare("".into(), options, arguments).await?.name().clone();

    let level2 = Level2::named(variant);
    let _parent = context::enter(level2.is_none_or(|choice| choice.is_recorded));
    set_text_map_propagator(carrier_core::w3c());
    let to = || (ShortString::default(), queue.clone(), BasicPublishOptions::default());
    if let Some(choice) = level2 {
        let amqp = context::instrumentation!(Instrumentation::builder().uri(&uri), choice);
        let channel = amqp.channel(channel);
        let publish = async || {
            let (exchange, queue, options) = to();
            channel.basic_publish(exchange, queue, options, &BODY, BasicProperties::default()).await
        };
        return drive(bounds, publish).await;
    }
    let publish = async |properties| {
        let (exchange, queue, options) = to();
        channel.basic_publish(exchange, queue, options, &BODY, properties).await
    };
    match variant {
        "bare" => drive(bounds, async || publish(BasicProperties::default()).await).await,
        "ready" => drive(bounds, async || publish(ready()).await).await,
        "level1" => drive(bounds, async || publish(injected()).await).await,
        _ => bail!("there is no such variant"),
    }
}

fn ready() -> BasicProperties {
    let mut headers = FieldTable::default();
    headers.insert("traceparent".into(), AMQPValue::LongString(context::READY.into()));
    BasicProperties::default().with_headers(headers)
}

fn injected() -> BasicProperties {
    let mut properties = BasicProperties::default();
    carrier_amqp::inject(&opentelemetry::Context::current(), &mut properties);
    properties
}

async fn drive<C>(
    bounds: Bounds,
    mut publish: impl AsyncFnMut() -> lapin::Result<C>,
) -> anyhow::Result<Figures>
where
    C: Future<Output = lapin::Result<Confirmation>>,
{
    publish_all(bounds.of(FIRST), &mut publish).await?;
    let began = Moment::now();
    let sent = publish_all(bounds.of(bounds.messages), &mut publish).await?;
    began.until_now(sent)
}

/// Publishes, and never has more than so many without their confirmation.
async fn publish_all<C>(
    bounds: Bounds,
    publish: &mut impl AsyncFnMut() -> lapin::Result<C>,
) -> anyhow::Result<u32>
where
    C: Future<Output = lapin::Result<Confirmation>>,
{
    let (mut waiting, mut sent) = (VecDeque::with_capacity(IN_FLIGHT), 0);
    while sent < bounds.messages && !bounds.is_over() {
        if waiting.len() == IN_FLIGHT {
            confirmed(waiting.pop_front()).await?;
        }
        waiting.push_back(publish().await.context("a message was not published")?);
        sent += 1;
    }
    for confirm in waiting {
        confirmed(Some(confirm)).await?;
    }
    Ok(sent)
}

async fn confirmed(confirm: Option<impl Future<Output = lapin::Result<Confirmation>>>) -> anyhow::Result<()> {
    if let Some(confirm) = confirm {
        ensure!(matches!(confirm.await?, Confirmation::Ack(None)), "the broker did not take a message");
    }
    Ok(())
}
