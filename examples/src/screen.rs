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

#[derive(Clone, Copy)]
pub enum Colour {
    Bold,
    Faint,
    Good,
    Bad,
    Warn,
}

/// Returns the text in a colour, or as it is.
pub fn paint(colour: Colour, text: &str) -> String {
    if !takes_colours() {
        return text.to_owned();
    }
    // Of the 256 colours, ones that can be read on black and on white.
    let code = match colour {
        Colour::Bold => "1",
        Colour::Faint => "38;5;245",
        Colour::Good => "1;38;5;35",
        Colour::Bad => "1;38;5;196",
        Colour::Warn => "38;5;172",
    };
    format!("\x1b[{code}m{text}\x1b[0m")
}
