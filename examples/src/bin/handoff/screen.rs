//! How wide the terminal is, and whether it takes colours.

pub(crate) use carrier_examples::say;
use carrier_examples::screen::takes_colours;
use carrier_examples::variable;
use terminal_size::terminal_size;

/// Below it the names would have no room.
const NARROWEST: usize = 80;

/// Beyond it the eye loses the row.
const WIDEST: usize = 140;

#[derive(Clone, Copy)]
pub(crate) enum Colour {
    Bold,
    Faint,
    Good,
    Bad,
    Warn,
    /// The colour of a service.
    Of(&'static str),
}

pub(crate) struct Screen {
    pub(crate) width: usize,
    colours: bool,
}

impl Screen {
    pub(crate) fn new() -> Self {
        let asked = variable("COLUMNS").and_then(|columns| columns.parse().ok());
        let width = asked.or_else(|| terminal_size().map(|(width, _)| width.0.into())).unwrap_or(100);
        Self { width: width.clamp(NARROWEST, WIDEST), colours: takes_colours() }
    }

    /// Returns the text in a colour, or as it is.
    pub(crate) fn paint(&self, colour: Colour, text: &str) -> String {
        if !self.colours || text.is_empty() {
            return text.to_owned();
        }
        // Of the 256 colours, ones that can be read on black and on white.
        let code = match colour {
            Colour::Bold => "1",
            Colour::Faint => "38;5;245",
            Colour::Good => "1;38;5;35",
            Colour::Bad => "1;38;5;196",
            Colour::Warn => "38;5;172",
            Colour::Of(crate::SHOP) => "38;5;33",
            Colour::Of(crate::GATEWAY) => "38;5;37",
            Colour::Of(crate::PACKING) => "38;5;172",
            Colour::Of(_) => "38;5;134",
        };
        format!("\x1b[{code}m{text}\x1b[0m")
    }
}
