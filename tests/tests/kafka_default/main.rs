//! Kafka without the README's set-up line: trace context travels, and baggage is left alone.
#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used, reason = "a test fails by panicking")]

use std::time::Duration;

use carrier_tests::telemetry::{SPAN_ID, TRACE_ID, TRACESTATE, sampled_context};
use carrier_tests::{kafka, unique_name};
use opentelemetry::baggage::BaggageExt as _;
use opentelemetry::trace::TraceContextExt as _;
use rdkafka::Message as _;
use rdkafka::message::{Header, Headers as _, OwnedHeaders, OwnedMessage};
use rdkafka::producer::FutureRecord;

const LIMIT: Duration = Duration::from_secs(30);

/// Produces a message with the headers and `sampled_context`, which has baggage, and receives it.
async fn carried(headers: OwnedHeaders) -> OwnedMessage {
    let variable = std::env::var_os("OTEL_PROPAGATORS");
    assert_eq!(variable, None, "OTEL_PROPAGATORS decides then; this is about neither");
    let kafka = kafka().await;
    let topic = unique_name("default");
    kafka.create_topic(&topic, 1).await;
    let mut record = FutureRecord::to(&topic).key("key").payload("payload").headers(headers);
    carrier_kafka::inject(&sampled_context(), &mut record);
    kafka.producer().send(record, LIMIT).await.unwrap();
    let consumer = kafka.consumer(&topic).await;
    let message = tokio::time::timeout(LIMIT, consumer.recv()).await;
    message.expect("no message").unwrap().detach()
}

fn user_baggage() -> OwnedHeaders {
    OwnedHeaders::new().insert(Header { key: "baggage", value: Some("user=own") })
}

fn baggage(message: &OwnedMessage) -> Vec<&[u8]> {
    let headers = message.headers().into_iter().flat_map(|headers| headers.iter());
    let baggage = headers.filter(|header| header.key == "baggage");
    baggage.map(|header| header.value.unwrap()).collect()
}

#[tokio::test]
async fn the_trace_is_continued() {
    let found = carrier_kafka::extract(&carried(OwnedHeaders::new()).await);
    let span = found.span().span_context().clone();
    assert_eq!((span.trace_id(), span.span_id()), (TRACE_ID, SPAN_ID));
    assert_eq!(span.trace_state().header(), TRACESTATE);
    assert!(span.is_sampled() && span.is_remote());
}

#[tokio::test]
async fn no_baggage_is_sent() {
    assert!(!sampled_context().baggage().is_empty());
    let message = carried(OwnedHeaders::new()).await;
    assert_eq!(baggage(&message), [] as [&[u8]; 0]);
}

#[tokio::test]
async fn a_baggage_header_of_the_user_is_not_touched() {
    let message = carried(user_baggage()).await;
    assert_eq!(baggage(&message), [b"user=own"]);
}

#[tokio::test]
async fn received_baggage_is_not_taken_over() {
    let found = carrier_kafka::extract(&carried(user_baggage()).await);
    assert!(found.baggage().is_empty());
}
