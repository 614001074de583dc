//! Time, each case in turn with its floors: what `cargo xtask bench` reads.
#![allow(missing_docs, reason = "a benchmark is a program")]

mod cases;

fn main() {
    carrier_measure::Ratios::run(cases::all);
}
