//! Kafka: the shared broker of a test binary, topics, and consumers that are ready to receive.

use std::time::Duration;

use anyhow::{Context as _, anyhow};
use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::client::DefaultClientContext;
use rdkafka::config::FromClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer as _, StreamConsumer};
use rdkafka::producer::FutureProducer;
use rdkafka::{ClientConfig, Message as _, Offset};
use testcontainers::{ContainerAsync, ContainerRequest, ImageExt as _};
use testcontainers_modules::kafka::apache;
use tokio::sync::OnceCell;

use crate::container::{self, Kind, unique_name};

pub(crate) const KIND: Kind = Kind {
    name: "Kafka",
    image_variable: "CARRIER_KAFKA_IMAGE",
    default_image: "apache/kafka:4.1.1",
    address_variable: "KAFKA_BROKERS",
};

/// How long a broker may take to answer before it counts as absent.
const ANSWER_LIMIT: Duration = Duration::from_secs(5);

/// How long a consumer group may take to assign its partitions.
const ASSIGNMENT_LIMIT: Duration = Duration::from_secs(30);

/// Settings of a broker that stands alone and should not make tests wait.
const SETTINGS: [(&str, &str); 4] = [
    ("KAFKA_GROUP_INITIAL_REBALANCE_DELAY_MS", "0"),
    ("KAFKA_OFFSETS_TOPIC_NUM_PARTITIONS", "1"),
    ("KAFKA_TRANSACTION_STATE_LOG_REPLICATION_FACTOR", "1"),
    ("KAFKA_TRANSACTION_STATE_LOG_MIN_ISR", "1"),
];

/// Returns the Kafka that the tests of this binary share; the first call starts it.
///
/// # Panics
///
/// Where there is none, with what to do about it.
pub async fn kafka() -> &'static Kafka {
    // The failure is kept as well: fifty tests need not wait for the same start in turn.
    static SHARED: OnceCell<Result<Shared, String>> = OnceCell::const_new();
    let shared = SHARED.get_or_init(async || shared().await.map_err(|error| format!("{error:#}"))).await;
    match shared {
        Ok(shared) => &shared.broker,
        Err(message) => panic!("{message}"),
    }
}

/// A Kafka that runs: where it is, topics, and clients for it.
#[derive(Clone, Debug)]
pub struct Kafka {
    brokers: String,
}

struct Shared {
    broker: Kafka,
    /// Never dropped, as nothing in a static is: the reaper removes it.
    _container: Option<ContainerAsync<apache::Kafka>>,
}

async fn shared() -> anyhow::Result<Shared> {
    if let Some(brokers) = KIND.address() {
        Kafka::check(&brokers)
            .await
            .with_context(|| format!("{} names no usable Kafka", KIND.address_variable))?;
        return Ok(Shared { broker: Kafka { brokers }, _container: None });
    }
    let container = start_container(None).await?;
    let port = container.get_host_port_ipv4(apache::KAFKA_PORT).await?;
    Ok(Shared { broker: Kafka::at(port), _container: Some(container) })
}

/// Starts a container, published on `port` of this machine or on one that the engine picks.
pub(crate) async fn start_container(port: Option<u16>) -> anyhow::Result<ContainerAsync<apache::Kafka>> {
    let image = KIND.image();
    let (name, tag) = container::name_and_tag(&image);
    let mut request: ContainerRequest<_> = apache::Kafka::default().with_name(name).with_tag(tag);
    for (name, value) in SETTINGS {
        request = request.with_env_var(name, value);
    }
    if let Some(port) = port {
        request = request.with_mapped_port(port, apache::KAFKA_PORT);
    }
    container::start(&KIND, request).await
}

impl Kafka {
    /// The container advertises this address whatever the engine's host is.
    pub(crate) fn at(port: u16) -> Self {
        Self { brokers: format!("127.0.0.1:{port}") }
    }

    /// Returns the address list for `bootstrap.servers`.
    pub fn brokers(&self) -> &str {
        &self.brokers
    }

