//! RabbitMQ: the shared broker of a test binary, and connections to any.

use std::time::Duration;

use anyhow::{Context as _, anyhow};
use lapin::options::QueueDeclareOptions;
use lapin::types::FieldTable;
use lapin::uri::AMQPUri;
use lapin::{Channel, Connection, ConnectionProperties};
use testcontainers::core::{IntoContainerPort as _, WaitFor};
use testcontainers::{ContainerAsync, GenericImage, ImageExt as _};
use tokio::sync::OnceCell;

use crate::container::{self, Kind, unique_name};

pub(crate) const KIND: Kind = Kind {
    name: "RabbitMQ",
    image_variable: "CARRIER_RABBITMQ_IMAGE",
    default_image: "rabbitmq:4.2",
    address_variable: "AMQP_URL",
};

const PORT: u16 = 5672;

/// How long a broker may take to accept a connection before it counts as absent.
const CONNECT_LIMIT: Duration = Duration::from_secs(5);

/// Returns the RabbitMQ that the tests of this binary share; the first call starts it.
///
/// # Panics
///
/// Where there is none, with what to do about it.
pub async fn rabbitmq() -> &'static RabbitMq {
    // The failure is kept as well: fifty tests need not wait for the same start in turn.
    static SHARED: OnceCell<Result<Shared, String>> = OnceCell::const_new();
    let shared = SHARED.get_or_init(async || shared().await.map_err(|error| format!("{error:#}"))).await;
    match shared {
        Ok(shared) => &shared.broker,
        Err(message) => panic!("{message}"),
    }
}

/// A RabbitMQ that runs: where it is, and connections to it.
#[derive(Clone, Debug)]
pub struct RabbitMq {
    url: String,
}

struct Shared {
    broker: RabbitMq,
    /// Never dropped, as nothing in a static is: the reaper removes it.
    _container: Option<ContainerAsync<GenericImage>>,
}

async fn shared() -> anyhow::Result<Shared> {
    if let Some(url) = KIND.address() {
        RabbitMq::connect(&url)
            .await
            .with_context(|| format!("{} names no usable RabbitMQ", KIND.address_variable))?;
        return Ok(Shared { broker: RabbitMq { url }, _container: None });
    }
    let container = start_container(None).await?;
    let port = container.get_host_port_ipv4(PORT.tcp()).await?;
    let host = container::host(&container, port).await?;
    Ok(Shared { broker: RabbitMq::at(&host, port), _container: Some(container) })
}

/// Starts a container, published on `port` of this machine or on one that the engine picks.
pub(crate) async fn start_container(port: Option<u16>) -> anyhow::Result<ContainerAsync<GenericImage>> {
    let image = KIND.image();
    let (name, tag) = container::name_and_tag(&image);
    // Not the RabbitMq of testcontainers-modules: it waits for a line of RabbitMQ 3.8.
    let image = GenericImage::new(name, tag)
        .with_exposed_port(PORT.tcp())
        .with_wait_for(WaitFor::message_on_stdout("Server startup complete"));
    let request = match port {
        Some(port) => image.with_mapped_port(port, PORT.tcp()),
        None => image.into(),
    };
    container::start(&KIND, request).await
}

impl RabbitMq {
    pub(crate) fn at(host: &str, port: u16) -> Self {
        Self { url: format!("amqp://guest:guest@{host}:{port}/%2f") }
    }

    /// Returns the AMQP URL, with user and password.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Opens a connection to `url`, within five seconds.
    ///
    /// # Errors
    ///
    /// Where nothing usable answers there: the text has the address and never the password.
    pub async fn connect(url: &str) -> anyhow::Result<Connection> {
        let uri: AMQPUri = url.parse().map_err(|error: String| {
            // Of some URLs the parser repeats all, with the password.
            let error = error.replace(url, "…");
            anyhow!("this is no AMQP URL (amqp://user:password@host:port/vhost): {error}")
        })?;
        let address = format!(
            "{}:{}, vhost {:?}, user {:?}",
            uri.authority.host, uri.authority.port, uri.vhost, uri.authority.userinfo.username
        );
        let connecting = Connection::connect_uri(uri, ConnectionProperties::default());
        match tokio::time::timeout(CONNECT_LIMIT, connecting).await {
            Ok(Ok(connection)) => Ok(connection),
            Ok(Err(error)) => Err(anyhow!("cannot connect to RabbitMQ at {address}: {error}")),
            Err(_) => {
                Err(anyhow!("RabbitMQ at {address} did not answer within {} s", CONNECT_LIMIT.as_secs()))
            }
        }
    }

    /// Opens a connection that belongs to the calling test.
    ///
    /// # Panics
    ///
    /// Where the broker does not answer, with its address.
    pub async fn connection(&self) -> Connection {
        match Self::connect(&self.url).await {
            Ok(connection) => connection,
            Err(error) => panic!("{error:#}"),
        }
    }

    /// Opens a channel on a connection of its own, which closes when the channel is dropped.
    ///
    /// # Panics
    ///
    /// Where the broker does not answer, with its address.
    pub async fn channel(&self) -> Channel {
        match self.connection().await.create_channel().await {
            Ok(channel) => channel,
            Err(error) => panic!("RabbitMQ refused a channel: {error}"),
        }
    }

    /// Declares an empty queue with a [`unique_name`] that goes away with the channel's connection.
    ///
    /// # Panics
    ///
    /// Where the broker refuses it.
    pub async fn declare_queue(&self, channel: &Channel) -> String {
        let name = unique_name("queue");
        let options = QueueDeclareOptions { exclusive: true, ..QueueDeclareOptions::default() };
        match channel.queue_declare(name.as_str().into(), options, FieldTable::default()).await {
            Ok(_) => name,
            Err(error) => panic!("RabbitMQ refused the queue {name}: {error}"),
        }
    }
}
