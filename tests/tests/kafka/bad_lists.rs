//! Any number of headers, of any names, through the broker. Behind each comes a good message, on the same consumer.

use carrier_tests::telemetry::{BAGGAGE, Recorder, SPAN_ID, TRACEPARENT, TRACESTATE};
use rdkafka::Message as _;

use crate::bad_values::{found_in, traceparent};
use crate::raw::{self, Header};
use crate::support::{
    assert_continues, assert_nothing, baggage_of, carrying, consumer, kafka, publishing, receive, send,
    span_of, topic,
};

const MANY: usize = 10_000;

const A: &str = "00-aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa-aaaaaaaaaaaaaaaa-01";
const B: &str = "00-bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb-bbbbbbbbbbbbbbbb-01";

fn parent(value: &str) -> Header<'_> {
    (b"traceparent", Some(value.as_bytes()))
}

/// The traceparent that a consumer uses of these headers.
async fn used_of(headers: &[Header<'_>]) -> String {
    let found = found_in(vec![raw::headers(headers.iter().copied())]).await;
    traceparent(&found[0])
}

#[tokio::test]
async fn of_two_traceparents_the_last_is_used_since_forwarders_append() {
    assert_eq!(used_of(&[parent(A), (b"x", None), parent(B)]).await, B);
}

#[tokio::test]
async fn of_two_traceparents_with_a_bad_one_behind_the_last_valid_is_used() {
    assert_eq!(used_of(&[parent(A), parent(B), parent("00-bad")]).await, B);
}

#[tokio::test]
async fn of_two_traceparents_none_gets_the_tracestate() {
    let state = (&b"tracestate"[..], Some(TRACESTATE.as_bytes()));
    let found = found_in(vec![raw::headers([parent(A), state, parent(B)])]).await;
    assert_eq!(traceparent(&found[0]), B);
    assert_eq!(span_of(&found[0]).trace_state().header(), "");
}

#[tokio::test]
async fn identical_traceparents_are_one() {
    let state = (&b"tracestate"[..], Some(TRACESTATE.as_bytes()));
    let found = found_in(vec![raw::headers([parent(A), state, parent(A)])]).await;
    assert_eq!(traceparent(&found[0]), A);
    assert_eq!(span_of(&found[0]).trace_state().header(), TRACESTATE);
}

#[tokio::test]
async fn null_behind_a_good_traceparent_hides_nothing() {
    assert_eq!(used_of(&[parent(A), (b"traceparent", None)]).await, A);
}

#[tokio::test]
async fn null_before_a_good_traceparent_hides_nothing() {
    assert_eq!(used_of(&[(b"traceparent", None), parent(A)]).await, A);
}

#[tokio::test]
async fn ten_thousand_identical_traceparents_are_no_context() {
    let found = found_in(vec![raw::headers(vec![parent(TRACEPARENT); MANY])]).await;
    assert_nothing(&found[0]);
}

#[tokio::test]
async fn ten_thousand_different_traceparents_are_no_context() {
    let values: Vec<String> = (1..=MANY).map(|n| format!("00-{n:032x}-{n:016x}-01")).collect();
    let found = found_in(vec![raw::headers(values.iter().map(|value| parent(value)))]).await;
    assert_nothing(&found[0]);
}

#[tokio::test]
async fn ten_thousand_copies_of_tracestate_and_baggage_leave_the_traceparent_alone() {
    let copies = |name: &'static str, value: &'static str| {
        let copies = vec![(name.as_bytes(), Some(value.as_bytes())); MANY];
        raw::headers(copies.into_iter().chain([parent(TRACEPARENT)]))
    };
    let found = found_in(vec![copies("tracestate", TRACESTATE), copies("baggage", BAGGAGE)]).await;
    assert_eq!(traceparent(&found[0]), TRACEPARENT);
    assert_eq!(traceparent(&found[1]), TRACEPARENT);
    let tenant = ("tenant".to_owned(), "blue".to_owned(), String::new());
    assert_eq!(baggage_of(&found[1]), [tenant]);
}

#[tokio::test]
async fn ten_thousand_other_headers_before_and_behind_do_not_hide_the_context() {
    let names: Vec<String> = (0..MANY).map(|n| format!("other-{n}")).collect();
    let mut headers: Vec<Header<'_>> = names.iter().map(|name| (name.as_bytes(), Some(&b"x"[..]))).collect();
    headers.insert(MANY / 2, parent(TRACEPARENT));
    headers.push((b"baggage", Some(BAGGAGE.as_bytes())));
    let found = found_in(vec![raw::headers(headers)]).await;
    assert_eq!(span_of(&found[0]).span_id(), SPAN_ID);
    assert_eq!(baggage_of(&found[0]).len(), 1);
}

#[tokio::test]
async fn keys_that_are_not_utf8_do_not_hide_the_context() {
    let bad: Header<'_> = (b"\xff\xfe", Some(b"\xff"));
    assert_eq!(used_of(&[bad, parent(A), bad]).await, A);
}

#[tokio::test]
async fn keys_that_are_not_utf8_do_not_hide_the_last_of_two_traceparents() {
    let bad: Header<'_> = (b"\xff\xfe", Some(b"\xff"));
    assert_eq!(used_of(&[bad, parent(A), bad, parent(B), bad]).await, B);
}

#[tokio::test]
async fn a_key_in_another_case_is_the_same_field() {
    let upper: Header<'_> = (b"TRACEPARENT", Some(A.as_bytes()));
    assert_eq!(used_of(&[upper]).await, A);
    let mixed: Header<'_> = (b"Traceparent", Some(B.as_bytes()));
    assert_eq!(used_of(&[upper, mixed]).await, B);
    assert_eq!(used_of(&[mixed, parent(A)]).await, A);
}

#[tokio::test]
async fn a_message_without_headers_has_no_context() {
    let topic = topic(1).await;
    let good = publishing(&Recorder::new());
    let producer = kafka().await.producer();
    send(&producer, &topic, None).await;
    send(&producer, &topic, Some(carrying(&good))).await;
    let consumer = consumer(&topic).await;
    let bare = receive(&consumer).await;
    assert!(bare.headers().is_none());
    assert_nothing(&carrier_kafka::extract(&bare));
    assert_continues(&carrier_kafka::extract(&receive(&consumer).await), &good);
}
