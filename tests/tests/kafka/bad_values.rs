//! Bad values under our names, through the broker. Behind each comes a good message, on the same consumer.

use carrier_tests::telemetry::{Recorder, TRACEPARENT, TRACESTATE};
use opentelemetry::Context;
use opentelemetry::trace::TraceState;
use rdkafka::message::OwnedHeaders;
use rdkafka::producer::FutureProducer;

use crate::raw;
use crate::support::{
    assert_continues, assert_nothing, baggage_of, carrying, consumer, kafka, publishing, receive, send,
    span_of, topic,
};

/// The broker's default `message.max.bytes`: a mebibyte and twelve bytes of framing.
const MAX_MESSAGE: usize = 1_048_588;

/// Nearly a mebibyte, which leaves room for the rest of the record and its batch.
const LONG: usize = 1_047_552;

const OURS: [&str; 3] = ["traceparent", "tracestate", "baggage"];

/// Sends a message with each of these headers, and returns the contexts that a consumer finds in them.
///
/// A good message goes behind each, and must arrive on the same consumer with its context.
pub(crate) async fn found_in(bad: Vec<OwnedHeaders>) -> Vec<Context> {
    let topic = topic(1).await;
    let mut config = kafka().await.client_config();
    let producer: FutureProducer = config.set("message.max.bytes", MAX_MESSAGE.to_string()).create().unwrap();
    let consumer = consumer(&topic).await;
    let mut found = Vec::new();
    for headers in bad {
        let good = publishing(&Recorder::new());
        send(&producer, &topic, Some(headers)).await;
        send(&producer, &topic, Some(carrying(&good))).await;
        found.push(carrier_kafka::extract(&receive(&consumer).await));
        assert_continues(&carrier_kafka::extract(&receive(&consumer).await), &good);
    }
    found
}

/// The names of ours under which this value alone brings anything into the context.
async fn bringing_a_context(value: Option<&[u8]>) -> Vec<&'static str> {
    let alone = |name: &&str| raw::headers([(name.as_bytes(), value)]);
    let found = found_in(OURS.iter().map(alone).collect()).await;
    let is_empty = |cx: &Context| !span_of(cx).is_valid() && baggage_of(cx).is_empty();
    let named = OURS.into_iter().zip(&found);
    named.filter(|(_, cx)| !is_empty(cx)).map(|(name, _)| name).collect()
}

/// Asserts that the value as tracestate, or as baggage, leaves the traceparent beside it alone.
async fn assert_leaves_the_traceparent_alone(value: Option<&[u8]>) {
    let beside = |name: &&str| {
        raw::headers([(name.as_bytes(), value), (b"traceparent", Some(TRACEPARENT.as_bytes()))])
    };
    for cx in found_in(OURS[1..].iter().map(beside).collect()).await {
        assert_eq!(traceparent(&cx), TRACEPARENT);
        assert_eq!(span_of(&cx).trace_state(), &TraceState::NONE);
        assert_eq!(baggage_of(&cx), []);
    }
}

pub(crate) fn traceparent(cx: &Context) -> String {
    let span = span_of(cx);
    let flags = span.trace_flags().to_u8();
    format!("00-{}-{}-{flags:02x}", span.trace_id(), span.span_id())
}

const NOTHING: [&str; 0] = [];

/// A member of a list, and bytes behind it that are no text.
const NOT_UTF8: &[u8] = b"k=v\xff\xfe\x00";

#[tokio::test]
async fn null_is_no_context() {
    assert_eq!(bringing_a_context(None).await, NOTHING);
}

#[tokio::test]
async fn null_beside_a_traceparent_leaves_it_alone() {
    assert_leaves_the_traceparent_alone(None).await;
}

#[tokio::test]
async fn an_empty_value_is_no_context() {
    assert_eq!(bringing_a_context(Some(b"")).await, NOTHING);
}

#[tokio::test]
async fn an_empty_value_beside_a_traceparent_leaves_it_alone() {
    assert_leaves_the_traceparent_alone(Some(b"")).await;
}

#[tokio::test]
async fn a_value_that_is_not_utf8_is_no_context() {
    assert_eq!(bringing_a_context(Some(NOT_UTF8)).await, NOTHING);
}

#[tokio::test]
async fn a_value_that_is_not_utf8_beside_a_traceparent_leaves_it_alone() {
    assert_leaves_the_traceparent_alone(Some(NOT_UTF8)).await;
}

#[tokio::test]
async fn a_value_of_nearly_a_mebibyte_is_no_context() {
    assert_eq!(bringing_a_context(Some(&vec![b'0'; LONG])).await, NOTHING);
}

#[tokio::test]
async fn a_value_of_nearly_a_mebibyte_beside_a_traceparent_leaves_it_alone() {
    assert_leaves_the_traceparent_alone(Some(&vec![b'0'; LONG])).await;
}

#[tokio::test]
async fn a_valid_traceparent_with_a_mebibyte_behind_it_is_no_context() {
    let mut long = TRACEPARENT.as_bytes().to_vec();
    long.resize(LONG, b'0');
    let found = found_in(vec![raw::headers([(&b"traceparent"[..], Some(&long[..]))])]).await;
    assert_nothing(&found[0]);
}

/// A traceparent, and beside it a list of nearly a mebibyte whose members are all valid.
fn beside_a_long_list(name: &str) -> OwnedHeaders {
    let list: Vec<String> = (0..76_000).map(|n| format!("k{n}=v{n}")).collect();
    let list = list.join(",");
    assert!((LONG - LONG / 10..LONG).contains(&list.len()), "{}", list.len());
    raw::headers([
        (&b"traceparent"[..], Some(TRACEPARENT.as_bytes())),
        (name.as_bytes(), Some(list.as_bytes())),
    ])
}

#[tokio::test]
async fn of_baggage_of_nearly_a_mebibyte_the_first_members_are_whole() {
    let found = found_in(vec![beside_a_long_list("baggage")]).await;
    assert_eq!(traceparent(&found[0]), TRACEPARENT);
    let mut first: Vec<_> = (0..64).map(|n| (format!("k{n}"), format!("v{n}"), String::new())).collect();
    first.sort();
    assert_eq!(baggage_of(&found[0]), first);
}

#[tokio::test]
async fn a_tracestate_of_nearly_a_mebibyte_is_left_out_and_the_traceparent_is_used() {
    let found = found_in(vec![beside_a_long_list("tracestate")]).await;
    assert_eq!(traceparent(&found[0]), TRACEPARENT);
    assert_eq!(span_of(&found[0]).trace_state(), &TraceState::NONE);
}

#[tokio::test]
async fn a_tracestate_without_a_traceparent_is_no_context() {
    let found = found_in(vec![raw::headers([(&b"tracestate"[..], Some(TRACESTATE.as_bytes()))])]).await;
    assert_nothing(&found[0]);
}
