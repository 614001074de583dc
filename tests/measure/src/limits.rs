//! How much the deterministic meters may find.

/// What a meter found.
#[derive(Debug)]
pub(crate) struct Found<T> {
    pub(crate) row: String,
    pub(crate) who: String,
    pub(crate) amount: T,
}

/// The one file of limits.
const FILE: &str = include_str!("../limits.txt");

/// How much more than the floor one case may take.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Limit {
    /// Times the floor's instructions.
    pub(crate) instructions: f64,
    /// Beside the floor's allocations.
    pub(crate) allocations: isize,
    /// Beside the floor's bytes.
    pub(crate) bytes: isize,
}

#[derive(Debug)]
pub(crate) struct Limits(Vec<(String, String, Limit)>);

impl Limits {
    #[allow(
        clippy::panic,
        reason = "a mistake in the file is for who edits it, and only tests and benchmarks read it"
    )]
    pub(crate) fn read() -> Self {
        let lines = FILE.lines().filter(|line| !line.trim().is_empty() && !line.starts_with('#'));
        Self(lines.map(|line| parse(line).unwrap_or_else(|| panic!("limits.txt: {line}"))).collect())
    }

    /// The limit of a case; what is there for comparison only has none.
    pub(crate) fn of(&self, row: &str, who: &str) -> Option<Limit> {
        self.0.iter().find(|(limited, whose, _)| limited == row && whose == who).map(|(_, _, limit)| *limit)
    }

    /// Whether a row is there in which these limits limit something.
    pub(crate) fn unused<'a, T>(&'a self, found: &'a [Found<T>], area: &str) -> Vec<&'a str> {
        let measured = |row: &str, who: &str| found.iter().any(|found| found.row == row && found.who == who);
        let prefix = format!("{area}: ");
        let of_area = self.0.iter().filter(|(row, _, _)| row.starts_with(&prefix));
        of_area.filter(|(row, who, _)| !measured(row, who)).map(|(row, _, _)| &**row).collect()
    }
}

/// `row | who | instructions | allocations | bytes`
fn parse(line: &str) -> Option<(String, String, Limit)> {
    let mut columns = line.split('|').map(str::trim);
    let (row, who) = (columns.next()?.to_owned(), columns.next()?.to_owned());
    let instructions = columns.next()?.parse().ok()?;
    let (allocations, bytes) = (columns.next()?.parse().ok()?, columns.next()?.parse().ok()?);
    columns.next().is_none().then_some((row, who, Limit { instructions, allocations, bytes }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_has_five_columns() {
        let limit = Limit { instructions: 1.5, allocations: 0, bytes: -3 };
        assert_eq!(parse("a: b | own | 1.5 | 0 | -3"), Some(("a: b".into(), "own".into(), limit)));
        assert_eq!(parse("a: b | own | 1.5 | 0"), None);
        assert_eq!(parse("a: b | own | fast | 0 | 0"), None);
    }

    #[test]
    fn the_file_can_be_read() {
        assert!(!Limits::read().0.is_empty());
    }
}
