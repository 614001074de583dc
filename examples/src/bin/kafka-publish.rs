//! Produces a record to Kafka with its trace in the headers; `kafka-consume` in another terminal goes on with it.
//!
//! `KAFKA_BROKERS=127.0.0.1:9092 kafka-publish [text]`
#![allow(clippy::print_stdout, reason = "a terminal shows the trace id")]

use std::env;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::anyhow;
use opentelemetry::Context;
use opentelemetry::trace::TraceContextExt as _;
use rdkafka::ClientConfig;
use rdkafka::producer::{FutureProducer, FutureRecord};
use tracing::instrument;

const TOPIC: &str = "carrier-example";

#[tokio::main]
async fn main() -> ExitCode {
    carrier_examples::exit_code(run().await)
}

async fn run() -> anyhow::Result<()> {
    // The set-up line.
    carrier_core::Propagation::w3c().install()?;
    let provider = carrier_examples::trace_as("kafka-publish")?;

    let brokers = env::var("KAFKA_BROKERS").unwrap_or_else(|_| "127.0.0.1:9092".to_owned());
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", &brokers).set("message.timeout.ms", "8000");
    let producer: FutureProducer =
        config.create().map_err(|error| anyhow!("KAFKA_BROKERS={brokers} cannot be used: {error}"))?;

    let text = env::args().nth(1).unwrap_or_else(|| "hello".to_owned());
    publish(&producer, &text)
        .await
        .map_err(|error| anyhow!("Kafka at KAFKA_BROKERS={brokers} took no message: {error}"))?;

    provider.shutdown()?;
    Ok(())
}

#[instrument(skip_all, fields(otel.kind = "producer"))]
async fn publish(producer: &FutureProducer, text: &str) -> anyhow::Result<()> {
    // Inside an instrumented function it is the function's span.
    let cx = Context::current();
    let mut record = FutureRecord::<str, str>::to(TOPIC).payload(text);
    carrier_kafka::inject(&cx, &mut record);

    let sent = producer.send(record, Duration::from_secs(1)).await;
    sent.map_err(|(error, _)| error)?;
    println!("published {text:?} in trace {}", cx.span().span_context().trace_id());
    Ok(())
}
