//! Spans and metrics of level 2, as a real RabbitMQ makes them: whole spans are compared.

mod again;
mod batch;
mod broker_stops;
mod call;
mod confirm;
mod existing;
mod frame;
mod handlers;
mod metrics;
mod process;
mod producer;
mod receive;
mod redelivery;
mod relation;
mod settle;
mod support;
mod suppressed;
mod tracing;
mod undelivered;
