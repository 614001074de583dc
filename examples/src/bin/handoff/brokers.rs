//! Kafka and RabbitMQ: the ones that run already, or ones for this program alone.

use std::time::Duration;

use anyhow::{Context as _, anyhow};
use carrier_examples::{connect, rabbitmq, unique_name, variable, without_password};
use carrier_kafka::Instrumentation;
use carrier_kafka::instrumentation::{ClientStatistics, FutureProducer};
use lapin::options::{BasicConsumeOptions, ConfirmSelectOptions, QueueDeclareOptions};
use lapin::types::FieldTable;
use lapin::uri::AMQPUri;
use lapin::{Channel, Connection, Consumer};
use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::client::DefaultClientContext;
use rdkafka::consumer::{Consumer as _, StreamConsumer};
use rdkafka::mocking::MockCluster;
use rdkafka::producer::{BaseProducer, DefaultProducerContext, Producer as _};
use rdkafka::{ClientConfig, Offset, TopicPartitionList};
use tokio::task;

use crate::hops::PACKING;

/// How long a broker may take to answer before it counts as absent.
const LIMIT: Duration = Duration::from_secs(5);

/// What the names of this program's topics and queues begin with: each run has its own.
pub(crate) const TOPIC: &str = "carrier-handoff-orders";
pub(crate) const QUEUE: &str = "carrier-handoff-parcels";

pub(crate) struct Kafka {
    pub(crate) config: ClientConfig,
    /// What the picture says about it.
    pub(crate) description: String,
    pub(crate) topic: String,
    /// A broker inside librdkafka, which ends when this is dropped.
    mock: Option<MockCluster<'static, DefaultProducerContext>>,
}

impl Kafka {
    /// Connects to `KAFKA_BROKERS`, or starts librdkafka's broker for tests, and creates a topic of its own.
    pub(crate) async fn find() -> anyhow::Result<Self> {
        let topic = unique_name(TOPIC);
        let given = variable("KAFKA_BROKERS");
        let (brokers, mock) = match &given {
            Some(brokers) => (brokers.clone(), None),
            None => {
                let mock = MockCluster::new(1).context("librdkafka cannot start its own Kafka")?;
                mock.create_topic(&topic, 1, 1)?;
                (mock.bootstrap_servers(), Some(mock))
            }
        };
        let mut config = ClientConfig::new();
        config.set("bootstrap.servers", &brokers);
        // For the metrics of the clients themselves. A service needs them every few seconds.
        config.set("statistics.interval.ms", "20");
        let asked: BaseProducer = config
            .create()
            .with_context(|| format!("KAFKA_BROKERS={brokers} cannot be used as an address"))?;
        task::spawn_blocking(move || asked.client().fetch_metadata(None, LIMIT).map(drop))
            .await?
            .map_err(|error| anyhow!("no Kafka at KAFKA_BROKERS={brokers}: {error}"))?;
        let kind = match mock {
            Some(_) => " (rdkafka's MockCluster, inside this program)",
            None => "",
        };
        let kafka = Self { config, description: format!("{brokers}{kind}"), topic, mock };
        if kafka.mock.is_none() {
            let topic = NewTopic::new(&kafka.topic, 1, TopicReplication::Fixed(1));
            let created = kafka.admin()?.create_topics([&topic], &options()).await?;
            for result in created {
                result.map_err(|(topic, error)| anyhow!("Kafka at {brokers} refused {topic}: {error}"))?;
            }
        }
        Ok(kafka)
    }

    /// Creates the gateway's producer, which knows the topic already: its first order does not wait for a connection.
    pub(crate) async fn producer(&self, kafka: &Instrumentation) -> anyhow::Result<FutureProducer> {
        let mut config = self.config.clone();
        // An order that nobody took after ten seconds is an error that this program can still show.
        config.set("message.timeout.ms", "10000");
        let producer = kafka.future_producer(&config)?;
        let (asked, topic) = (producer.clone(), self.topic.clone());
        task::spawn_blocking(move || asked.client().fetch_metadata(Some(&topic), LIMIT).map(drop)).await??;
        Ok(producer)
    }

