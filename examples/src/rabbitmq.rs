//! RabbitMQ: the one that is asked for, or a container for the time being.

use std::time::Duration;

use anyhow::anyhow;
use lapin::uri::AMQPUri;
use lapin::{Connection, ConnectionProperties};

use crate::{container, one_line, variable, without_password};

/// How long RabbitMQ may take to answer before it counts as absent.
const CONNECT_LIMIT: Duration = Duration::from_secs(5);

/// Returns `AMQP_URL`, or the address of a container that is started and goes away with this program.
///
/// # Errors
///
/// Where no container starts: why, and `otherwise`, which says what else can be done.
pub async fn url(otherwise: &str) -> anyhow::Result<String> {
    if let Some(url) = variable("AMQP_URL") {
        return Ok(url);
    }
    container::rabbitmq().await.map_err(|error| anyhow!("{}; {otherwise}", one_line(&error)))
}

/// Connects to RabbitMQ, within five seconds.
///
/// # Errors
///
/// Where nothing usable answers there: one line with the address and never the password.
pub async fn connect(amqp_url: &str) -> anyhow::Result<Connection> {
    let shown = without_password(amqp_url);
    let connecting = Connection::connect_uri(address(amqp_url)?, ConnectionProperties::default());
    match tokio::time::timeout(CONNECT_LIMIT, connecting).await {
        Ok(connected) => connected.map_err(|error| anyhow!("no RabbitMQ at AMQP_URL={shown}: {error}")),
        Err(_) => {
            Err(anyhow!("no RabbitMQ at AMQP_URL={shown}: no answer within {} s", CONNECT_LIMIT.as_secs()))
        }
    }
}

/// Parses an address.
///
/// # Errors
///
/// Where it is none: one line with it and never the password, which the parser's own words can hold.
pub fn address(amqp_url: &str) -> anyhow::Result<AMQPUri> {
    let shown = without_password(amqp_url);
    let wanted = "amqp://user:password@host:5672/%2f";
    amqp_url.parse().map_err(|_| anyhow!("AMQP_URL={shown} is no address like {wanted}"))
}
