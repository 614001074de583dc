//! A program before and after: both are compiled, and the diff between them is what the page on instrumentation shows.
#![cfg(feature = "instrumentation")]
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
#![allow(dead_code, missing_docs, unreachable_pub, unused_variables)] // The two are shown, not run.

#[path = "readme/after.rs"]
mod after;
#[path = "readme/before.rs"]
mod before;

const PAGE: &str = include_str!("../INSTRUMENTATION.md");

/// One side of the page's diff: its lines that are not the other side's.
fn side(of: char) -> String {
    let start = PAGE.find("```diff\n").unwrap() + "```diff\n".len();
    let length = PAGE[start..].find("```").unwrap();
    let is_ours = |line: &&str| line.is_empty() || line.starts_with([of, ' ']);
    let lines = PAGE[start..start + length].lines().filter(is_ours);
    lines.map(|line| format!("{}\n", line.get(1..).unwrap_or_default())).collect()
}

#[test]
fn the_diff_is_between_two_programs_that_compile() {
    assert_eq!(side('-'), include_str!("readme/before.rs"));
    assert_eq!(side('+'), include_str!("readme/after.rs"));
}
