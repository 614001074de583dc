//! Moves dead letters. A letter is acknowledged after RabbitMQ has confirmed its copy, so none is lost.

use std::collections::BTreeMap;
use std::pin::pin;

use anyhow::{Context as _, bail};
use futures::FutureExt as _;
use lapin::message::Delivery;
use lapin::options::{
    BasicAckOptions, BasicGetOptions, BasicPublishOptions, ConfirmSelectOptions, ExchangeDeclareOptions,
};
use lapin::types::{AMQPValue, FieldTable, ShortString};
use lapin::{BasicProperties, Confirmation, ExchangeKind};
use tokio::signal;

use super::client::{Client, name, within};
use crate::cli::{MoveAmqp, Target};
use crate::moved::Report;

/// What RabbitMQ records in a message that dies. Handlers use it to give up, and RabbitMQ before 4.0 to find loops.
const DEATHS: [&str; 7] = [
    "x-death",
    "x-first-death-exchange",
    "x-first-death-queue",
    "x-first-death-reason",
    "x-last-death-exchange",
    "x-last-death-queue",
    "x-last-death-reason",
];

/// What is about the old queue, or would send copies to other queues.
const NEVER_KEPT: [&str; 4] = ["x-delivery-count", "x-acquired-count", "CC", "BCC"];

/// Moves messages, and returns whether Ctrl-C ended it.
pub(crate) async fn transfer(options: &MoveAmqp) -> anyhow::Result<bool> {
    let from = name(&options.from)?;
    let to = Destination::new(&options.to)?;
    let client = Client::connect().await?;
    // A handler that fails at once would fill the queue for ever.
    let there = client.there(&from).await?;
    to.check(&client).await?;
    let number = options.moved.number.unwrap_or(usize::MAX).min(there);
    let mut report =
        Report::new(format!("queue {:?} at {} to {to}", options.from, client.address), number, there);
    if options.moved.dry_run {
        report.dry_run();
        return Ok(false);
    }
    within(client.channel.confirm_select(ConfirmSelectOptions::default())).await?;
    let mut interrupt = pin!(signal::ctrl_c());
    let mut interrupted = false;
    while report.moved < number {
        interrupted = interrupt.as_mut().now_or_never().is_some();
        if interrupted {
            break;
        }
        let letter = client.channel.basic_get(from.clone(), BasicGetOptions::default());
        let Some(letter) = within(letter).await.with_context(|| report.so_far())? else { break };
        publish(&client, &to, &letter, options.keep_deaths).await.with_context(|| report.so_far())?;
        within(letter.ack(BasicAckOptions::default())).await.with_context(|| report.so_far())?;
        report.moved += 1;
    }
    // Answered after the broker has processed the last acknowledgement.
    within(client.channel.close(200, "done".into())).await.with_context(|| report.so_far())?;
    client.close().await;
    report.done();
    Ok(interrupted)
}

/// Publishes a copy, and returns after RabbitMQ has confirmed that a queue has it. If it fails, the broker puts the letter
/// back when the connection ends.
async fn publish(
    client: &Client,
    to: &Destination,
    letter: &Delivery,
    keep_deaths: bool,
) -> anyhow::Result<()> {
    let (exchange, routing_key) = to.route(letter);
    let properties = properties(&letter.properties, &client.user, keep_deaths);
    let mandatory = BasicPublishOptions { mandatory: true, ..BasicPublishOptions::default() };
    let confirm =
        client.channel.basic_publish(exchange, routing_key.clone(), mandatory, &letter.data, properties);
    match within(async { confirm.await?.await }).await? {
        Confirmation::Ack(None) => Ok(()),
        Confirmation::Ack(Some(_)) => {
            bail!("{to} routes a message with the key {:?} to no queue", routing_key.as_str())
        }
        _ => bail!("{to} takes no message: is a queue full?"),
    }
}

enum Destination {
    Queue(ShortString),
    Exchange(ShortString),
}

