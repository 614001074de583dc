//! Context through RabbitMQ: every test publishes to a real broker and looks at what comes out of it.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod absence;
mod budget;
mod connecting;
mod foreign;
mod hostile;
mod instrumentation;
mod instrumented;
mod load;
mod nesting;
mod pitfalls;
mod redelivery;
mod republishing;
mod restart;
mod round_trip;
mod routing;
mod sizes;
mod support;
mod values;
mod wire;