    /// Returns the configuration of the consumer.
    pub(crate) fn consumer_config(&self) -> ClientConfig {
        let mut config = self.config.clone();
        if self.mock.is_some() {
            // Kafka answers a fetch as soon as there is a message, the mock only at the end of this time.
            config.set("fetch.wait.max.ms", "5");
        }
        // Others may have a group of this name: it is only for this topic, and the worker commits by itself.
        config.set("group.id", PACKING).set("enable.auto.commit", "false");
        config
    }

    /// Returns a consumer of the topic from its beginning.
    pub(crate) fn consumer(&self, kafka: &Instrumentation) -> anyhow::Result<Orders> {
        let consumer: Orders = self.consumer_config().create_with_context(kafka.statistics())?;
        // A worker would subscribe. That takes a new group three seconds, and this one is alone.
        let mut partitions = TopicPartitionList::new();
        // The topic is new. `Offset::Beginning` would ask for the offset, half a second after the leader is known.
        partitions.add_partition_offset(&self.topic, 0, Offset::Offset(0))?;
        consumer.assign(&partitions)?;
        Ok(consumer)
    }

    /// Removes the topic from a broker that goes on without this program.
    pub(crate) async fn tidy(&self) {
        if self.mock.is_none()
            && let Ok(admin) = self.admin()
        {
            // The trace is what counts, and it is complete: a topic that stays is no failure.
            let _ = admin.delete_topics(&[&self.topic], &options()).await;
        }
    }

    fn admin(&self) -> anyhow::Result<AdminClient<DefaultClientContext>> {
        Ok(self.config.create()?)
    }
}

fn options() -> AdminOptions {
    AdminOptions::new().request_timeout(Some(LIMIT)).operation_timeout(Some(LIMIT))
}

/// A consumer whose context records librdkafka's statistics: its lag among them.
pub(crate) type Orders = StreamConsumer<ClientStatistics>;

/// A connection for each of the two services: they share nothing but the broker.
pub(crate) struct RabbitMq {
    pub(crate) description: String,
    pub(crate) uri: AMQPUri,
    publisher: Connection,
    receiver: Connection,
    pub(crate) queue: String,
}

impl RabbitMq {
    /// Connects to `AMQP_URL`, or starts a container that goes away with this program.
    pub(crate) async fn find() -> anyhow::Result<Self> {
        let otherwise = "set AMQP_URL to a RabbitMQ that runs, or CARRIER_DEMO_WITHOUT_AMQP=1 to go without";
        let url = rabbitmq::url(otherwise).await?;
        let shown = without_password(&url);
        let (publisher, receiver) = (connect(&url).await?, connect(&url).await?);
        let uri = rabbitmq::address(&url)?;
        Ok(Self { description: shown, uri, publisher, receiver, queue: unique_name(QUEUE) })
    }

    /// Returns a channel that waits for the broker's word on each message.
    pub(crate) async fn publisher(&self) -> anyhow::Result<Channel> {
        let channel = self.publisher.create_channel().await?;
        channel.confirm_select(ConfirmSelectOptions::default()).await?;
        Ok(channel)
    }

    /// Declares the queue, which goes away with its connection, and returns a consumer of it.
    pub(crate) async fn consumer(&self) -> anyhow::Result<Consumer> {
        let channel = self.receiver.create_channel().await?;
        let (queue, none) = (self.queue.as_str(), FieldTable::default());
        let exclusive = QueueDeclareOptions { exclusive: true, ..QueueDeclareOptions::default() };
        channel.queue_declare(queue.into(), exclusive, none.clone()).await?;
        let options = BasicConsumeOptions::default();
        Ok(channel.basic_consume(queue.into(), "".into(), options, none).await?)
    }
}
