//! RabbitMQ: the one that is asked for, or a container for the time being.

use std::any::Any;
use std::time::Duration;

use anyhow::anyhow;
use lapin::uri::AMQPUri;
use lapin::{Connection, ConnectionProperties};
use tokio::task;

use crate::{variable, without_password};

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
    // The harness is made for tests and panics where there is no container; a program says it in a line.
    let hook = std::panic::take_hook();
    std::panic::set_hook(Box::new(|_| {}));
    let started = task::spawn(carrier_tests::rabbitmq()).await;
    std::panic::set_hook(hook);
    started.map(|rabbitmq| rabbitmq.url().to_owned()).map_err(|error| {
        let why = error.try_into_panic().ok().and_then(first_line);
        anyhow!("{}; {otherwise}", why.unwrap_or_else(|| "could not start RabbitMQ".to_owned()))
    })
}

fn first_line(panic: Box<dyn Any + Send>) -> Option<String> {
    let text = panic.downcast_ref::<String>()?;
    text.lines().next().map(str::to_owned)
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
