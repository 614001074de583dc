//! `cargo xtask brokers`: both brokers for work by hand or for a measurement.

use std::net::TcpListener;
use std::process::Command;
use std::thread;
use std::time::Duration;

use anyhow::{Context as _, anyhow, ensure};

use crate::containers::Run;
use crate::engine::docker;
use crate::images::{self, Image, KAFKA, RABBITMQ};
use crate::progress::Progress;
use crate::{engine, run, signals};

/// How long a broker may take to be ready.
const READY_LIMIT: Duration = Duration::from_secs(120);

/// How long the engine may take to start a container.
const START_LIMIT: Duration = Duration::from_secs(30);

/// One broker that is controller as well; clients reach it at the port of this machine that it advertises.
const KAFKA_SETTINGS: [&str; 11] = [
    "CLUSTER_ID=5L6g3nShT-eMCtK--X86sw",
    "KAFKA_NODE_ID=1",
    "KAFKA_PROCESS_ROLES=broker,controller",
    "KAFKA_LISTENERS=PLAINTEXT://0.0.0.0:9092,CONTROLLER://0.0.0.0:9094",
    "KAFKA_LISTENER_SECURITY_PROTOCOL_MAP=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT",
    "KAFKA_CONTROLLER_LISTENER_NAMES=CONTROLLER",
    "KAFKA_CONTROLLER_QUORUM_VOTERS=1@localhost:9094",
    "KAFKA_OFFSETS_TOPIC_REPLICATION_FACTOR=1",
    "KAFKA_TRANSACTION_STATE_LOG_REPLICATION_FACTOR=1",
    "KAFKA_TRANSACTION_STATE_LOG_MIN_ISR=1",
    "KAFKA_GROUP_INITIAL_REBALANCE_DELAY_MS=0",
];

/// Where the brokers are: ports of this machine's loopback.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Addresses {
    amqp: u16,
    kafka: u16,
}

impl Addresses {
    /// The usual ports.
    const USUAL: Self = Self { amqp: 5672, kafka: 9092 };

    /// Two ports that nothing listens on at the moment.
    pub(crate) fn free() -> anyhow::Result<Self> {
        // Both at once, or they might be the same.
        let listeners = [(); 2].map(|()| TcpListener::bind(("127.0.0.1", 0)));
        let mut ports = listeners.iter().map(|listener| match listener {
            Ok(listener) => Ok(listener.local_addr()?.port()),
            Err(error) => Err(anyhow!("no free port: {error}")),
        });
        let mut next = || ports.next().unwrap_or_else(|| Err(anyhow!("no free port")));
        Ok(Self { amqp: next()?, kafka: next()? })
    }

    /// The variables that name them to programs.
    pub(crate) fn variables(self) -> [(&'static str, String); 2] {
        let amqp = format!("amqp://guest:guest@127.0.0.1:{}/%2f", self.amqp);
        [(RABBITMQ.address, amqp), (KAFKA.address, format!("127.0.0.1:{}", self.kafka))]
    }
}

/// Runs both until Ctrl-C, then removes them.
pub(crate) fn brokers() -> anyhow::Result<u8> {
    engine::ensure()?;
    let rabbitmq = images::ensure(&RABBITMQ)?;
    let kafka = images::ensure(&KAFKA)?;
    let run_id = Run::new();
    let _reaper = run_id.reaper()?;
    let result = run_both(&run_id, &rabbitmq, &kafka);
    run::step("Removing both");
    run_id.remove().context("the brokers could not be removed")?;
    run::say("they are gone");
    result.map(|()| 0)
}

fn run_both(run_id: &Run, rabbitmq: &str, kafka: &str) -> anyhow::Result<()> {
    start(run_id, rabbitmq, kafka, Addresses::USUAL)?;
    for (name, value) in Addresses::USUAL.variables() {
        println!("export {name}={value}");
    }
    run::say("Ctrl-C ends them.");
    while !signals::interrupted() {
        thread::sleep(Duration::from_millis(100));
    }
    Ok(())
}

/// Starts both from their images, and returns when they are ready.
pub(crate) fn start(run_id: &Run, rabbitmq: &str, kafka: &str, at: Addresses) -> anyhow::Result<()> {
    run::step("Brokers");
    let first = start_one(run_id, &RABBITMQ, rabbitmq, (at.amqp, 5672), &[])?;
    let advertised = format!("KAFKA_ADVERTISED_LISTENERS=PLAINTEXT://127.0.0.1:{}", at.kafka);
    let settings: Vec<&str> = KAFKA_SETTINGS.into_iter().chain([advertised.as_str()]).collect();
    let second = start_one(run_id, &KAFKA, kafka, (at.kafka, 9092), &settings)?;
    await_line(&RABBITMQ, &first, "Server startup complete")?;
    await_line(&KAFKA, &second, "Kafka Server started")
}

/// Starts a container with its second port published as the first, on loopback alone.
fn start_one(
    run_id: &Run,
    image: &Image,
    tag: &str,
    (outside, inside): (u16, u16),
    settings: &[&str],
) -> anyhow::Result<String> {
    let port = format!("127.0.0.1:{outside}:{inside}");
    let mut command: Command = docker(&["run", "--detach", "--label", &run_id.label(), "--publish", &port]);
    for setting in settings {
        command.args(["--env", setting]);
    }
    command.arg(tag);
    run::say(&format!("$ {}", run::shown(&command)));
    let id = run::ask(&mut command, START_LIMIT).with_context(|| format!("cannot start {}", image.name))?;
    Ok(id.trim().to_owned())
}

fn await_line(image: &Image, container: &str, line: &str) -> anyhow::Result<()> {
    let mut progress = Progress::new(&format!("waiting for {}", image.name));
    loop {
        let log = run::ask(&mut docker(&["logs", container]), START_LIMIT)?;
        if log.contains(line) {
            run::say(&format!("{} is ready", image.name));
            return Ok(());
        }
        ensure!(!signals::interrupted(), "interrupted");
        let format = "{{.State.Running}}";
        let running = run::ask(&mut docker(&["inspect", "--format", format, container]), START_LIMIT)?;
        let start = log.len().saturating_sub(2000);
        let tail = log.get(start..).unwrap_or(&log);
        ensure!(running.trim() == "true", "{} ended. Its log:\n{tail}", image.name);
        ensure!(progress.elapsed() < READY_LIMIT, "{} is not ready. Its log:\n{tail}", image.name);
        progress.tick();
        thread::sleep(Duration::from_millis(300));
    }
}