impl Destination {
    fn new(target: &Target) -> anyhow::Result<Self> {
        match (&target.to, &target.to_exchange) {
            (Some(queue), _) => Ok(Self::Queue(name(queue)?)),
            (None, exchange) => Ok(Self::Exchange(name(exchange.as_deref().unwrap_or_default())?)),
        }
    }

    async fn check(&self, client: &Client) -> anyhow::Result<()> {
        match self {
            Self::Queue(queue) => client.there(queue).await.map(|_| ()),
            // It is always there, and cannot be declared.
            Self::Exchange(exchange) if exchange.as_str().is_empty() => Ok(()),
            Self::Exchange(exchange) => {
                let passive = ExchangeDeclareOptions { passive: true, ..ExchangeDeclareOptions::default() };
                let (kind, arguments) = (ExchangeKind::Direct, FieldTable::default());
                let declared = client.channel.exchange_declare(exchange.clone(), kind, passive, arguments);
                within(declared).await.with_context(|| format!("no {self} at {}", client.address))
            }
        }
    }

    /// The exchange and the routing key for a letter.
    fn route(&self, letter: &Delivery) -> (ShortString, ShortString) {
        match self {
            Self::Queue(queue) => ("".into(), queue.clone()),
            Self::Exchange(exchange) => {
                let first = first_routing_key(letter.properties.headers().as_ref());
                (exchange.clone(), first.unwrap_or_else(|| letter.routing_key.clone()))
            }
        }
    }
}

impl std::fmt::Display for Destination {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Queue(queue) => write!(f, "queue {:?}", queue.as_str()),
            Self::Exchange(exchange) => write!(f, "exchange {:?}", exchange.as_str()),
        }
    }
}

/// The routing key at the first death: the last entry is the oldest.
fn first_routing_key(headers: Option<&FieldTable>) -> Option<ShortString> {
    let AMQPValue::FieldArray(deaths) = headers?.inner().get("x-death")? else { return None };
    let AMQPValue::FieldTable(death) = deaths.as_slice().last()? else { return None };
    let AMQPValue::FieldArray(keys) = death.inner().get("routing-keys")? else { return None };
    match keys.as_slice().first()? {
        AMQPValue::LongString(key) => ShortString::try_new(key.to_string()).ok(),
        AMQPValue::ShortString(key) => Some(key.clone()),
        _ => None,
    }
}

/// The same properties without what would hurt. RabbitMQ refuses a user id that is not the connection's.
fn properties(old: &BasicProperties, user: &str, keep_deaths: bool) -> BasicProperties {
    let mut new = BasicProperties::default();
    macro_rules! copy {
        ($($get:ident, $set:ident;)*) => {
            $(if let Some(value) = old.$get() {
                new = new.$set(value.clone());
            })*
        };
    }
    copy! {
        content_type, with_content_type;
        content_encoding, with_content_encoding;
        delivery_mode, with_delivery_mode;
        priority, with_priority;
        correlation_id, with_correlation_id;
        reply_to, with_reply_to;
        expiration, with_expiration;
        message_id, with_message_id;
        timestamp, with_timestamp;
        kind, with_type;
        app_id, with_app_id;
        cluster_id, with_cluster_id;
    }
    if let Some(id) = old.user_id().as_ref().filter(|id| id.as_str() == user) {
        new = new.with_user_id(id.clone());
    }
    if let Some(headers) = old.headers() {
        let is_kept = |name: &str| !NEVER_KEPT.contains(&name) && (keep_deaths || !DEATHS.contains(&name));
        let kept = headers.inner().iter().filter(|(name, _)| is_kept(name.as_str()));
        let kept: BTreeMap<_, _> = kept.map(|(name, value)| (name.clone(), value.clone())).collect();
        new = new.with_headers(kept.into());
    }
    new
}

#[cfg(test)]
mod tests {
    use lapin::BasicProperties;

    use super::properties;

    #[test]
    fn a_user_id_is_kept_if_it_is_the_connections() {
        let old = BasicProperties::default().with_user_id("shop".into());
        assert_eq!(properties(&old, "shop", false), old);
        assert_eq!(properties(&old, "guest", false), BasicProperties::default());
    }
}
