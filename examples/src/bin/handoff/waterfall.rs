//! Rows with bars over an axis of time.

use std::time::{Duration, SystemTime};

use crate::screen::{Colour, Screen, say};

/// One line of the waterfall.
pub(crate) struct Row {
    pub(crate) owner: &'static str,
    pub(crate) colour: Colour,
    pub(crate) label: String,
    pub(crate) depth: usize,
    pub(crate) from: SystemTime,
    pub(crate) to: SystemTime,
    pub(crate) kind: Kind,
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Span,
    /// A span below the one that sent its message.
    Received,
    /// A link to a span elsewhere, which has no time of its own.
    Link,
    /// Nobody works on it: it lies in a queue.
    Waits,
}

/// Where the columns are: owner, name, bar, begin and duration in milliseconds.
struct Columns {
    owner: usize,
    name: usize,
    bar: usize,
    zero: SystemTime,
    total: f64,
}

const NUMBER: usize = 6;

/// Draws each trace under its id, all over the same axis.
pub(crate) fn draw(screen: &Screen, traces: &[(String, Vec<Row>)]) {
    let rows = || traces.iter().flat_map(|(_, rows)| rows);
    let (Some(zero), Some(end)) = (rows().map(|row| row.from).min(), rows().map(|row| row.to).max()) else {
        return;
    };
    let widest = |measure: fn(&Row) -> usize| rows().map(measure).max().unwrap_or(0);
    let owner = widest(|row| row.owner.len());
    let name = widest(|row| name(row).chars().count());
    let columns = Columns {
        owner,
        name,
        // Two spaces before each column but the last.
        bar: screen.width.saturating_sub(2 + owner + 2 + name + 2 + 1 + NUMBER + 1 + NUMBER),
        zero,
        total: milliseconds(zero, end).max(0.1),
    };
    for (id, rows) in traces {
        say!("\n  {} {id}", screen.paint(Colour::Bold, "trace"));
        say!("{}", screen.paint(Colour::Faint, &columns.heading()));
        for row in rows {
            say!("{}", columns.line(screen, row));
        }
    }
    if rows().any(|row| row.kind == Kind::Received) {
        say!("  {}", screen.paint(Colour::Faint, "╘ below the span that sent the message"));
    }
}

fn name(row: &Row) -> String {
    let branch = match (row.depth, row.kind) {
        (0, _) => "",
        (_, Kind::Link | Kind::Waits) => "┊ ",
        (_, Kind::Received) => "╘ ",
        (_, Kind::Span) => "└ ",
    };
    format!("{}{branch}{}", "  ".repeat(row.depth.saturating_sub(1)), row.label)
}

impl Columns {
    fn heading(&self) -> String {
        let (owner, name) = (self.owner, self.name);
        let axis = self.axis();
        format!("  {:owner$}  {:name$}  {axis} {:>NUMBER$} {:>NUMBER$}", "", "", "start", "took")
    }

    /// Round numbers of milliseconds, each where its time begins.
    fn axis(&self) -> String {
        let steps = (0..6).flat_map(|power| [1.0, 2.0, 5.0].map(|digit| digit * 10_f64.powi(power)));
        let room = 9.0;
        let step = steps.into_iter().find(|step| self.cells(*step) >= room).unwrap_or(self.total);
        let mut axis = String::new();
        for count in 0_u32.. {
            let at = f64::from(count) * step;
            let unit = if count == 0 { " ms" } else { "" };
            let label = format!("│{at}{unit}");
            let cell = self.cells(at).round() as usize;
            if cell + label.chars().count() > self.bar {
                break;
            }
            let gap = cell.saturating_sub(axis.chars().count());
            axis.extend(std::iter::repeat_n(' ', gap));
            axis.push_str(&label);
        }
        let width = self.bar;
        format!("{axis:width$}")
    }

    fn cells(&self, milliseconds: f64) -> f64 {
        milliseconds / self.total * self.bar as f64
    }

    fn line(&self, screen: &Screen, row: &Row) -> String {
        let (owner, name_width) = (self.owner, self.name);
        let (at, to) = (milliseconds(self.zero, row.from), milliseconds(self.zero, row.to));
        let service = screen.paint(row.colour, &format!("{:owner$}", row.owner));
        if row.kind == Kind::Link {
            return format!("  {service}  {}", screen.paint(Colour::Faint, &name(row)));
        }
        let waits = row.kind == Kind::Waits;
        let bar = bar(self.cells(at), self.cells(to), self.bar, waits);
        let name = format!("{:name_width$}", name(row));
        let name = if waits { screen.paint(Colour::Faint, &name) } else { name };
        let at_column = screen.paint(Colour::Faint, &format!("{at:>NUMBER$.1}"));
        format!("  {service}  {name}  {} {at_column} {:>NUMBER$.1}", screen.paint(row.colour, &bar), to - at,)
    }
}

fn milliseconds(from: SystemTime, to: SystemTime) -> f64 {
    to.duration_since(from).unwrap_or(Duration::ZERO).as_secs_f64() * 1000.0
}

/// A bar from one cell to another, finer than a cell where the font can show it.
fn bar(from: f64, to: f64, width: usize, waits: bool) -> String {
    const EIGHTHS: [char; 9] = [' ', '▏', '▎', '▍', '▌', '▋', '▊', '▉', '█'];
    // Too short to be seen is not the same as not there.
    let from = from.clamp(0.0, (width as f64 - 0.2).max(0.0));
    let to = to.clamp(from + 0.2, (width as f64).max(from + 0.2));
    let cell = |index: usize| {
        let left = index as f64;
        let covered = (to.min(left + 1.0) - from.max(left)).max(0.0);
        let begins_here = from > left && to >= left + 1.0;
        match (waits, begins_here) {
            _ if covered == 0.0 => ' ',
            (true, _) => '░',
            (false, true) if covered < 0.25 && to > left + 1.0 => ' ',
            (false, true) if covered < 0.75 => '▐',
            (false, true) => '█',
            (false, false) => EIGHTHS[((covered * 8.0).round() as usize).clamp(1, 8)],
        }
    };
    (0..width).map(cell).collect()
}

#[cfg(test)]
mod tests {
    use super::bar;

    #[test]
    fn a_bar_is_as_wide_as_its_column_and_never_invisible() {
        assert_eq!(bar(0.0, 4.0, 4, false), "████");
        assert_eq!(bar(1.5, 3.5, 5, false), " ▐█▌ ");
        assert_eq!(bar(1.0, 3.0, 4, true), " ░░ ");
        assert_eq!(bar(2.0, 2.0, 4, false), "  ▎ ");
        assert_eq!(bar(4.0, 9.0, 4, false), "   ▐");
    }
}
