//! What both brokers' containers have in common: names, labels, a start that explains its failure.

use std::collections::VecDeque;
use std::env;
use std::io::Write;
use std::net::TcpListener;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use anyhow::{Context as _, anyhow};
use testcontainers::core::logs::LogFrame;
use testcontainers::runners::AsyncRunner;
use testcontainers::{ContainerAsync, ContainerRequest, Image, ImageExt};
use tokio::net::TcpStream;

use crate::reaper;

/// A busy machine with two cores needs more than the usual minute when a build runs beside it.
const STARTUP_LIMIT: Duration = Duration::from_secs(180);

/// Lines of a failed container's log that go into the error.
const LOG_TAIL: usize = 30;

const LOOPBACK: &str = "127.0.0.1";

/// What the messages and the environment say about one kind of broker.
pub(crate) struct Kind {
    pub(crate) name: &'static str,
    pub(crate) image_variable: &'static str,
    pub(crate) default_image: &'static str,
    /// The variable that names a broker which already runs.
    pub(crate) address_variable: &'static str,
}

impl Kind {
    /// Returns the image to start, as `name:tag`.
    pub(crate) fn image(&self) -> String {
        variable(self.image_variable).unwrap_or_else(|| self.default_image.to_owned())
    }

    /// Returns the address of a broker that already runs, where the environment names one.
    pub(crate) fn address(&self) -> Option<String> {
        variable(self.address_variable)
    }
}

fn variable(name: &str) -> Option<String> {
    env::var(name).ok().filter(|value| !value.trim().is_empty())
}

/// Splits `name:tag`, where the name may hold a registry's port.
pub(crate) fn name_and_tag(image: &str) -> (&str, &str) {
    match image.rsplit_once(':') {
        Some((name, tag)) if !tag.contains('/') => (name, tag),
        _ => (image, "latest"),
    }
}

/// Returns `prefix` with an ending that no other test, process or earlier run has used.
///
/// Fit for queues, exchanges, topics and consumer groups.
pub fn unique_name(prefix: &str) -> String {
    static COUNT: AtomicU64 = AtomicU64::new(0);
    let nanoseconds = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_nanos());
    let count = COUNT.fetch_add(1, Ordering::Relaxed);
    format!("{prefix}-{:x}-{nanoseconds:x}-{count}", std::process::id())
}

/// Returns a port of this machine that nothing listens on at the moment.
pub(crate) fn free_port() -> anyhow::Result<u16> {
    let listener = TcpListener::bind((LOOPBACK, 0)).context("no free port")?;
    Ok(listener.local_addr()?.port())
}

/// Writes a line that the test runner does not capture: a start takes seconds.
pub(crate) fn say(line: &str) {
    // Nothing depends on the line, and a closed stderr is no reason to fail a test.
    let _ = writeln!(std::io::stderr(), "carrier-tests: {line}");
}

/// Starts a container and waits until it is ready.
///
/// # Errors
///
/// Names the image, what to do about it, and the last lines that the container logged.
pub(crate) async fn start<I: Image>(
    kind: &Kind,
    request: ContainerRequest<I>,
) -> anyhow::Result<ContainerAsync<I>> {
    let (name, image) = (kind.name, kind.image());
    let mut labels = vec![(reaper::OWNER_LABEL, reaper::ensure()?.to_owned())];
    if let Some(run) = variable("CARRIER_RUN_ID") {
        labels.push((reaper::RUN_LABEL, run));
    }
    let log = Arc::new(Mutex::new(VecDeque::new()));
    let collector = Arc::clone(&log);
    say(&format!("starting {name} from {image}"));
    let began = Instant::now();
    let result = request
        .with_labels(labels)
        .with_startup_timeout(STARTUP_LIMIT)
        .with_log_consumer(move |frame: &LogFrame| collect(&collector, frame))
        .start()
        .await;
    match result {
        Ok(container) => {
            let seconds = began.elapsed().as_secs_f32();
            say(&format!("{name} is ready after {seconds:.1} s"));
            Ok(container)
        }
        Err(error) => {
            // The log arrives through a task of its own, which may be a few lines behind.
            tokio::time::sleep(Duration::from_millis(300)).await;
            Err(explain(kind, &image, &chain(&error), &tail(&log)))
        }
    }
}

fn collect(log: &Mutex<VecDeque<String>>, frame: &LogFrame) {
    let mut log = log.lock().unwrap_or_else(PoisonError::into_inner);
    for line in String::from_utf8_lossy(frame.bytes()).lines() {
        if log.len() == LOG_TAIL {
            log.pop_front();
        }
        log.push_back(line.to_owned());
    }
}

fn tail(log: &Mutex<VecDeque<String>>) -> String {
    let log = log.lock().unwrap_or_else(PoisonError::into_inner);
    if log.is_empty() {
        return String::new();
    }
    let lines: Vec<&str> = log.iter().map(String::as_str).collect();
    format!("\nThe end of the container's log:\n{}", lines.join("\n"))
}

/// An error with its causes on one line; the debug form holds the whole log as bytes.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        let cause_text = cause.to_string();
        if !text.contains(&cause_text) {
            text.push_str(": ");
            text.push_str(&cause_text);
        }
        next = cause.source();
    }
    // "End of stream reached before finding message: [the whole log]".
    match text.split_once("before finding message") {
        Some((start, _)) => format!("{start}before it was ready (it stopped)"),
        None => text,
    }
}

fn explain(kind: &Kind, image: &str, cause: &str, log: &str) -> anyhow::Error {
    let Kind { name, image_variable, address_variable, .. } = kind;
    anyhow!(
        "could not start {name} from the image {image}: {cause}\n\
         What to do: run `cargo xtask test`, which provides Docker Engine and the images; \
         or set {address_variable} to a {name} that already runs; \
         or name another image in {image_variable}.{log}"
    )
}

/// The host at which a published port is reached: this machine's loopback wherever that answers.
///
/// testcontainers gives the engine's gateway where this machine is itself a container; the gateway is right only where the
/// engine is not in that container too.
pub(crate) async fn host<I: Image>(container: &ContainerAsync<I>, port: u16) -> anyhow::Result<String> {
    match TcpStream::connect((LOOPBACK, port)).await {
        Ok(_) => Ok(LOOPBACK.to_owned()),
        Err(_) => Ok(container.get_host().await?.to_string()),
    }
}
