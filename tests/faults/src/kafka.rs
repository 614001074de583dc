//! Three Kafka brokers with KRaft, and a service with two members of a consumer group.

mod service;

use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, anyhow, ensure};
use rdkafka::ClientConfig;
use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::client::DefaultClientContext;
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::producer::Producer as _;
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::Command;
use tokio::sync::oneshot;
use tokio::task::block_in_place;
use tokio::time::{sleep, timeout};

pub(crate) use self::service::consume;
use self::service::{consumer, handle, instrumentation, read, send, send_in_transactions};
use crate::docker::{Cluster, free_port};
use crate::lost;
use crate::proxy::Proxy;
use crate::report::Results;
use crate::work::{Tasks, Work, observe};

pub(crate) const BROKER: &str = "Kafka";

/// The controllers notice a broker's silence after 9 s.
const FROZEN: Duration = Duration::from_secs(15);

const DOWN: Duration = Duration::from_secs(12);

/// How many delivery reports are pending when the broker is killed.
const PENDING: usize = 512;

const LIMIT: Duration = Duration::from_secs(30);

#[derive(Clone, Copy, Debug, PartialEq)]
enum Fault {
    None,
    Leader,
    Frozen,
    Pending,
    Rebalance,
    Aborted,
}

const FAULTS: [(Fault, &str); 6] = [
    (Fault::None, "none"),
    (Fault::Leader, "a partition's leader is killed and restarted"),
    (Fault::Frozen, "a partition's leader is frozen for 15 s"),
    (Fault::Pending, "a broker restarts with 512 confirms pending"),
    (Fault::Rebalance, "a consumer is killed during a rebalance"),
    (Fault::Aborted, "two of three transactions are aborted"),
];

struct Kafka {
    cluster: Cluster,
    ports: Vec<u16>,
    /// Of one more listener of each broker.
    proxies: Vec<Proxy>,
}

/// Starts the cluster, has each fault happen, and removes the cluster in any case.
pub(crate) async fn run(results: &mut Results) -> anyhow::Result<()> {
    let mut kafka = Kafka { cluster: Cluster::new().await?, ports: Vec::new(), proxies: Vec::new() };
    let result = kafka.faults(results).await;
    kafka.cluster.remove().await?;
    result
}

impl Kafka {
    async fn faults(&mut self, results: &mut Results) -> anyhow::Result<()> {
        self.start().await?;
        for ((fault, name), index) in FAULTS.into_iter().zip(101..) {
            let topic = format!("topic-{index}");
            let start = async |work: &Arc<Work>| self.service(fault, work, &topic).await;
            let happen = async |work: &Arc<Work>| self.happen(fault, work, &topic).await;
            results.rows.push(observe(BROKER, name, index * 1_000_000, start, happen).await?);
        }
        self.create(lost::kafka::TOPIC, 1).await?;
        let ports: Vec<_> = self.proxies.iter().map(|proxy| proxy.port).collect();
        results.lost.extend(lost::observe(BROKER, &brokers(&ports), &self.proxies).await?);
        Ok(())
    }

    async fn start(&mut self) -> anyhow::Result<()> {
        let image = std::env::var("CARRIER_KAFKA_IMAGE").unwrap_or_else(|_| "apache/kafka:4.1.1".to_owned());
        println!("starting three brokers from {image}");
        let voters = (1..4).map(|id| format!("{id}@kafka-{id}:9094")).collect::<Vec<_>>().join(",");
        for id in 1..4 {
            let (host, port, second) = (format!("kafka-{id}"), free_port()?, free_port()?);
            let proxy = Proxy::new(second).await?;
            let cut = proxy.port;
            let advertised = format!("OUTSIDE://127.0.0.1:{port},INSIDE://{host}:9093,CUT://127.0.0.1:{cut}");
            let variables = [
                ("CLUSTER_ID", "5L6g3nShT-eMCtK--X86sw"),
                ("KAFKA_NODE_ID", &id.to_string()),
                ("KAFKA_PROCESS_ROLES", "broker,controller"),
                ("KAFKA_LISTENERS", "OUTSIDE://:9092,INSIDE://:9093,CONTROLLER://:9094,CUT://:9095"),
                ("KAFKA_ADVERTISED_LISTENERS", &advertised),
                (
                    "KAFKA_LISTENER_SECURITY_PROTOCOL_MAP",
                    "OUTSIDE:PLAINTEXT,INSIDE:PLAINTEXT,CONTROLLER:PLAINTEXT,CUT:PLAINTEXT",
                ),
                ("KAFKA_CONTROLLER_LISTENER_NAMES", "CONTROLLER"),
                ("KAFKA_INTER_BROKER_LISTENER_NAME", "INSIDE"),
                ("KAFKA_CONTROLLER_QUORUM_VOTERS", &voters),
                ("KAFKA_MIN_INSYNC_REPLICAS", "2"),
                ("KAFKA_OFFSETS_TOPIC_REPLICATION_FACTOR", "3"),
                ("KAFKA_OFFSETS_TOPIC_NUM_PARTITIONS", "3"),
                ("KAFKA_TRANSACTION_STATE_LOG_REPLICATION_FACTOR", "3"),
                ("KAFKA_TRANSACTION_STATE_LOG_NUM_PARTITIONS", "3"),
                ("KAFKA_TRANSACTION_STATE_LOG_MIN_ISR", "2"),
                ("KAFKA_GROUP_INITIAL_REBALANCE_DELAY_MS", "0"),
            ];
            let variables = variables.map(|(name, value)| (name, value.to_owned()));
            self.cluster.add(&host, &image, &[(port, 9092), (second, 9095)], &variables).await?;
            self.ports.push(port);
            self.proxies.push(proxy);
        }
        for port in &self.ports {
            self.answers(*port).await?;
        }
        Ok(())
    }

