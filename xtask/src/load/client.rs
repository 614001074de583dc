//! One run of the client program.

use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context as _, ensure};

use crate::brokers::Addresses;
use crate::progress::Progress;
use crate::{machine, run, signals};

/// What a run may take by itself.
const RUN_LIMIT: Duration = Duration::from_secs(30);

/// What a client may need besides: connections, topics, and what is still in flight.
const GRACE: Duration = Duration::from_secs(60);

/// What one run took.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Figures {
    pub(crate) per_second: f64,
    /// CPU time of the client for one message, in microseconds.
    pub(crate) cpu_micros: f64,
    pub(crate) peak_mib: f64,
}

pub(crate) struct Client {
    program: PathBuf,
    addresses: Addresses,
}

impl Client {
    /// Builds it, as an application is built that is deployed.
    pub(crate) fn build(addresses: Addresses) -> anyhow::Result<Self> {
        run::step("The client program");
        let mut build = machine::cargo();
        build.args(["build", "--release", "-p", "carrier-load"]);
        ensure!(run::show(&mut build)?, "the client program cannot be built");
        Ok(Self { program: machine::target().join("release/carrier-load"), addresses })
    }

    /// Runs one variant once.
    pub(crate) fn run(&self, part: &str, variant: &str, messages: u32) -> anyhow::Result<Figures> {
        let output = self.output(part, variant, messages, RUN_LIMIT)?;
        parse(&output).with_context(|| format!("{part} {variant} printed {output:?}"))
    }

    /// Runs it for at most so long, and returns what it printed.
    pub(crate) fn output(
        &self,
        part: &str,
        variant: &str,
        messages: u32,
        limit: Duration,
    ) -> anyhow::Result<String> {
        ensure!(!signals::interrupted(), "interrupted");
        let mut command = Command::new(&self.program);
        command.args([part, variant, &messages.to_string(), &limit.as_secs().to_string()]);
        for (name, value) in self.addresses.variables() {
            command.env(name, value);
        }
        run::own_group(&mut command).stdin(Stdio::null()).stdout(Stdio::piped());
        let mut child = command.spawn().context("cannot run the client program")?;
        let mut progress = Progress::new(&format!("{part} {variant}"));
        // It prints less than a pipe holds.
        let status = run::wait(&mut child, || {
            ensure!(progress.elapsed() < limit + GRACE, "{part} {variant} does not end");
            progress.tick();
            Ok(())
        })?;
        ensure!(!signals::interrupted(), "interrupted");
        let mut output = String::new();
        if let Some(mut stdout) = child.stdout.take() {
            std::io::Read::read_to_string(&mut stdout, &mut output)?;
        }
        ensure!(status.success(), "{part} {variant} failed ({status})\n{output}");
        Ok(output)
    }
}

/// Reads the client's line: `messages=… seconds=… cpu_seconds=… peak_kib=…`.
fn parse(line: &str) -> Option<Figures> {
    let value = |name: &str| -> Option<f64> {
        line.split_whitespace().find_map(|pair| pair.strip_prefix(name)?.strip_prefix('='))?.parse().ok()
    };
    let (messages, seconds) = (value("messages")?, value("seconds")?);
    (messages > 0.0 && seconds > 0.0).then_some(())?;
    Some(Figures {
        per_second: messages / seconds,
        cpu_micros: value("cpu_seconds")? * 1e6 / messages,
        peak_mib: value("peak_kib")? / 1_024.0,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_clients_line_is_read() {
        let figures = parse("messages=1000 seconds=0.5 cpu_seconds=0.002 peak_kib=2048\n");
        assert_eq!(figures, Some(Figures { per_second: 2_000.0, cpu_micros: 2.0, peak_mib: 2.0 }));
    }

    #[test]
    fn a_line_without_a_message_says_nothing() {
        assert_eq!(parse("messages=0 seconds=0.5 cpu_seconds=0.002 peak_kib=2048"), None);
        assert_eq!(parse("messages=1 cpu_seconds=0.002 peak_kib=2048"), None);
    }
}
