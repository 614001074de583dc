//! Pulls an image: gives up at once where there is no registry, and never on a slow one that makes progress.

use std::fs;
use std::io::{BufRead as _, BufReader, Read};
use std::path::PathBuf;
use std::process::Stdio;
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail, ensure};

use crate::engine::docker;
use crate::progress::Progress;
use crate::{machine, run, signals};

/// A registry that is there has told what the image consists of by then.
const FIRST_WORD: Duration = Duration::from_secs(20);

/// A pull that prints nothing and receives nothing for so long stands still.
const STANDSTILL: Duration = Duration::from_secs(180);

/// Fewer bytes than this within [`STANDSTILL`] are not a pull's.
const TRICKLE: u64 = 256 * 1024;

/// How long a failed pull is remembered.
const MEMORY: Duration = Duration::from_secs(6 * 60 * 60);

/// Pulls an image unless a pull has failed within the last hours.
///
/// # Errors
///
/// Why it could not be pulled.
pub(crate) fn pull_unless_it_failed_lately(image: &str) -> anyhow::Result<()> {
    let marker = marker();
    let age = fs::metadata(&marker).and_then(|file| file.modified()).map(|time| time.elapsed());
    if let Ok(Ok(age)) = age
        && age < MEMORY
    {
        bail!(
            "no attempt to pull {image}: one failed {} min ago (to try again: rm {})",
            age.as_secs() / 60,
            marker.display()
        );
    }
    let result = pull(image);
    if result.is_err() && !signals::interrupted() {
        // Only the next run's speed depends on it.
        let _ = fs::create_dir_all(machine::state());
        let _ = fs::write(&marker, image);
    }
    result
}

fn marker() -> PathBuf {
    machine::state().join("pull-failed")
}

/// Pulls an image.
///
/// # Errors
///
/// Why it could not be pulled.
pub(crate) fn pull(image: &str) -> anyhow::Result<()> {
    ensure!(!signals::interrupted(), "interrupted");
    let mut command = docker(&["pull", image]);
    run::say(&format!("$ {}", run::shown(&command)));
    run::own_group(&mut command).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().context("cannot run `docker pull`")?;
    let (sender, lines) = mpsc::channel();
    if let Some(stdout) = child.stdout.take() {
        read_lines(stdout, sender.clone());
    }
    if let Some(stderr) = child.stderr.take() {
        read_lines(stderr, sender);
    }

    let mut progress = Progress::new(&format!("pulling {image}"));
    let mut answered = false;
    let mut last_line = String::new();
    let mut active = (Instant::now(), received());
    let status = run::wait(&mut child, || {
        progress.tick();
        while let Ok(line) = lines.try_recv() {
            // The first line comes when the registry has answered; the rest is one line per layer and state.
            if !answered || line.contains("Pull complete") || line.contains("Status:") {
                run::say(&line);
            }
            answered = answered || line.contains("Pulling from");
            last_line = line;
            active = (Instant::now(), received());
        }
        let now = received();
        match (now, active.1) {
            (Some(now), Some(before)) if now.saturating_sub(before) < TRICKLE => {}
            // It has received something, or nobody can tell here.
            _ => active = (Instant::now(), now),
        }
        ensure!(
            answered || progress.elapsed() < FIRST_WORD,
            "no registry answers within {} s",
            FIRST_WORD.as_secs()
        );
        ensure!(active.0.elapsed() < STANDSTILL, "pulling {image} stands still");
        Ok(())
    })?;
    last_line = lines.iter().last().unwrap_or(last_line);
    ensure!(!signals::interrupted(), "interrupted while pulling {image}");
    ensure!(status.success(), "{image} cannot be pulled: {last_line}");
    run::say(&format!("pulled after {} s", progress.elapsed().as_secs()));
    Ok(())
}

fn read_lines(from: impl Read + Send + 'static, to: mpsc::Sender<String>) {
    thread::spawn(move || {
        for line in BufReader::new(from).lines().map_while(Result::ok) {
            if to.send(line).is_err() {
                return;
            }
        }
    });
}

/// Returns the bytes that this machine has received, where that can be read.
fn received() -> Option<u64> {
    let table = fs::read_to_string("/proc/net/dev").ok()?;
    // Two lines of headings, then `name: bytes packets …`.
    let bytes = table.lines().skip(2).filter_map(|line| {
        let (name, numbers) = line.trim().split_once(':')?;
        let inside =
            name == "lo" || name.starts_with("docker") || name.starts_with("veth") || name.starts_with("br-");
        let bytes: u64 = numbers.split_whitespace().next()?.parse().ok()?;
        (!inside).then_some(bytes)
    });
    Some(bytes.sum())
}
