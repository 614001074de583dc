//! What a run may do, and what it took: time, CPU time and memory of this process.

use std::fs;
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use rustix::time::{ClockId, clock_gettime};

/// Messages a second, microseconds of CPU time for one message (of all threads of the process), and the most memory that
/// the process ever had, in MiB.
pub(crate) type Figures = [f64; 3];

/// A number of messages, and an end in any case.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Bounds {
    pub(crate) messages: u32,
    until: Instant,
}

impl Bounds {
    /// No run takes longer: it reports what it did until then.
    pub(crate) fn new(messages: u32, minutes: u64) -> Self {
        Self { messages, until: Instant::now() + Duration::from_secs(60 * minutes) }
    }

    /// The same end for another number of messages.
    pub(crate) fn of(self, messages: u32) -> Self {
        Self { messages, ..self }
    }

    /// How much time is left.
    pub(crate) fn left(&self) -> Duration {
        self.until.saturating_duration_since(Instant::now())
    }

    /// Whether one more message may be sent.
    pub(crate) fn allow(&self, sent: u32) -> bool {
        sent < self.messages && !self.left().is_zero()
    }
}

/// Sends the first messages, which connect, and then those that are measured. `send_all` returns how many it sent.
pub(crate) async fn measured(
    bounds: Bounds,
    first: u32,
    mut send_all: impl AsyncFnMut(Bounds) -> anyhow::Result<u32>,
) -> anyhow::Result<Figures> {
    send_all(bounds.of(first)).await?;
    let (began, cpu) = (Instant::now(), cpu_seconds());
    let messages = f64::from(send_all(bounds).await?);
    let (seconds, cpu) = (began.elapsed().as_secs_f64(), cpu_seconds() - cpu);
    ensure!(messages > 0.0, "no message was sent");
    Ok([messages / seconds, cpu * 1e6 / messages, mib("VmHWM")?])
}

fn cpu_seconds() -> f64 {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    time.tv_sec as f64 + time.tv_nsec as f64 / 1e9
}

/// Memory of this process: a field of Linux's status file, such as `VmRSS:     1234 kB`.
pub(crate) fn mib(field: &str) -> anyhow::Result<f64> {
    let status = fs::read_to_string("/proc/self/status").context("only Linux reports the memory")?;
    let value = status.lines().find_map(|line| line.strip_prefix(field)?.strip_prefix(':'));
    let kib = value.and_then(|value| value.trim().strip_suffix(" kB")?.parse::<f64>().ok());
    Ok(kib.with_context(|| format!("/proc/self/status has no {field}"))? / 1_024.0)
}
