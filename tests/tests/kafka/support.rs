//! A topic, a message there and back, and what it means that a message continues a trace.

use std::time::Duration;

use carrier_tests::telemetry::{Recorder, sampled_context};
use carrier_tests::{Kafka, unique_name};
use futures::future::join_all;
use opentelemetry::Context;
use opentelemetry::baggage::{BaggageExt as _, KeyValueMetadata};
use opentelemetry::trace::{Span as _, SpanContext, TraceContextExt as _, Tracer as _};
use rdkafka::consumer::{Consumer as _, StreamConsumer};
use rdkafka::message::{BorrowedMessage, OwnedHeaders};
use rdkafka::producer::{FutureProducer, FutureRecord};

pub(crate) use carrier_tests::{LIMIT, within};

/// The broker, with the README's set-up line behind it.
pub(crate) async fn kafka() -> &'static Kafka {
    static ONCE: std::sync::Once = std::sync::Once::new();
    ONCE.call_once(|| opentelemetry::global::set_text_map_propagator(carrier_core::w3c()));
    carrier_tests::kafka().await
}

/// A topic of the test's own.
pub(crate) async fn topic(partitions: i32) -> String {
    let name = unique_name("topic");
    kafka().await.create_topic(&name, partitions).await;
    name
}

pub(crate) async fn receive(consumer: &StreamConsumer) -> BorrowedMessage<'_> {
    within("a message", consumer.recv()).await.unwrap()
}

/// Produces a message with these headers and waits until the broker has it.
pub(crate) async fn send(producer: &FutureProducer, topic: &str, headers: Option<OwnedHeaders>) {
    let mut record = FutureRecord::to(topic).key("key").payload("payload");
    record.headers = headers;
    producer.send(record, LIMIT).await.unwrap();
}

/// Headers that carry `cx` and nothing else.
pub(crate) fn carrying(cx: &Context) -> OwnedHeaders {
    let mut headers = OwnedHeaders::new();
    carrier_kafka::inject(cx, &mut headers);
    headers
}

/// A consumer in a new group that begins with the topic's first message.
pub(crate) async fn consumer(topic: &str) -> StreamConsumer {
    kafka().await.consumer(topic).await
}

pub(crate) fn consumer_config(kafka: &Kafka, group: &str) -> rdkafka::ClientConfig {
    let mut config = rdkafka::ClientConfig::new();
    config
        .set("bootstrap.servers", kafka.brokers())
        .set("group.id", group)
        .set("auto.offset.reset", "earliest")
        .set("enable.auto.commit", "false")
        .set("session.timeout.ms", "6000");
    config
}

/// Members of one group that share all partitions of an empty topic.
///
/// All of them are driven until it is so: a member that nobody polls holds the others up.
pub(crate) async fn group(topic: &str, partitions: usize, members: usize) -> Vec<StreamConsumer> {
    let group = unique_name("group");
    let config = consumer_config(kafka().await, &group);
    let consumers: Vec<StreamConsumer> = (0..members).map(|_| config.create().unwrap()).collect();
    for consumer in &consumers {
        consumer.subscribe(&[topic]).unwrap();
    }
    let counts = || {
        let count = |consumer: &StreamConsumer| consumer.assignment().unwrap().count();
        consumers.iter().map(count).collect::<Vec<_>>()
    };
    within("partitions for every member", async {
        while counts().contains(&0) || counts().iter().sum::<usize>() != partitions {
            let drive =
                |consumer| tokio::time::timeout(Duration::from_millis(20), StreamConsumer::recv(consumer));
            for received in join_all(consumers.iter().map(drive)).await {
                assert!(received.is_err(), "nothing was produced yet: {received:?}");
            }
        }
    })
    .await;
    consumers
}

/// The context of a service that publishes: a real span in a sampled trace with tracestate, and baggage with metadata.
pub(crate) fn publishing(recorder: &Recorder) -> Context {
    let caller = sampled_context().with_baggage([
        KeyValueMetadata::new("tenant", "blue, 100 %", "ttl=30;private"),
        KeyValueMetadata::new("user", "Zoë", ""),
    ]);
    let span = recorder.tracer().start_with_context("publish", &caller);
    caller.with_span(span)
}

/// The context of a service that publishes in a trace of its own, without tracestate and baggage.
pub(crate) fn new_trace(recorder: &Recorder) -> Context {
    let span = recorder.tracer().start_with_context("publish", &Context::new());
    Context::new().with_span(span)
}

pub(crate) fn span_of(cx: &Context) -> SpanContext {
    cx.span().span_context().clone()
}

pub(crate) fn baggage_of(cx: &Context) -> Vec<(String, String, String)> {
    let entry = |(key, (value, metadata)): (&opentelemetry::Key, &(_, _))| entry(key, value, metadata);
    let mut entries: Vec<_> = cx.baggage().iter().map(entry).collect();
    entries.sort();
    entries
}

fn entry(
    key: &opentelemetry::Key,
    value: &opentelemetry::StringValue,
    metadata: &opentelemetry::baggage::BaggageMetadata,
) -> (String, String, String) {
    (key.to_string(), value.to_string(), metadata.to_string())
}

/// Asserts that `found`, which a message brought, is `sent`, and that a consumer's span becomes its child.
#[track_caller]
pub(crate) fn assert_continues(found: &Context, sent: &Context) {
    let (parent, sent_span) = (span_of(found), span_of(sent));
    assert!(sent_span.is_valid(), "nothing was sent");
    assert_eq!(parent.trace_id(), sent_span.trace_id());
    assert_eq!(parent.span_id(), sent_span.span_id());
    assert!(parent.is_remote(), "the parent is not marked as remote");
    assert!(parent.is_sampled(), "the parent is not sampled");
    assert_eq!(parent.trace_state(), sent_span.trace_state());
    assert_eq!(baggage_of(found), baggage_of(sent));

    let recorder = Recorder::new();
    recorder.tracer().start_with_context("handle", found).end();
    let handled = recorder.span("handle");
    assert_eq!(handled.span_context.trace_id(), sent_span.trace_id());
    assert_eq!(handled.parent_span_id, sent_span.span_id());
    assert!(handled.parent_span_is_remote);
    assert_eq!(handled.span_context.trace_state(), sent_span.trace_state());
}

/// Asserts that there is no span, and no baggage.
#[track_caller]
pub(crate) fn assert_nothing(cx: &Context) {
    assert!(!cx.span().span_context().is_valid(), "{:?}", span_of(cx));
    assert_eq!(baggage_of(cx), []);
}
