//! Time, each case in turn with its floor: what `cargo xtask bench` reads.
#![allow(missing_docs, reason = "a benchmark is a program")]

mod cases;

fn main() {
    carrier_measure::Ratios::run(|ratios| {
        cases::all(ratios);
        cases::growth(ratios);
        cases::threads(ratios);
    });
}
