//! One trace across HTTP, Kafka and RabbitMQ.
#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used, reason = "a test fails by panicking")]

mod journey;
mod one_trace;
mod service;
