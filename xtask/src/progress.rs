//! What a person reads while something runs, and whether that person wants it to end.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use anyhow::Context as _;
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};

/// No step of our own is silent for longer.
pub(crate) const SILENCE: Duration = Duration::from_secs(5);

/// The exit code after an interrupt, as shells report Ctrl-C.
pub(crate) const INTERRUPTED: u8 = 130;

static SIGNAL: OnceLock<Arc<AtomicBool>> = OnceLock::new();

/// From here on Ctrl-C and `kill` only set a flag, so that a command can clean up before it ends. The terminal still sends
/// Ctrl-C to the children.
pub(crate) fn catch_signals() -> anyhow::Result<()> {
    let flag = SIGNAL.get_or_init(Arc::default);
    for signal in [SIGINT, SIGTERM, SIGHUP] {
        signal_hook::flag::register(signal, Arc::clone(flag)).context("cannot catch Ctrl-C")?;
    }
    Ok(())
}

/// Returns whether this command was told to end.
pub(crate) fn interrupted() -> bool {
    SIGNAL.get().is_some_and(|flag| flag.load(Ordering::Relaxed))
}

/// Fails after Ctrl-C or `kill`.
pub(crate) fn go_on() -> anyhow::Result<()> {
    anyhow::ensure!(!interrupted(), "interrupted");
    Ok(())
}

/// Announces a step.
pub(crate) fn step(title: &str) {
    eprintln!("\n== {title}");
}

/// Says something within a step.
pub(crate) fn say(line: &str) {
    eprintln!("   {line}");
}

/// Says `   … text (12 s)` now and then.
pub(crate) struct Progress {
    text: String,
    began: Instant,
    next: Duration,
    every: Duration,
}

impl Progress {
    pub(crate) fn new(text: &str, every: Duration) -> Self {
        Self { text: text.to_owned(), began: Instant::now(), next: every, every }
    }

    pub(crate) fn elapsed(&self) -> Duration {
        self.began.elapsed()
    }

    /// To be called often.
    pub(crate) fn tick(&mut self) {
        let elapsed = self.elapsed();
        if elapsed >= self.next {
            self.next = elapsed + self.every;
            say(&format!("… {} ({} s)", self.text, elapsed.as_secs()));
        }
    }
}
