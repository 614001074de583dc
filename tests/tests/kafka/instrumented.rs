//! With `tracing`: `#[instrument]` on both sides, and nothing else.

use carrier_tests::telemetry::Recorder;
use opentelemetry::Context;
use opentelemetry::context::FutureExt as _;
use opentelemetry::trace::SpanId;
use opentelemetry_sdk::trace::SpanData;
use rdkafka::Message as _;
use rdkafka::consumer::StreamConsumer;
use rdkafka::message::BorrowedMessage;
use rdkafka::producer::{FutureProducer, FutureRecord};
use tracing::instrument;
use tracing::subscriber::set_default;

use crate::support::{LIMIT, consumer, kafka, receive, send, span_of, topic};

#[instrument(skip_all)]
async fn publish(producer: &FutureProducer, topic: &str) {
    let mut record = FutureRecord::to(topic).key("key").payload("payload");
    carrier_kafka::inject(&Context::current(), &mut record);
    producer.send(record, LIMIT).await.unwrap();
}

#[instrument(skip_all)]
async fn handle(message: &BorrowedMessage<'_>) {
    tokio::task::yield_now().await;
    validate(message).await;
}

#[instrument(skip_all)]
async fn validate(message: &BorrowedMessage<'_>) {
    assert_eq!(message.payload(), Some(&b"payload"[..]));
}

#[instrument(skip_all)]
async fn consume(consumer: &StreamConsumer, messages: usize) {
    for _ in 0..messages {
        let message = receive(consumer).await;
        let cx = carrier_kafka::extract(&message);
        handle(&message).with_context(cx).await;
    }
}

/// A topic with so many messages of the instrumented publisher, and its spans.
async fn published(messages: usize) -> (StreamConsumer, Vec<SpanData>) {
    let topic = topic(1).await;
    let producer = kafka().await.producer();
    let sender = Recorder::new();
    let active = set_default(sender.subscriber());
    for _ in 0..messages {
        publish(&producer, &topic).await;
    }
    drop(active);
    (consumer(&topic).await, sender.spans())
}

fn named<'a>(spans: &'a [SpanData], name: &str) -> Vec<&'a SpanData> {
    spans.iter().filter(|span| span.name == name).collect()
}

#[track_caller]
fn assert_child(child: &SpanData, parent: &SpanData) {
    assert_eq!(child.span_context.trace_id(), parent.span_context.trace_id());
    assert_eq!(child.parent_span_id, parent.span_context.span_id());
}

#[tokio::test]
async fn an_instrumented_publish_starts_the_trace_that_the_message_carries() {
    let (consumer, sent) = published(1).await;
    let message = receive(&consumer).await;
    let found = span_of(&carrier_kafka::extract(&message));
    assert_eq!(sent.len(), 1);
    assert_eq!(sent[0].parent_span_id, SpanId::INVALID);
    assert_eq!(found.trace_id(), sent[0].span_context.trace_id());
    assert_eq!(found.span_id(), sent[0].span_context.span_id());
}

#[tokio::test]
async fn an_instrumented_handler_continues_the_sender_s_trace() {
    let (consumer, sent) = published(1).await;
    let receiver = Recorder::new();
    let _active = set_default(receiver.subscriber());
    let message = receive(&consumer).await;

    handle(&message).with_context(carrier_kafka::extract(&message)).await;

    assert_child(&receiver.span("handle"), &sent[0]);
    assert!(receiver.span("handle").parent_span_is_remote);
}

#[tokio::test]
async fn a_span_inside_the_handler_is_the_handler_s_child() {
    let (consumer, _) = published(1).await;
    let receiver = Recorder::new();
    let _active = set_default(receiver.subscriber());
    let message = receive(&consumer).await;

    handle(&message).with_context(carrier_kafka::extract(&message)).await;

    assert_child(&receiver.span("validate"), &receiver.span("handle"));
}

#[tokio::test]
async fn an_instrumented_handler_in_an_instrumented_loop_continues_the_sender_s_trace() {
    let (consumer, sent) = published(3).await;
    let receiver = Recorder::new();
    let _active = set_default(receiver.subscriber());

    consume(&consumer, 3).await;

    let spans = receiver.spans();
    let handled = named(&spans, "handle");
    assert_eq!((sent.len(), handled.len()), (3, 3));
    for (handled, sent) in handled.into_iter().zip(&sent) {
        assert_child(handled, sent);
    }
}

#[tokio::test]
async fn the_loop_s_own_span_stays_in_its_own_trace() {
    let (consumer, sent) = published(1).await;
    let receiver = Recorder::new();
    let _active = set_default(receiver.subscriber());

    consume(&consumer, 1).await;

    let looping = receiver.span("consume");
    assert_eq!(looping.parent_span_id, SpanId::INVALID);
    assert_ne!(looping.span_context.trace_id(), sent[0].span_context.trace_id());
}

#[tokio::test]
async fn a_message_without_a_context_in_an_instrumented_loop_starts_a_trace() {
    let topic = topic(1).await;
    send(&kafka().await.producer(), &topic, None).await;
    let consumer = consumer(&topic).await;
    let receiver = Recorder::new();
    let _active = set_default(receiver.subscriber());

    consume(&consumer, 1).await;

    let (handled, looping) = (receiver.span("handle"), receiver.span("consume"));
    assert_eq!(handled.parent_span_id, SpanId::INVALID);
    assert_ne!(handled.span_context.trace_id(), looping.span_context.trace_id());
}
