//! Takes records from Kafka and goes on with the trace that each one brought, until Ctrl-C.
//!
//! `KAFKA_BROKERS=127.0.0.1:9092 kafka-consume [number of messages]`
#![allow(clippy::print_stdout, reason = "a terminal shows the trace id")]

use std::env;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::anyhow;
use opentelemetry::Context;
use opentelemetry::context::FutureExt as _;
use opentelemetry::trace::TraceContextExt as _;
use rdkafka::consumer::{CommitMode, Consumer as _, StreamConsumer};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::BorrowedMessage;
use rdkafka::{ClientConfig, Message as _};
use tokio::signal;
use tracing::instrument;

const TOPIC: &str = "carrier-example";

#[tokio::main]
async fn main() -> ExitCode {
    carrier_examples::exit_code(run().await)
}

async fn run() -> anyhow::Result<()> {
    // The set-up line.
    carrier_core::Propagation::w3c().install()?;
    let provider = carrier_examples::trace_as("kafka-consume")?;
    let number = env::args().nth(1).map(|number| number.parse()).transpose();
    let mut left: u64 =
        number.map_err(|error| anyhow!("the number of messages: {error}"))?.unwrap_or(u64::MAX);

    let brokers = env::var("KAFKA_BROKERS").unwrap_or_else(|_| "127.0.0.1:9092".to_owned());
    let consumer: StreamConsumer = ClientConfig::new()
        .set("bootstrap.servers", &brokers)
        .set("group.id", TOPIC)
        .set("auto.offset.reset", "earliest")
        .set("enable.auto.commit", "false")
        .set("allow.auto.create.topics", "true")
        .create()
        .map_err(|error| anyhow!("KAFKA_BROKERS={brokers} cannot be used: {error}"))?;
    // A consumer waits for a broker for ever and says nothing: ask once, before anything is consumed.
    consumer
        .fetch_metadata(Some(TOPIC), Duration::from_secs(5))
        .map_err(|error| anyhow!("no Kafka at KAFKA_BROKERS={brokers}: {error}"))?;
    consumer.subscribe(&[TOPIC])?;

    println!("waiting for messages; Ctrl-C ends it");
    while left > 0 {
        let received = tokio::select! {
            received = consumer.recv() => received,
            _ = signal::ctrl_c() => break,
        };
        let message = match received {
            // Said once where the topic is so new that its broker does not know it yet.
            Err(KafkaError::MessageConsumption(RDKafkaErrorCode::UnknownTopicOrPartition)) => continue,
            other => other?,
        };
        let cx = carrier_kafka::extract(&message);
        handle(&message).with_context(cx).await;
        consumer.commit_message(&message, CommitMode::Async)?;
        left -= 1;
    }

    provider.shutdown()?;
    Ok(())
}

/// Its span is a child of the producer's: the context is set while the function runs, where its span begins.
#[instrument(skip_all, fields(otel.kind = "consumer"))]
async fn handle(message: &BorrowedMessage<'_>) {
    let text = String::from_utf8_lossy(message.payload().unwrap_or_default());
    let trace = Context::current().span().span_context().trace_id();
    println!("received {text:?} in trace {trace}");
}
