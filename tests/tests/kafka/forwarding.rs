//! A received message is produced again: to the next topic, from an outbox, from a dead-letter topic.

use carrier_tests::telemetry::Recorder;
use opentelemetry::Context;
use opentelemetry::trace::{TraceContextExt as _, Tracer as _};
use rdkafka::Message as _;
use rdkafka::message::OwnedMessage;
use rdkafka::producer::FutureRecord;

use crate::raw;
use crate::support::{
    LIMIT, assert_continues, consumer, kafka, new_trace, publishing, receive, send, span_of, topic,
};
use crate::user_headers::USER;

/// Sends `first` with user headers, receives the message, sends it on with `second`, and receives that.
async fn forwarded(first: &Context, second: impl FnOnce(Context) -> Context) -> OwnedMessage {
    let (from, to) = (topic(1).await, topic(1).await);
    let producer = kafka().await.producer();
    let mut headers = raw::headers(USER);
    carrier_kafka::inject(first, &mut headers);
    send(&producer, &from, Some(headers)).await;

    let received = consumer(&from).await;
    let message = receive(&received).await;
    let headers = message.headers().unwrap().detach();
    let mut record = FutureRecord::to(&to)
        .key(message.key().unwrap())
        .payload(message.payload().unwrap())
        .headers(headers);
    carrier_kafka::inject(&second(carrier_kafka::extract(&message)), &mut record);
    producer.send(record, LIMIT).await.unwrap();

    let consumer = consumer(&to).await;
    receive(&consumer).await.detach()
}

fn headers(message: &OwnedMessage) -> Vec<raw::Header<'_>> {
    raw::list(message.headers().map(rdkafka::message::OwnedHeaders::as_borrowed))
}

#[tokio::test]
async fn a_forwarded_message_has_the_new_context_once_and_nothing_of_the_old() {
    let recorder = Recorder::new();
    let second = new_trace(&recorder);
    let message = forwarded(&publishing(&recorder), |_| second.clone()).await;

    let span = span_of(&second);
    let parent = format!("00-{}-{}-01", span.trace_id(), span.span_id());
    let ours = headers(&message).split_off(USER.len());
    assert_eq!(ours, [(&b"traceparent"[..], Some(parent.as_bytes()))]);
}

#[tokio::test]
async fn a_forwarded_message_keeps_its_user_headers_in_order() {
    let recorder = Recorder::new();
    let second = new_trace(&recorder);
    let message = forwarded(&publishing(&recorder), |_| second).await;
    assert_eq!(headers(&message)[..USER.len()], USER);
}

#[tokio::test]
async fn a_message_forwarded_by_its_handler_stays_in_the_trace() {
    let sender = Recorder::new();
    let handler = Recorder::new();
    let first = publishing(&sender);
    let mut second = Context::new();
    let message = forwarded(&first, |received| {
        let span = handler.tracer().start_with_context("handle", &received);
        second = received.with_span(span);
        second.clone()
    })
    .await;
    assert_eq!(span_of(&second).trace_id(), span_of(&first).trace_id());
    assert_ne!(span_of(&second).span_id(), span_of(&first).span_id());
    // Tracestate and baggage with it.
    assert_continues(&carrier_kafka::extract(&message), &second);
}

#[tokio::test]
async fn a_message_forwarded_without_a_context_has_only_its_user_headers() {
    let message = forwarded(&publishing(&Recorder::new()), |_| Context::new()).await;
    assert_eq!(headers(&message), USER);
}
