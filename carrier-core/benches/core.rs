//! Time, against a floor and what is used instead.
#![allow(missing_docs, reason = "a benchmark is a program")]

mod cases;

fn main() {
    let mut time = carrier_measure::Time::new();
    cases::all(&mut time);
    cases::growth(&mut time);
    cases::threads(&mut time);
    time.finish();
}
