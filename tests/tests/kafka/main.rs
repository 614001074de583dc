//! Kafka: what is injected before a broker is extracted behind it, whatever else is in the message.
#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used, reason = "a test fails by panicking")]

mod bad_lists;
mod bad_values;
mod broker;
mod choices;
mod codecs;
mod consumers;
mod forwarding;
mod groups;
mod instrumentation;
/// The same tests with spans through `tracing`: `support` looks at the name of the module.
#[path = "instrumentation/mod.rs"]
#[allow(clippy::duplicate_mod, reason = "each test runs in both modes")]
mod instrumentation_through_tracing;
mod instrumented;
mod no_context;
mod producers;
mod raw;
mod support;
mod transactions;
mod user_headers;
