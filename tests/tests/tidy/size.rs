//! The repository stays small.

use crate::LIBRARIES;
use crate::source::Crate;

const MACHINERY: [&str; 6] = [
    "xtask",
    "tests/measure",
    "tests/load",
    "carrier-core/benches",
    "carrier-amqp/benches",
    "carrier-kafka/benches",
];

/// Checks a sum, and prints it with what it consists of.
fn assert_at_most(limit: usize, lines: &[(&str, usize)]) {
    let sum: usize = lines.iter().map(|(_, lines)| lines).sum();
    println!("{sum} lines: {lines:?}");
    assert!(sum <= limit, "{sum} lines are more than {limit}: {lines:?}");
}

/// Tests, comments and empty lines do not count.
#[test]
fn the_libraries_have_at_most_10_500_lines_of_code() {
    assert_at_most(10_500, &LIBRARIES.map(|library| (library, Crate::read(library).lines)));
}

/// Every line of Rust counts.
#[test]
fn the_machinery_has_at_most_5_000_lines() {
    let lines = MACHINERY.map(|folder| {
        let files = crate::files(folder).into_iter().filter(|file| file.ends_with(".rs"));
        (folder, files.map(|file| crate::read(&file).lines().count()).sum())
    });
    assert_at_most(5_000, &lines);
}
