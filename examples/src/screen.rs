//! What the programs that draw have in common.

use std::env;
use std::io::{IsTerminal as _, stdout};

/// `println!` without its panic where nobody reads to the end, as in `handoff | head`.
#[macro_export]
macro_rules! say {
    ($($text:tt)*) => {{
        use ::std::io::Write as _;
        let _ = ::std::writeln!(::std::io::stdout(), $($text)*);
    }};
}

/// Returns whether standard output is a terminal that takes colours, and nobody said that they want none.
pub fn takes_colours() -> bool {
    // https://no-color.org: set and not empty.
    let plain = env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
    let dumb = env::var_os("TERM").is_some_and(|value| value == "dumb");
    stdout().is_terminal() && !plain && !dumb
}
