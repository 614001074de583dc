//! Spans and metrics of level 2, as a real Kafka makes them: whole spans are compared.

mod again;
mod batch;
mod call;
mod confirm;
mod existing;
mod handlers;
mod metrics;
mod process;
mod producer;
mod rebalance;
mod relation;
mod settle;
mod statistics;
mod support;
mod suppressed;
mod tracing;
mod transactions;
mod undelivered;
