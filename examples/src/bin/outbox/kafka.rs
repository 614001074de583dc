//! Kafka, the one that is asked for or one for the time being.

use std::time::Duration;

use anyhow::{Context as _, anyhow};
use carrier_examples::variable;
use carrier_tests::unique_name;
use rdkafka::ClientConfig;
use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::client::DefaultClientContext;
use rdkafka::consumer::{BaseConsumer, Consumer as _, StreamConsumer};
use rdkafka::mocking::MockCluster;
use rdkafka::producer::{DefaultProducerContext, FutureProducer};
use rdkafka::{Offset, TopicPartitionList};
use tokio::task;

/// How long a broker may take to answer before it counts as absent.
pub(crate) const LIMIT: Duration = Duration::from_secs(5);

pub(crate) struct Kafka {
    pub(crate) brokers: String,
    pub(crate) topic: String,
    pub(crate) description: String,
    /// A broker inside librdkafka, which other processes reach as well, and which ends when this is dropped.
    mock: Option<MockCluster<'static, DefaultProducerContext>>,
}

impl Kafka {
    /// Connects to `KAFKA_BROKERS`, or starts librdkafka's broker for tests, and creates a topic of its own.
    pub(crate) async fn find() -> anyhow::Result<Self> {
        let topic = unique_name("carrier-outbox-orders");
        if let Some(brokers) = variable("KAFKA_BROKERS") {
            let kafka = Self { description: brokers.clone(), brokers, topic, mock: None };
            let topic = NewTopic::new(&kafka.topic, 1, TopicReplication::Fixed(1));
            let created = kafka.admin()?.create_topics([&topic], &options()).await;
            let created =
                created.map_err(|error| anyhow!("no Kafka at KAFKA_BROKERS={}: {error}", kafka.brokers))?;
            for result in created {
                result.map_err(|(topic, error)| {
                    anyhow!("Kafka at {} refused {topic}: {error}", kafka.brokers)
                })?;
            }
            return Ok(kafka);
        }
        let mock = MockCluster::new(1).context("librdkafka cannot start its own Kafka")?;
        mock.create_topic(&topic, 1, 1)?;
        let brokers = mock.bootstrap_servers();
        let description = format!("{brokers} (rdkafka's MockCluster, inside this program)");
        Ok(Self { brokers, topic, description, mock: Some(mock) })
    }

    /// Returns a consumer of the topic from its beginning, and how many records it has.
    pub(crate) async fn consumer(&self) -> anyhow::Result<(StreamConsumer, i64)> {
        let (config, topic) = (self.config(), self.topic.clone());
        let ends = task::spawn_blocking(move || {
            let consumer: BaseConsumer = config.create()?;
            consumer.fetch_watermarks(&topic, 0, LIMIT)
        });
        let (first, end) = ends.await??;
        let consumer: StreamConsumer = self.config().create()?;
        // A worker would subscribe. That takes a new group three seconds, and this one is alone.
        let mut partitions = TopicPartitionList::new();
        partitions.add_partition_offset(&self.topic, 0, Offset::Offset(first))?;
        consumer.assign(&partitions)?;
        Ok((consumer, end - first))
    }

    /// Removes the topic from a broker that goes on without this program.
    pub(crate) async fn tidy(&self) {
        if self.mock.is_none()
            && let Ok(admin) = self.admin()
        {
            // A topic that stays is no failure.
            let _ = admin.delete_topics(&[&self.topic], &options()).await;
        }
    }

    fn config(&self) -> ClientConfig {
        let mut config = ClientConfig::new();
        // librdkafka wants a group even where none is joined.
        config.set("bootstrap.servers", &self.brokers).set("group.id", &self.topic);
        if self.mock.is_some() {
            // Kafka answers a fetch as soon as there is a message, the mock only at the end of this time.
            config.set("fetch.wait.max.ms", "5");
        }
        config
    }

    fn admin(&self) -> anyhow::Result<AdminClient<DefaultClientContext>> {
        let admin = ClientConfig::new().set("bootstrap.servers", &self.brokers).create();
        admin.with_context(|| format!("KAFKA_BROKERS={} cannot be used as an address", self.brokers))
    }
}

/// Returns a producer that gives up on a record that nobody takes.
pub(crate) fn producer(brokers: &str) -> anyhow::Result<FutureProducer> {
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", brokers).set("message.timeout.ms", "10000");
    Ok(config.create()?)
}

fn options() -> AdminOptions {
    AdminOptions::new().request_timeout(Some(LIMIT)).operation_timeout(Some(LIMIT))
}
