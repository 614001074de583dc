//! What the fuzzer calls: each target takes any bytes and panics if a library breaks a promise.

#[path = "../../../carrier-core/tests/paths/compare.rs"]
mod compare;
mod input;
mod message;
mod paths;
#[path = "../../tests/kafka/raw.rs"]
mod raw;
mod read;
mod round_trip;
mod stored;
mod wire;
mod write;

/// A target: its name, which is its folder in the corpus, and its function.
pub type Target = (&'static str, fn(&[u8]));

pub const TARGETS: [Target; 6] = [
    ("paths", paths::run),
    ("read", read::run),
    ("round-trip", round_trip::run),
    ("stored", stored::run),
    ("wire", wire::run),
    ("write", write::run),
];

/// Returns the function of a target.
pub fn target(name: &str) -> Option<fn(&[u8])> {
    compare::install();
    TARGETS.iter().find(|(known, _)| *known == name).map(|(_, run)| *run)
}
