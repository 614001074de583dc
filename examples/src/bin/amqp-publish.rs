//! Publishes a message to RabbitMQ with its trace in the headers; `amqp-consume` in another terminal goes on with it.
//!
//! `AMQP_URL=amqp://127.0.0.1:5672/%2f amqp-publish [text]`
#![allow(clippy::print_stdout, reason = "a terminal shows the trace id")]

use std::env;
use std::process::ExitCode;

use lapin::options::{BasicPublishOptions, ConfirmSelectOptions, QueueDeclareOptions};
use lapin::types::FieldTable;
use lapin::{BasicProperties, Channel};
use opentelemetry::Context;
use opentelemetry::trace::TraceContextExt as _;
use tracing::instrument;

const QUEUE: &str = "carrier-example";

#[tokio::main]
async fn main() -> ExitCode {
    carrier_examples::exit_code(run().await)
}

async fn run() -> anyhow::Result<()> {
    // The set-up line.
    carrier_core::Propagation::w3c().install()?;
    let provider = carrier_examples::trace_as("amqp-publish")?;

    let url = env::var("AMQP_URL").unwrap_or_else(|_| "amqp://127.0.0.1:5672/%2f".to_owned());
    let connection = carrier_examples::connect(&url).await?;
    let channel = connection.create_channel().await?;
    let durable = QueueDeclareOptions { durable: true, ..QueueDeclareOptions::default() };
    channel.queue_declare(QUEUE.into(), durable, FieldTable::default()).await?;
    channel.confirm_select(ConfirmSelectOptions::default()).await?;

    let text = env::args().nth(1).unwrap_or_else(|| "hello".to_owned());
    publish(&channel, &text).await?;

    connection.close(200, "done".into()).await?;
    provider.shutdown()?;
    Ok(())
}

#[instrument(skip_all, fields(otel.kind = "producer"))]
async fn publish(channel: &Channel, text: &str) -> anyhow::Result<()> {
    // Inside an instrumented function it is the function's span.
    let cx = Context::current();
    let mut properties = BasicProperties::default();
    carrier_amqp::inject(&cx, &mut properties);

    let options = BasicPublishOptions::default();
    let confirm =
        channel.basic_publish("".into(), QUEUE.into(), options, text.as_bytes(), properties).await?;
    confirm.await?;
    println!("published {text:?} in trace {}", cx.span().span_context().trace_id());
    Ok(())
}