    /// Waits until a broker answers.
    async fn answers(&self, port: u16) -> anyhow::Result<()> {
        let broker = format!("127.0.0.1:{port}");
        let answer = async { while carrier_tests::Kafka::check(&broker).await.is_err() {} };
        timeout(Duration::from_secs(90), answer).await.context("a broker does not answer")
    }

    async fn create(&self, topic: &str, partitions: i32) -> anyhow::Result<()> {
        let admin: AdminClient<DefaultClientContext> = self.config().create()?;
        let new = NewTopic::new(topic, partitions, TopicReplication::Fixed(3));
        let options = AdminOptions::new().operation_timeout(Some(LIMIT));
        for result in admin.create_topics([&new], &options).await? {
            result.map_err(|(topic, error)| anyhow!("{topic}: {error}"))?;
        }
        Ok(())
    }

    fn config(&self) -> ClientConfig {
        let mut config = ClientConfig::new();
        config.set("bootstrap.servers", brokers(&self.ports)).set("socket.timeout.ms", "10000");
        config
    }

    async fn service(&self, fault: Fault, work: &Arc<Work>, topic: &str) -> anyhow::Result<Tasks> {
        self.create(topic, 3).await?;
        let mut config = self.config();
        config.set("acks", "all").set("enable.idempotence", "true").set("message.timeout.ms", "60000");
        let kafka = instrumentation(work, &config);
        let (window, partition) = match fault {
            // All to one partition, whose leader is the broker of the fault.
            Fault::Pending => (PENDING, Some(0)),
            _ => (64, None),
        };
        let mut tasks = Tasks::default();
        let (work, topic) = (Arc::clone(work), topic.to_owned());
        for _ in 0..2 {
            let consumer = consumer(&self.config(), &topic, &work)?;
            tasks.handlers.spawn(handle(Arc::clone(&work), consumer));
        }
        if fault == Fault::Aborted {
            config.set("transactional.id", &topic);
            let producer = kafka.threaded_producer(&config)?;
            block_in_place(|| producer.init_transactions(LIMIT))?;
            tasks.senders.spawn(send_in_transactions(work, producer, topic));
        } else {
            let producer = kafka.future_producer(&config)?;
            tasks.senders.spawn(send(work, producer, topic, partition, window));
        }
        Ok(tasks)
    }

    async fn happen(&self, fault: Fault, work: &Arc<Work>, topic: &str) -> anyhow::Result<()> {
        let order = async |order, node| self.cluster.order(order, node).await;
        let leader = self.leader(topic)?;
        match fault {
            Fault::None | Fault::Aborted => {}
            Fault::Leader => {
                order("kill", leader).await?;
                sleep(DOWN).await;
                order("start", leader).await?;
                self.answers(self.ports[leader]).await?;
            }
            Fault::Frozen => {
                order("pause", leader).await?;
                sleep(FROZEN).await;
                order("unpause", leader).await?;
            }
            Fault::Pending => {
                order("pause", leader).await?;
                work.pending(PENDING.cast_signed()).await?;
                order("kill", leader).await?;
                order("start", leader).await?;
                self.answers(self.ports[leader]).await?;
            }
            Fault::Rebalance => self.rebalance(work, topic).await?,
        }
        Ok(())
    }

    /// A process of its own joins the group and handles messages. It is killed when the group begins to let one more member
    /// in, so the group waits for it until its session is over.
    async fn rebalance(&self, work: &Arc<Work>, topic: &str) -> anyhow::Result<()> {
        let mut child = Command::new(std::env::current_exe()?);
        child
            .args(["consume", &brokers(&self.ports), topic])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .kill_on_drop(true);
        let mut child = child.spawn()?;
        let output = child.stdout.take().context("the process has no output")?;
        let (first, mut handles) = oneshot::channel();
        let reader = tokio::spawn(read(Arc::clone(work), BufReader::new(output).lines(), first));
        timeout(LIMIT, &mut handles).await.context("the process handles nothing")??;

        let rebalance = work.rebalance.notified();
        let third = tokio::spawn(handle(Arc::clone(work), consumer(&self.config(), topic, work)?));
        timeout(LIMIT, rebalance).await.context("the group is not rebalanced")?;
        child.kill().await?;
        reader.await?;
        sleep(DOWN).await;
        third.abort();
        let _ = third.await;
        Ok(())
    }

    /// The index of the node that leads the first partition.
    fn leader(&self, topic: &str) -> anyhow::Result<usize> {
        let client: BaseConsumer = self.config().create()?;
        let metadata = block_in_place(|| client.fetch_metadata(Some(topic), LIMIT))?;
        let partitions = metadata.topics().first().context("the topic is gone")?.partitions();
        let leader = partitions.iter().find(|partition| partition.id() == 0).map_or(-1, |it| it.leader());
        ensure!((1..4).contains(&leader), "the partition has no leader");
        Ok(leader as usize - 1)
    }
}

fn brokers(ports: &[u16]) -> String {
    ports.iter().map(|port| format!("127.0.0.1:{port}")).collect::<Vec<_>>().join(",")
}
