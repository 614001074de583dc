//! A message without a context starts a trace of its own: it takes none from its surroundings.

use carrier_tests::telemetry::Recorder;
use opentelemetry::Context;
use opentelemetry::context::FutureExt as _;
use opentelemetry::trace::{Span as _, SpanId, TraceContextExt as _, Tracer as _};
use rdkafka::consumer::StreamConsumer;

use crate::support::{
    assert_continues, assert_nothing, carrying, consumer, kafka, publishing, receive, send, span_of, topic,
};

/// A topic whose first message carries a context and whose second has no headers.
async fn one_with_and_one_without() -> (StreamConsumer, Context) {
    let topic = topic(1).await;
    let sent = publishing(&Recorder::new());
    let producer = kafka().await.producer();
    send(&producer, &topic, Some(carrying(&sent))).await;
    send(&producer, &topic, None).await;
    (consumer(&topic).await, sent)
}

/// Asserts that a span started from what the message brought is a root in another trace than `other`.
#[track_caller]
fn assert_starts_a_trace(found: &Context, other: &Context) {
    assert_nothing(found);
    let recorder = Recorder::new();
    recorder.tracer().start_with_context("handle", found).end();
    let handled = recorder.span("handle");
    assert_eq!(handled.parent_span_id, SpanId::INVALID);
    assert_ne!(handled.span_context.trace_id(), span_of(other).trace_id());
}

#[tokio::test]
async fn a_message_without_a_context_after_one_with_it_starts_a_trace() {
    let (consumer, sent) = one_with_and_one_without().await;
    let first = receive(&consumer).await;
    assert_continues(&carrier_kafka::extract(&first), &sent);
    let second = receive(&consumer).await;
    assert_starts_a_trace(&carrier_kafka::extract(&second), &sent);
}

#[tokio::test]
async fn a_message_without_a_context_received_inside_the_handler_of_another_starts_a_trace() {
    let (consumer, sent) = one_with_and_one_without().await;
    let first = receive(&consumer).await;
    let handler = async {
        let second = receive(&consumer).await;
        assert_continues(&Context::current(), &sent);
        carrier_kafka::extract(&second)
    };
    let found = handler.with_context(carrier_kafka::extract(&first)).await;
    assert_starts_a_trace(&found, &sent);
}

#[tokio::test]
async fn a_message_without_a_context_takes_nothing_of_an_ambient_span() {
    let (consumer, _) = one_with_and_one_without().await;
    let _first = receive(&consumer).await;
    let second = receive(&consumer).await;

    let recorder = Recorder::new();
    let ambient = publishing(&recorder);
    let _active = ambient.clone().attach();
    assert!(Context::current().has_active_span());

    assert_starts_a_trace(&carrier_kafka::extract(&second), &ambient);
}

#[tokio::test]
async fn a_message_with_a_context_keeps_it_inside_an_ambient_span() {
    let (consumer, sent) = one_with_and_one_without().await;
    let first = receive(&consumer).await;

    let recorder = Recorder::new();
    let span = recorder.tracer().start_with_context("ambient", &Context::new());
    let _active = Context::new().with_span(span).attach();

    assert_continues(&carrier_kafka::extract(&first), &sent);
}

#[tokio::test]
async fn publishing_without_a_context_adds_no_headers() {
    use rdkafka::Message as _;
    let topic = topic(1).await;
    let mut record = rdkafka::producer::FutureRecord::to(&topic).key("key").payload("payload");
    carrier_kafka::inject(&Context::new(), &mut record);
    let producer = kafka().await.producer();
    producer.send(record, crate::support::LIMIT).await.unwrap();

    let consumer = consumer(&topic).await;
    let message = receive(&consumer).await;

    assert!(message.headers().is_none());
}
