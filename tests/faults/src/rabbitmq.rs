//! Three RabbitMQ nodes, and a service with a quorum and a classic queue.

mod client;

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use carrier_amqp::Instrumentation;
use lapin::options::QueueDeclareOptions;
use lapin::types::{AMQPValue, FieldTable};
use tokio::time::sleep;

use self::client::Client;
pub(crate) use self::client::connect;
use crate::docker::{Cluster, free_port};
use crate::lost;
use crate::proxy::Proxy;
use crate::report::Results;
use crate::work::{Tasks, Work, observe, within};

pub(crate) const BROKER: &str = "RabbitMQ";

/// Longer than it takes to elect a leader, and than two heartbeats of a client.
const FROZEN: Duration = Duration::from_secs(10);

const ALARM: Duration = Duration::from_secs(8);

/// How many confirms are pending when the node is killed.
const PENDING: usize = 512;

#[derive(Clone, Copy, Debug, PartialEq)]
enum Fault {
    None,
    QuorumLeader,
    ClassicNode,
    Frozen,
    Memory,
    Pending,
    Connections,
}

const FAULTS: [(Fault, &str); 7] = [
    (Fault::None, "none"),
    (Fault::QuorumLeader, "the quorum queue's leader is killed and restarted"),
    (Fault::ClassicNode, "the classic queue's node is killed and restarted"),
    (Fault::Frozen, "the quorum queue's leader is frozen for 10 s"),
    (Fault::Memory, "memory alarm for 8 s"),
    (Fault::Pending, "a node restarts with 512 confirms pending"),
    (Fault::Connections, "all connections are closed"),
];

struct RabbitMq {
    cluster: Cluster,
    ports: Vec<u16>,
}

/// Starts the cluster, has each fault happen, and removes the cluster in any case.
pub(crate) async fn run(results: &mut Results) -> anyhow::Result<()> {
    let mut rabbitmq = RabbitMq { cluster: Cluster::new().await?, ports: Vec::new() };
    let result = rabbitmq.faults(results).await;
    rabbitmq.cluster.remove().await?;
    result
}

impl RabbitMq {
    async fn faults(&mut self, results: &mut Results) -> anyhow::Result<()> {
        self.start().await?;
        for ((fault, name), index) in FAULTS.into_iter().zip(1..) {
            let queues = ["quorum", "classic"].map(|kind| format!("{kind}-{index}"));
            let start = async |work: &Arc<Work>| self.service(fault, work, &queues).await;
            let happen = async |work: &Arc<Work>| self.happen(fault, work, &queues[0]).await;
            results.rows.push(observe(BROKER, name, index * 1_000_000, start, happen).await?);
        }
        let proxy = Proxy::new(self.ports[0]).await?;
        let url = format!("amqp://guest:guest@127.0.0.1:{}/%2f", proxy.port);
        results.lost.extend(lost::observe(BROKER, &url, &[proxy]).await?);
        Ok(())
    }

    async fn start(&mut self) -> anyhow::Result<()> {
        let image = std::env::var("CARRIER_RABBITMQ_IMAGE").unwrap_or_else(|_| "rabbitmq:4.2".to_owned());
        println!("starting three nodes from {image}");
        for node in 0..3 {
            let (host, port) = (format!("rabbit-{node}"), free_port()?);
            let variables = [
                ("RABBITMQ_NODENAME", format!("rabbit@{host}")),
                ("RABBITMQ_ERLANG_COOKIE", "carrier".to_owned()),
            ];
            self.cluster.add(&host, &image, &[(port, 5672)], &variables).await?;
            self.ports.push(port);
        }
        for node in 0..3 {
            self.started(node).await?;
        }
        for node in 1..3 {
            let join =
                "rabbitmqctl stop_app && rabbitmqctl join_cluster rabbit@rabbit-0 && rabbitmqctl start_app";
            self.cluster.exec(node, &["sh", "-c", join]).await?;
        }
        Ok(())
    }

    fn url(&self, node: usize) -> String {
        // A frozen node is noticed after twice this time.
        format!("amqp://guest:guest@127.0.0.1:{}/%2f?heartbeat=3", self.ports[node % 3])
    }

