//! What carrier-kafka's instrumentation emits, compared span by span, with a real broker behind it.
#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used, reason = "a test fails by panicking")]

mod batches;
mod cancelled;
mod commits;
mod consuming;
mod existing;
mod failing;
mod handlers;
mod metrics;
mod producing;
#[path = "../kafka/raw.rs"]
mod raw;
mod rebalance;
mod relations;
mod support;
mod switches;
mod tracing_spans;
