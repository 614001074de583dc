//! Kafka, the one that is asked for or one for the time being, with a topic of the program's own.

use std::time::Duration;

use anyhow::{Context as _, anyhow};
use rdkafka::ClientConfig;
use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::client::DefaultClientContext;
use rdkafka::mocking::MockCluster;
use rdkafka::producer::DefaultProducerContext;

use crate::{unique_name, variable};

/// How long a broker may take to answer before it counts as absent.
pub const LIMIT: Duration = Duration::from_secs(5);

pub struct Kafka {
    pub brokers: String,
    pub topic: String,
    pub description: String,
    /// A broker inside librdkafka, which other processes reach as well, and which ends when this is dropped.
    mock: Option<MockCluster<'static, DefaultProducerContext>>,
}

impl Kafka {
    /// Connects to `KAFKA_BROKERS`, or starts librdkafka's broker for tests, and creates a topic.
    ///
    /// # Errors
    ///
    /// Where nothing usable answers there: one line with the address.
    pub async fn find(topic: &str, partitions: i32) -> anyhow::Result<Self> {
        let topic = unique_name(topic);
        if let Some(brokers) = variable("KAFKA_BROKERS") {
            let kafka = Self { description: brokers.clone(), brokers, topic, mock: None };
            let topic = NewTopic::new(&kafka.topic, partitions, TopicReplication::Fixed(1));
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
        mock.create_topic(&topic, partitions, 1)?;
        let brokers = mock.bootstrap_servers();
        let description = format!("{brokers} (rdkafka's MockCluster, inside this program)");
        Ok(Self { brokers, topic, description, mock: Some(mock) })
    }

    /// The configuration of a client that gives up on a record that nobody takes.
    pub fn producer_config(&self) -> ClientConfig {
        let mut config = ClientConfig::new();
        config.set("bootstrap.servers", &self.brokers).set("message.timeout.ms", "10000");
        config
    }

    /// The configuration of a consumer in a group that is called as the topic.
    pub fn consumer_config(&self) -> ClientConfig {
        let mut config = ClientConfig::new();
        config.set("bootstrap.servers", &self.brokers).set("group.id", &self.topic);
        if self.mock.is_some() {
            // Kafka answers a fetch as soon as there is a message, the mock only at the end of this time.
            config.set("fetch.wait.max.ms", "5");
        }
        config
    }

    /// Removes the topic from a broker that goes on without this program.
    pub async fn tidy(&self) {
        if self.mock.is_none()
            && let Ok(admin) = self.admin()
        {
            // A topic that stays is no failure.
            let _ = admin.delete_topics(&[&self.topic], &options()).await;
        }
    }

    fn admin(&self) -> anyhow::Result<AdminClient<DefaultClientContext>> {
        let admin = ClientConfig::new().set("bootstrap.servers", &self.brokers).create();
        admin.with_context(|| format!("KAFKA_BROKERS={} cannot be used as an address", self.brokers))
    }
}

fn options() -> AdminOptions {
    AdminOptions::new().request_timeout(Some(LIMIT)).operation_timeout(Some(LIMIT))
}