    /// A sender and two handlers for each queue. The quorum queue is declared on node 0, the classic queue on node 1; a queue's
    /// leader is the node that declares it.
    async fn service(&self, fault: Fault, work: &Arc<Work>, queues: &[String; 2]) -> anyhow::Result<Tasks> {
        let provider = work.tracer_provider.clone();
        let amqp = Instrumentation::builder().url(&self.url(0))?.tracer_provider(provider);
        let amqp = amqp.meter_provider(work.meters.provider().clone()).settle_spans(true).build();
        let mut tasks = Tasks::default();
        for (node, queue) in queues.iter().enumerate() {
            let (_connection, channel) = connect(&self.url(node)).await?;
            let mut arguments = FieldTable::default();
            if node == 0 {
                arguments.insert("x-queue-type".into(), AMQPValue::LongString("quorum".into()));
                // Each lost connection counts as a delivery.
                arguments.insert("x-delivery-limit".into(), AMQPValue::LongInt(-1));
            }
            let durable = QueueDeclareOptions { durable: true, ..QueueDeclareOptions::default() };
            within(channel.queue_declare(queue.as_str().into(), durable, arguments)).await?;
            // lapin may report the return of one message with the confirmation of another. One at a time, it cannot.
            let window = match (node, fault) {
                (0, Fault::Pending) => PENDING,
                (0, _) => 64,
                _ => 1,
            };
            let client = |node: usize| Client {
                work: Arc::clone(work),
                amqp: amqp.clone(),
                urls: [0, 1, 2].map(|next| self.url(node + next)),
                queue: queue.clone(),
            };
            tasks.senders.spawn(client(node).send(window));
            tasks.handlers.spawn(client(node).handle());
            tasks.handlers.spawn(client(node + 2).handle());
        }
        Ok(tasks)
    }

    async fn happen(&self, fault: Fault, work: &Work, queue: &str) -> anyhow::Result<()> {
        let order = async |order, node| self.cluster.order(order, node).await;
        match fault {
            Fault::None => {}
            Fault::QuorumLeader => {
                let leader = self.leader(queue).await?;
                order("kill", leader).await?;
                sleep(FROZEN / 2).await;
                self.restart(leader).await?;
            }
            Fault::ClassicNode => {
                order("kill", 1).await?;
                sleep(FROZEN / 2).await;
                self.restart(1).await?;
            }
            Fault::Frozen => {
                let leader = self.leader(queue).await?;
                order("pause", leader).await?;
                sleep(FROZEN).await;
                order("unpause", leader).await?;
            }
            Fault::Memory => {
                let watermark = ["rabbitmqctl", "set_vm_memory_high_watermark"];
                self.cluster.exec(0, &[&watermark[..], &["0"]].concat()).await?;
                sleep(ALARM).await;
                self.cluster.exec(0, &[&watermark[..], &["0.6"]].concat()).await?;
            }
            Fault::Pending => {
                // The sender of the quorum queue is connected to it. Frozen, it confirms no more.
                order("pause", 0).await?;
                work.pending(PENDING.cast_signed()).await?;
                order("kill", 0).await?;
                self.restart(0).await?;
            }
            Fault::Connections => {
                for node in 0..3 {
                    let close = ["rabbitmqctl", "close_all_connections", "the fault"];
                    self.cluster.exec(node, &close).await?;
                }
            }
        }
        Ok(())
    }

    async fn restart(&self, node: usize) -> anyhow::Result<()> {
        self.cluster.order("start", node).await?;
        self.started(node).await
    }

    /// Waits until a node has started. The command fails as long as there is no node that could be starting.
    async fn started(&self, node: usize) -> anyhow::Result<()> {
        let wait = "until rabbitmqctl --quiet await_startup --timeout 60; do sleep 1; done";
        self.cluster.exec(node, &["sh", "-c", wait]).await.map(drop)
    }

    /// The node of the queue's leader.
    async fn leader(&self, queue: &str) -> anyhow::Result<usize> {
        let list = ["rabbitmqctl", "--quiet", "list_queues", "name", "leader", "--formatter", "json"];
        let list: serde_json::Value = serde_json::from_str(&self.cluster.exec(2, &list).await?)?;
        let queue = list.as_array().and_then(|list| list.iter().find(|row| row["name"] == queue));
        let leader = queue.and_then(|row| row["leader"].as_str()?.rsplit('-').next()?.parse().ok());
        leader.context("the queue has no leader")
    }
}
