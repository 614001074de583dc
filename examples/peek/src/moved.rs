//! What a move says of itself.
#![allow(clippy::print_stdout, reason = "the result of a program")]

use crate::text::counted;

/// How many messages of how many are moved.
pub(crate) struct Report {
    way: String,
    number: usize,
    there: usize,
    pub(crate) moved: usize,
}

impl Report {
    /// `way` says from where to where.
    pub(crate) fn new(way: String, number: usize, there: usize) -> Self {
        Self { way, number, there, moved: 0 }
    }

    pub(crate) fn dry_run(&self) {
        let number = counted(self.number, "message");
        self.say(&format!("would move {number} of {} from {}; nothing was changed", self.there, self.way));
    }

    pub(crate) fn done(&self) {
        let moved = counted(self.moved, "message");
        self.say(&format!("moved {moved} of {} from {}", self.there, self.way));
    }

    /// For an error.
    pub(crate) fn so_far(&self) -> String {
        format!("{} moved, the others are where they were", counted(self.moved, "message"))
    }

    fn say(&self, text: &str) {
        use std::io::Write as _;
        // The reader may be gone.
        let _ = writeln!(std::io::stdout(), "{text}");
    }
}
