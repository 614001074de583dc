//! The tests of `main.rs`, with spans that are created through `tracing`. What only concerns this mode is in `traced` and `layers`.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod measured;
mod seen;
mod support;
mod telemetry;

mod again;
mod batch;
mod call;
mod client;
mod contexts;
mod filter;
mod forwarded;
mod futures;
mod handled;
mod hooks;
mod layers;
mod log;
mod metrics;
mod process;
mod quiet;
mod receive;
mod run;
mod send;
mod settle;
mod traced;
