//! Writes the tables of BENCHMARKS.md from what the measuring programs printed: `cargo xtask bench` runs it.
//!
//! Usage: carrier-measure [--quick] <log>…; with `--quick` it only prints the tables.
#![allow(clippy::print_stdout, reason = "its output is its purpose")]
#![cfg_attr(test, allow(clippy::panic))]

mod report;

use std::fs;

use carrier_measure::tables;

fn main() -> Result<(), String> {
    let (options, logs): (Vec<String>, Vec<String>) =
        std::env::args().skip(1).partition(|word| word == "--quick");
    let mut report = report::Report::default();
    for log in logs {
        report.read(&fs::read_to_string(&log).map_err(|error| format!("{log}: {error}"))?);
    }
    let parts = report.parts();
    if !options.is_empty() {
        parts.iter().for_each(|(name, text)| println!("{name}\n\n{text}"));
        return Ok(());
    }
    tables::write(&parts)?;
    println!(
        "BENCHMARKS.md has the new tables; its text is written by hand, so look whether it is still true."
    );
    Ok(())
}
