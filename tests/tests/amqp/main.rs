//! Context through RabbitMQ: every test publishes to a real broker and looks at what comes out of it.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod bad_values;
mod broker;
mod budget;
mod foreign;
mod forwarding;
mod instrumentation;
/// The same tests with spans through `tracing`: `support` looks at the name of the module.
#[path = "instrumentation/mod.rs"]
#[allow(clippy::duplicate_mod, reason = "each test runs in both modes")]
mod instrumentation_through_tracing;
mod instrumented;
mod io_loop;
mod load;
mod nesting;
mod no_context;
mod pitfalls;
mod raw;
mod redelivery;
mod restart;
mod round_trip;
mod routing;
mod sizes;
mod support;
mod user_headers;
