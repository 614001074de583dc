//! A RabbitMQ in a container, which is removed when this program ends.

use std::process::{self, Child, Stdio};
use std::sync::Mutex;
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail, ensure};
use tokio::net::TcpStream;
use tokio::process::Command;
use tokio::time;

use crate::{unique_name, variable};

const IMAGE: &str = "rabbitmq:4.2";
const PORT: &str = "5672";

/// RabbitMQ logs it when it accepts connections.
const READY: &str = "Server startup complete";

/// How long RabbitMQ may take until then on a busy machine.
const LIMIT: Duration = Duration::from_secs(180);

/// Ctrl-C and `kill -9` end this program without its consent, so another process removes the container.
const REAPER: &str = include_str!("../../tests/src/reaper.sh");

/// The reaper waits for the end of the pipe to it, which this program must hold as long as it lives.
static REAPERS: Mutex<Vec<Child>> = Mutex::new(Vec::new());

/// Starts a container and returns the address of its RabbitMQ.
///
/// # Errors
///
/// Where none starts: one line that says why.
pub(crate) async fn rabbitmq() -> anyhow::Result<String> {
    let image = variable("CARRIER_RABBITMQ_IMAGE").unwrap_or_else(|| IMAGE.to_owned());
    start(&image).await.with_context(|| format!("could not start RabbitMQ from the image {image}"))
}

async fn start(image: &str) -> anyhow::Result<String> {
    let label = format!("org.carrier.owner={}", unique_name("carrier"));
    // `cargo xtask` looks for this one when we have ended.
    let run = variable("CARRIER_RUN_ID").map(|run| format!("org.carrier.run={run}"));
    let labels = [Some(label.as_str()), run.as_deref()].into_iter().flatten();
    docker(&["version", "--format", "{{.Server.Version}}"]).await?;
    reaper(&label)?;
    eprintln!("starting RabbitMQ from {image}");
    let began = Instant::now();
    let mut words = vec!["run", "--detach", "--publish", PORT];
    words.extend(labels.flat_map(|label| ["--label", label]));
    words.push(image);
    let id = docker(&words).await?;
    let id = id.as_str();
    while !docker(&["logs", id]).await?.contains(READY) {
        let state = docker(&["inspect", "--format", "{{.State.Status}}", id]).await?;
        ensure!(state == "running", "it is {state} before it is ready; `docker logs {id}` may say why");
        ensure!(began.elapsed() < LIMIT, "it is not ready after {} s", LIMIT.as_secs());
        time::sleep(Duration::from_millis(300)).await;
    }
    eprintln!("RabbitMQ is ready after {:.1} s", began.elapsed().as_secs_f32());
    let published = docker(&["port", id, PORT]).await?;
    let port = published.lines().next().and_then(|address| address.rsplit_once(':'));
    let (_, port) = port.with_context(|| format!("no port of this machine leads to it: {published:?}"))?;
    Ok(format!("amqp://guest:guest@{}:{port}/%2f", host(id, port).await?))
}

/// The host at which a published port is reached: not the loopback if the engine is on another machine, or if this program
/// is itself in a container.
async fn host(id: &str, port: &str) -> anyhow::Result<String> {
    let engine = variable("DOCKER_HOST")
        .and_then(|url| Some(url.strip_prefix("tcp://")?.rsplit_once(':')?.0.to_owned()));
    let gateway =
        docker(&["inspect", "--format", "{{range .NetworkSettings.Networks}}{{.Gateway}}{{end}}", id])
            .await?;
    for host in ["127.0.0.1".to_owned()].into_iter().chain(engine).chain([gateway]) {
        let connecting = TcpStream::connect(format!("{host}:{port}"));
        if matches!(time::timeout(Duration::from_secs(5), connecting).await, Ok(Ok(_))) {
            return Ok(host);
        }
    }
    bail!("its port {port} cannot be reached")
}

fn reaper(label: &str) -> anyhow::Result<()> {
    let mut command = process::Command::new("sh");
    command.args(["-c", REAPER, "reaper", label]).current_dir("/");
    command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null());
    // Ctrl-C reaches the terminal's whole process group.
    std::os::unix::process::CommandExt::process_group(&mut command, 0);
    let child = command.spawn().context("cannot start `sh`")?;
    REAPERS.lock().unwrap_or_else(std::sync::PoisonError::into_inner).push(child);
    Ok(())
}

/// Runs a `docker` command and returns its standard output.
async fn docker(words: &[&str]) -> anyhow::Result<String> {
    let mut command = Command::new("docker");
    command.args(words).stdin(Stdio::null()).kill_on_drop(true);
    let output = command.output().await.context("no `docker` command")?;
    let error = String::from_utf8_lossy(&output.stderr);
    // Help and progress are around it.
    let mut lines = error.lines().filter(|line| !line.is_empty());
    let error = lines.clone().find(|line| line.contains("rror")).or_else(|| lines.next()).unwrap_or_default();
    ensure!(output.status.success(), "{}", error.trim());
    Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
}
