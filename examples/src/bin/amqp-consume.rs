//! Takes messages from RabbitMQ and goes on with the trace that each one brought, until Ctrl-C.
//!
//! `AMQP_URL=amqp://127.0.0.1:5672/%2f amqp-consume [number of messages]`
#![allow(clippy::print_stdout, reason = "a terminal shows the trace id")]

use std::env;
use std::process::ExitCode;

use anyhow::{Context as _, anyhow};
use futures::StreamExt as _;
use lapin::message::Delivery;
use lapin::options::{BasicAckOptions, BasicConsumeOptions, QueueDeclareOptions};
use lapin::types::FieldTable;
use opentelemetry::Context;
use opentelemetry::context::FutureExt as _;
use opentelemetry::trace::TraceContextExt as _;
use tokio::signal;
use tracing::instrument;

const QUEUE: &str = "carrier-example";

#[tokio::main]
async fn main() -> ExitCode {
    carrier_examples::exit_code(run().await)
}

async fn run() -> anyhow::Result<()> {
    // The set-up line.
    carrier_core::Propagation::w3c().install()?;
    let provider = carrier_examples::trace_as("amqp-consume")?;
    let number = env::args().nth(1).map(|number| number.parse()).transpose();
    let mut left: u64 =
        number.map_err(|error| anyhow!("the number of messages: {error}"))?.unwrap_or(u64::MAX);

    let url = env::var("AMQP_URL").unwrap_or_else(|_| "amqp://127.0.0.1:5672/%2f".to_owned());
    let connection = carrier_examples::connect(&url).await?;
    let channel = connection.create_channel().await?;
    let durable = QueueDeclareOptions { durable: true, ..QueueDeclareOptions::default() };
    channel.queue_declare(QUEUE.into(), durable, FieldTable::default()).await?;
    let options = BasicConsumeOptions::default();
    let mut consumer = channel.basic_consume(QUEUE.into(), "".into(), options, FieldTable::default()).await?;

    println!("waiting for messages; Ctrl-C ends it");
    while left > 0 {
        let delivery = tokio::select! {
            delivery = consumer.next() => delivery.context("RabbitMQ ended the consumer")??,
            _ = signal::ctrl_c() => break,
        };
        let cx = carrier_amqp::extract(&delivery);
        handle(&delivery).with_context(cx).await;
        delivery.ack(BasicAckOptions::default()).await?;
        left -= 1;
    }

    connection.close(200, "done".into()).await?;
    provider.shutdown()?;
    Ok(())
}

/// Its span is a child of the publisher's: the context is set while the function runs, where its span begins.
#[instrument(skip_all, fields(otel.kind = "consumer"))]
async fn handle(delivery: &Delivery) {
    let text = String::from_utf8_lossy(&delivery.data);
    let trace = Context::current().span().span_context().trace_id();
    println!("received {text:?} in trace {trace}");
}
