//! The queues: a pause after each attempt that failed, one longer than the other, and at the end the dead-letter queue.
//!
//! ```text
//! jobs ─ rejected → retry-1 ─ expired → jobs ─ rejected → retry-2 ─ expired → jobs ─ rejected → dead
//! ```
//!
//! The broker does it all, by the routing key that a job came with last. A worker knows no limit and publishes nothing:
//! no job is lost, or there twice, between a copy and an acknowledgement, and what is tried again still has the context of
//! its sender. A quorum queue with a delivery limit needs fewer queues, but tries again at once, while there still is no
//! paper. That limit is there all the same, 20 by default, for jobs that end their worker before it says anything.

use std::borrow::Cow;
use std::time::Duration;

use carrier_amqp::instrumentation::Route;
use carrier_examples::unique_name;
use lapin::options::{ExchangeDeclareOptions, QueueBindOptions, QueueDeclareOptions, QueueDeleteOptions};
use lapin::types::{AMQPValue, FieldTable};
use lapin::{Channel, ExchangeKind};

/// How long a job waits after its first failure, after its second, and so on. Minutes, where it is no example.
pub(crate) const PAUSES: [Duration; 2] = [Duration::from_millis(50), Duration::from_millis(200)];

/// How often a job is tried.
pub(crate) const ATTEMPTS: u64 = PAUSES.len() as u64 + 1;

/// The routing key of a job that is tried for the first time.
pub(crate) const NEW: &str = "new";

pub(crate) struct Queues {
    /// An exchange, and the queue behind it.
    pub(crate) jobs: String,
    pub(crate) dead: String,
    retries: Vec<String>,
}

impl Queues {
    pub(crate) async fn declare(channel: &Channel) -> lapin::Result<Self> {
        let run = unique_name("carrier-workers");
        let of_run = |name: &str| format!("{run}.{name}");
        let (jobs, dead, failed) = (of_run("jobs"), of_run("dead"), of_run("failed"));
        exchange(channel, &jobs, ExchangeKind::Fanout).await?;
        exchange(channel, &failed, ExchangeKind::Direct).await?;

        queue(channel, &jobs, [("x-dead-letter-exchange", text(&failed))]).await?;
        bind(channel, &jobs, &jobs, "").await?;
        let (mut retries, mut key) = (Vec::new(), NEW.to_owned());
        for (number, pause) in (1..).zip(PAUSES) {
            let (name, next) = (of_run(&format!("retry-{number}")), format!("retry-{number}"));
            let back = [
                ("x-message-ttl", AMQPValue::LongLongInt(pause.as_millis() as i64)),
                ("x-dead-letter-exchange", text(&jobs)),
                ("x-dead-letter-routing-key", text(&next)),
            ];
            queue(channel, &name, back).await?;
            bind(channel, &name, &failed, &key).await?;
            retries.push(name);
            key = next;
        }
        queue(channel, &dead, []).await?;
        bind(channel, &dead, &failed, &key).await?;
        Ok(Self { jobs, dead, retries })
    }

    /// The exchanges go with their last queue.
    pub(crate) async fn delete(&self, channel: &Channel) -> lapin::Result<()> {
        for name in self.retries.iter().chain([&self.jobs, &self.dead]) {
            channel.queue_delete(name.as_str().into(), QueueDeleteOptions::default()).await?;
        }
        Ok(())
    }

    /// What the queues of every run have in common: the end of their names.
    pub(crate) fn template(route: &Route<'_>) -> Option<Cow<'static, str>> {
        let (_, name) = route.queue.unwrap_or(route.exchange).rsplit_once('.')?;
        Some(name.to_owned().into())
    }
}

async fn exchange(channel: &Channel, name: &str, kind: ExchangeKind) -> lapin::Result<()> {
    let options = ExchangeDeclareOptions { auto_delete: true, ..ExchangeDeclareOptions::default() };
    channel.exchange_declare(name.into(), kind, options, FieldTable::default()).await
}

async fn queue<const N: usize>(
    channel: &Channel,
    name: &str,
    arguments: [(&'static str, AMQPValue); N],
) -> lapin::Result<()> {
    let of_all = [
        ("x-queue-type", text("quorum")),
        // Without these two, a job is gone where the next queue does not take it.
        ("x-dead-letter-strategy", text("at-least-once")),
        ("x-overflow", text("reject-publish")),
        // Of an example only: where it is killed, its queues go by themselves.
        ("x-expires", AMQPValue::LongInt(60_000)),
    ];
    let mut table = FieldTable::default();
    for (key, value) in of_all.into_iter().chain(arguments) {
        table.insert(key.into(), value);
    }
    let options = QueueDeclareOptions { durable: true, ..QueueDeclareOptions::default() };
    channel.queue_declare(name.into(), options, table).await.map(drop)
}

async fn bind(channel: &Channel, queue: &str, exchange: &str, key: &str) -> lapin::Result<()> {
    let options = QueueBindOptions::default();
    channel.queue_bind(queue.into(), exchange.into(), key.into(), options, FieldTable::default()).await
}

fn text(text: &str) -> AMQPValue {
    AMQPValue::LongString(text.into())
}
