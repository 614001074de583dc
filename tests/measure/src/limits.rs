//! How much the deterministic meters may find.

/// The one file of limits.
const FILE: &str = include_str!("../limits.txt");

/// What a meter found.
#[derive(Debug)]
pub(crate) struct Found<T> {
    pub(crate) row: String,
    pub(crate) who: String,
    pub(crate) amount: T,
}

/// How much more than the floor one case may take.
#[derive(Debug)]
pub(crate) struct Limit {
    pub(crate) row: &'static str,
    pub(crate) who: &'static str,
    /// Times the floor's instructions.
    pub(crate) instructions: f64,
    /// In addition to the floor's allocations and bytes.
    pub(crate) allocations: (isize, isize),
}

/// Reads the file.
#[allow(clippy::panic, reason = "only tests and benchmarks read it, and its editor must see a mistake")]
pub(crate) fn limits() -> Vec<Limit> {
    let lines = FILE.lines().filter(|line| !line.trim().is_empty() && !line.starts_with('#'));
    lines.map(|line| parse(line).unwrap_or_else(|| panic!("limits.txt: {line}"))).collect()
}

/// Returns the limit of a case; `None` for what is there for comparison only.
pub(crate) fn of<'a, T>(limits: &'a [Limit], found: &Found<T>) -> Option<&'a Limit> {
    limits.iter().find(|limit| limit.row == found.row && limit.who == found.who)
}

/// `row | who | instructions | allocations | bytes`
fn parse(line: &'static str) -> Option<Limit> {
    let columns: Vec<&str> = line.split('|').map(str::trim).collect();
    let [row, who, instructions, allocations, bytes] = columns[..] else { return None };
    let allocations = (allocations.parse().ok()?, bytes.parse().ok()?);
    Some(Limit { row, who, instructions: instructions.parse().ok()?, allocations })
}