    /// Asks `brokers` for their metadata, within five seconds.
    ///
    /// # Errors
    ///
    /// Where no broker answers there; the text has the address.
    pub async fn check(brokers: &str) -> anyhow::Result<()> {
        let client: BaseConsumer = ClientConfig::new()
            .set("bootstrap.servers", brokers)
            .create()
            .with_context(|| format!("{brokers} cannot be used as bootstrap.servers"))?;
        let asked = tokio::task::spawn_blocking(move || client.fetch_metadata(None, ANSWER_LIMIT).map(drop));
        asked.await?.map_err(|error| {
            let seconds = ANSWER_LIMIT.as_secs();
            anyhow!("no Kafka broker answered at {brokers} within {seconds} s: {error}")
        })
    }

    /// Returns a client configuration with the broker's address, which a test adds to.
    ///
    /// A message that cannot be delivered fails after ten seconds, not after five minutes.
    pub fn client_config(&self) -> ClientConfig {
        let mut config = ClientConfig::new();
        config.set("bootstrap.servers", &self.brokers).set("message.timeout.ms", "10000");
        config
    }

    /// Creates a topic with so many partitions and waits until it can be used.
    ///
    /// # Panics
    ///
    /// Where the broker refuses it, for instance since it exists.
    pub async fn create_topic(&self, name: &str, partitions: i32) {
        let admin: AdminClient<DefaultClientContext> = self.create("an admin client");
        let topic = NewTopic::new(name, partitions, TopicReplication::Fixed(1));
        let options = AdminOptions::new().operation_timeout(Some(ANSWER_LIMIT));
        match admin.create_topics([&topic], &options).await.as_deref() {
            Ok([Ok(_)]) => {}
            Ok(results) => panic!("Kafka refused the topic {name}: {results:?}"),
            Err(error) => panic!("Kafka at {} cannot create topics: {error}", self.brokers),
        }
    }

    /// Creates a producer with [`Kafka::client_config`].
    ///
    /// # Panics
    ///
    /// Where librdkafka refuses the configuration.
    pub fn producer(&self) -> FutureProducer {
        self.create("a producer")
    }

    /// Subscribes a new group to `topic`, from its beginning, and waits until it has partitions.
    ///
    /// # Panics
    ///
    /// Where the group has no partitions after thirty seconds.
    pub async fn consumer(&self, topic: &str) -> StreamConsumer {
        self.consumer_in_group(&unique_name("group"), &[topic]).await
    }

    /// Subscribes a member of `group` to `topics` and waits until it has partitions.
    ///
    /// A new group begins with the first message. Offsets are committed only when a test does it.
    ///
    /// # Panics
    ///
    /// Where the member has no partitions after thirty seconds.
    pub async fn consumer_in_group(&self, group: &str, topics: &[&str]) -> StreamConsumer {
        let mut config = self.client_config();
        // An error for a consumer: the setting is the producer's.
        config.remove("message.timeout.ms");
        let consumer: StreamConsumer = match config
            .set("group.id", group)
            .set("auto.offset.reset", "earliest")
            .set("enable.auto.commit", "false")
            .set("session.timeout.ms", "6000")
            .create()
        {
            Ok(consumer) => consumer,
            Err(error) => panic!("librdkafka refused a consumer: {error}"),
        };
        if let Err(error) = consumer.subscribe(topics) {
            panic!("cannot subscribe to {topics:?}: {error}");
        }
        match tokio::time::timeout(ASSIGNMENT_LIMIT, assigned(&consumer)).await {
            Ok(Ok(())) => consumer,
            Ok(Err(error)) => panic!("{group} got no partitions of {topics:?}: {error:#}"),
            Err(_) => {
                panic!("{group} got no partitions of {topics:?} within {} s", ASSIGNMENT_LIMIT.as_secs())
            }
        }
    }

    fn create<T: FromClientConfig>(&self, what: &str) -> T {
        match self.client_config().create() {
            Ok(client) => client,
            Err(error) => panic!("librdkafka refused {what}: {error}"),
        }
    }
}

/// Drives the consumer until it has partitions. A message that comes on the way is put back.
async fn assigned(consumer: &StreamConsumer) -> anyhow::Result<()> {
    let pause = Duration::from_millis(20);
    while consumer.assignment()?.count() == 0 {
        let Ok(received) = tokio::time::timeout(pause, consumer.recv()).await else {
            continue;
        };
        let message = received?;
        let offset = Offset::Offset(message.offset());
        consumer.seek(message.topic(), message.partition(), offset, ANSWER_LIMIT)?;
    }
    Ok(())
}
