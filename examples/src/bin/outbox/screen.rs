//! Lines in the terminal, with colours where it takes them.

use std::env;
use std::io::{IsTerminal as _, stdout};

use opentelemetry::trace::TraceId;

/// `println!` without its panic where nobody reads to the end, as in `outbox | head`.
macro_rules! say {
    ($($text:tt)*) => {{
        use std::io::Write as _;
        let _ = writeln!(std::io::stdout(), $($text)*);
    }};
}
pub(crate) use say;

#[derive(Clone, Copy)]
pub(crate) enum Colour {
    Bold,
    Faint,
    Good,
    Bad,
    Warn,
}

/// Returns the text in a colour, or as it is.
pub(crate) fn paint(colour: Colour, text: &str) -> String {
    // https://no-color.org: set and not empty.
    let plain = env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
    let dumb = env::var_os("TERM").is_some_and(|value| value == "dumb");
    if plain || dumb || !stdout().is_terminal() {
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

/// One step of one order.
pub(crate) fn step(order: u32, what: &str, trace_id: TraceId, note: &str) {
    say!("    order {order}  {what:13}  trace {trace_id}  {note}");
}
