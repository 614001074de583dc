//! On what it was measured.

use std::fs;
use std::process::Command;
use std::thread::available_parallelism;
use std::time::Duration;

use crate::{machine, run};

/// How long a program may take to say its version.
const LIMIT: Duration = Duration::from_secs(10);

/// What the numbers depend on, beside the code.
#[derive(Debug)]
pub(crate) struct Facts {
    pub(crate) date: String,
    pub(crate) cpu: String,
    pub(crate) cores: usize,
    pub(crate) system: String,
    pub(crate) compiler: String,
    pub(crate) versions: String,
}

impl Facts {
    pub(crate) fn here() -> Self {
        let ask = |program: &str, words: &[&str]| {
            let answer = run::ask(Command::new(program).args(words), LIMIT);
            answer.map_or_else(|_| "unknown".to_owned(), |answer| answer.trim().to_owned())
        };
        let lock = fs::read_to_string(machine::root().join("Cargo.lock")).unwrap_or_default();
        Self {
            date: ask("date", &["-u", "+%Y-%m-%d"]),
            cpu: cpu(&fs::read_to_string("/proc/cpuinfo").unwrap_or_default()),
            cores: available_parallelism().map_or(1, usize::from),
            system: ask("uname", &["-sm"]),
            compiler: ask("rustc", &["--version"]),
            versions: versions(&lock),
        }
    }
}

/// How many processes want a core, on average over the last minute.
pub(crate) fn load() -> Option<f64> {
    fs::read_to_string("/proc/loadavg").ok()?.split(' ').next()?.parse().ok()
}

fn cpu(info: &str) -> String {
    let model = info.lines().find_map(|line| line.strip_prefix("model name")?.split_once(':'));
    model.map_or("unknown", |(_, model)| model.trim()).to_owned()
}

/// The versions of what is measured with and against.
fn versions(lock: &str) -> String {
    let names = ["opentelemetry", "opentelemetry_sdk", "lapin", "rdkafka", "rdkafka-sys", "http"];
    let of = |name: &str| {
        let package =
            lock.split("[[package]]").find(|package| package.contains(&format!("name = \"{name}\"\n")))?;
        let version = package.lines().find_map(|line| line.strip_prefix("version = "))?;
        Some(format!("{name} {}", version.trim_matches('"')))
    };
    names.into_iter().filter_map(of).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_those_of_the_lock_file() {
        let lock = "[[package]]\nname = \"lapin\"\nversion = \"4.12.3\"\n\n[[package]]\nname = \"http\"\nversion = \"1.4.0\"\n";
        assert_eq!(versions(lock), "lapin 4.12.3, http 1.4.0");
    }

    #[test]
    fn a_cpu_has_a_model_or_is_unknown() {
        assert_eq!(cpu("processor : 0\nmodel name\t: Fast One @ 3 GHz\n"), "Fast One @ 3 GHz");
        assert_eq!(cpu(""), "unknown");
    }
}
