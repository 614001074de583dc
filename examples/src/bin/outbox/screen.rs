//! Lines in the terminal, with colours where it takes them.

pub(crate) use carrier_examples::say;
use carrier_examples::screen::takes_colours;
use opentelemetry::trace::TraceId;

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

/// One step of one order.
pub(crate) fn step(order: u32, what: &str, trace_id: TraceId, note: &str) {
    say!("    order {order}  {what:13}  trace {trace_id}  {note}");
}
