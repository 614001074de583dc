//! A connection to RabbitMQ, and answers within a time limit.

use std::time::Duration;

use anyhow::{Context as _, anyhow};
use lapin::options::QueueDeclareOptions;
use lapin::types::{FieldTable, ShortString};
use lapin::uri::AMQPUri;
use lapin::{Channel, Connection, ConnectionProperties};
use tokio::time;

use crate::environment::{variable, without_password};

/// How long RabbitMQ may take to answer before it counts as absent.
const CONNECT_LIMIT: Duration = Duration::from_secs(5);

/// How long RabbitMQ may take for anything.
pub(super) const LIMIT: Duration = Duration::from_secs(10);

pub(super) struct Client {
    pub(super) connection: Connection,
    pub(super) channel: Channel,
    pub(super) user: String,
    /// The address without user and password.
    pub(super) address: String,
}

impl Client {
    /// Connects to `AMQP_URL`. Errors are one line with the address and without the password.
    pub(super) async fn connect() -> anyhow::Result<Self> {
        let url = variable("AMQP_URL", "amqp://127.0.0.1:5672/%2f");
        let address = without_password(&url);
        // The parser's own text can contain the password.
        let wanted = "amqp://user:password@host:5672/%2f";
        let uri: AMQPUri =
            url.parse().map_err(|_| anyhow!("AMQP_URL={address} is no address like {wanted}"))?;
        let user = uri.authority.userinfo.username.clone();
        let connecting = Connection::connect_uri(uri, ConnectionProperties::default());
        let connection = match time::timeout(CONNECT_LIMIT, connecting).await {
            Ok(connected) => connected.map_err(|error| error.to_string()),
            Err(_) => Err(format!("no answer within {} s", CONNECT_LIMIT.as_secs())),
        };
        let connection = connection.map_err(|why| anyhow!("no RabbitMQ at AMQP_URL={address}: {why}"))?;
        let channel = within(connection.create_channel()).await?;
        Ok(Self { connection, channel, user, address })
    }

    /// Returns how many messages of a queue are ready, or an error that names the queue.
    pub(super) async fn there(&self, queue: &ShortString) -> anyhow::Result<usize> {
        let count = ready(&self.channel, queue).await;
        let count = count.with_context(|| format!("no queue {:?} at {}", queue.as_str(), self.address))?;
        Ok(usize::try_from(count).unwrap_or(usize::MAX))
    }

    /// Ends the connection. If it fails, the end of the program closes it.
    pub(super) async fn close(self) {
        let _ = within(self.connection.close(200, "done".into())).await;
    }
}

pub(super) fn name(queue: &str) -> anyhow::Result<ShortString> {
    ShortString::try_new(queue).context("that is no name of a queue or exchange")
}

/// Returns how many messages are ready. Passive, so that a name with a typing error creates no queue.
pub(super) async fn ready(channel: &Channel, queue: &ShortString) -> anyhow::Result<u32> {
    let passive = QueueDeclareOptions { passive: true, ..QueueDeclareOptions::default() };
    let declared = channel.queue_declare(queue.clone(), passive, FieldTable::default());
    Ok(within(declared).await?.message_count())
}

pub(super) async fn within<T>(answer: impl Future<Output = lapin::Result<T>>) -> anyhow::Result<T> {
    match time::timeout(LIMIT, answer).await {
        Ok(answer) => Ok(answer?),
        Err(_) => Err(anyhow!("RabbitMQ gave no answer within {} s", LIMIT.as_secs())),
    }
}
