//! Says that something still runs.

use std::time::{Duration, Instant};

use crate::screen;

/// Nothing stays silent for longer.
pub(crate) const SILENCE: Duration = Duration::from_secs(5);

/// Says `   … text (12 s)` at most every [`SILENCE`].
pub(crate) struct Progress {
    text: String,
    began: Instant,
    said: Instant,
}

impl Progress {
    pub(crate) fn new(text: &str) -> Self {
        let now = Instant::now();
        Self { text: text.to_owned(), began: now, said: now }
    }

    pub(crate) fn elapsed(&self) -> Duration {
        self.began.elapsed()
    }

    /// The command has said something by itself.
    pub(crate) fn heard(&mut self) {
        self.said = Instant::now();
    }

    /// Returns whether it has been silent for too long.
    pub(crate) fn is_due(&self) -> bool {
        self.said.elapsed() >= SILENCE
    }

    /// To be called often.
    pub(crate) fn tick(&mut self) {
        if self.is_due() {
            self.said = Instant::now();
            screen::say(&format!("… {} ({} s)", self.text, self.began.elapsed().as_secs()));
        }
    }
}
