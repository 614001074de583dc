//! Spans and metrics as an SDK exports them, from carriers that are maps and lists: no broker, no network.
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
mod metrics;
mod process;
mod quiet;
mod receive;
mod run;
mod send;
mod settle;
