//! What a run took: time, CPU time and memory of this process.

use std::fmt;
use std::fs;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use rustix::time::{ClockId, clock_gettime};

/// A moment, on the wall clock and on that of the process's CPU time.
pub(crate) struct Moment {
    at: Instant,
    cpu: Duration,
}

impl Moment {
    pub(crate) fn now() -> Self {
        Self { at: Instant::now(), cpu: cpu_time() }
    }

    /// What was needed since then for so many messages.
    pub(crate) fn until_now(&self, messages: u32) -> anyhow::Result<Figures> {
        let (time, cpu) = (self.at.elapsed(), cpu_time() - self.cpu);
        Ok(Figures { messages, time, cpu, peak_kib: memory("VmHWM")? })
    }
}

/// The line that a run prints.
#[derive(Debug)]
pub(crate) struct Figures {
    messages: u32,
    time: Duration,
    /// Of all threads of this process.
    cpu: Duration,
    /// The most memory that the process ever had.
    peak_kib: u64,
}

impl fmt::Display for Figures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { messages, time, cpu, peak_kib } = self;
        let (seconds, cpu) = (time.as_secs_f64(), cpu.as_secs_f64());
        write!(f, "messages={messages} seconds={seconds:.6} cpu_seconds={cpu:.6} peak_kib={peak_kib}")
    }
}

/// How much memory the process has now.
pub(crate) fn resident_kib() -> anyhow::Result<u64> {
    memory("VmRSS")
}

fn cpu_time() -> Duration {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    let nanoseconds = Duration::from_nanos(time.tv_nsec.unsigned_abs());
    Duration::from_secs(time.tv_sec.unsigned_abs()) + nanoseconds
}

fn memory(field: &str) -> anyhow::Result<u64> {
    let status = fs::read_to_string("/proc/self/status").context("only Linux says how much memory it is")?;
    kib(&status, field).with_context(|| format!("/proc/self/status has no {field}"))
}

/// The value of a field in KiB: `VmRSS:     1234 kB`.
fn kib(status: &str, field: &str) -> Option<u64> {
    let value = status.lines().find_map(|line| line.strip_prefix(field)?.strip_prefix(':'))?;
    value.split_whitespace().next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_is_a_field_of_its_own() {
        let status = "Name:\tVmRSS\nVmRSSx:\t 1 kB\nVmRSS:\t    5320 kB\n";
        assert_eq!((kib(status, "VmRSS"), kib(status, "VmHWM")), (Some(5_320), None));
        assert!(resident_kib().unwrap() > 0);
    }

    #[test]
    fn a_run_is_one_line_that_a_program_reads() {
        let (time, cpu) = (Duration::from_millis(1_500), Duration::from_micros(7));
        let figures = Figures { messages: 10, time, cpu, peak_kib: 3 };
        assert_eq!(figures.to_string(), "messages=10 seconds=1.500000 cpu_seconds=0.000007 peak_kib=3");
    }
}
