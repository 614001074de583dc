//! The settings of `Propagation`, on records that went through the broker.

use carrier_core::{Conflict, Existing, InjectionOutcome, Propagation, Trust, w3c};
use carrier_kafka::{extract_with, inject_with, inspect_with, message_budget};
use carrier_tests::telemetry::sampled_context;
use opentelemetry::KeyValue;
use opentelemetry::baggage::BaggageExt as _;
use opentelemetry::trace::TraceContextExt as _;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::{Header, Headers as _, Message as _, OwnedHeaders};
use rdkafka::producer::FutureRecord;

use crate::support::{LIMIT, carrying, consumer, kafka, receive, send, topic};

fn parent(digit: char) -> String {
    format!("00-{}-{}-01", digit.to_string().repeat(32), digit.to_string().repeat(16))
}

/// What a client sends that appends a context when it forwards: two traceparents, each with its tracestate.
fn forwarded() -> OwnedHeaders {
    [
        ("tracestate", "v=a"),
        ("traceparent", &parent('a')),
        ("tracestate", "v=b"),
        ("traceparent", &parent('b')),
    ]
    .into_iter()
    .fold(OwnedHeaders::new(), |headers, (key, value)| headers.insert(Header { key, value: Some(value) }))
}

#[tokio::test]
async fn of_two_contexts_the_setting_says_which_is_used_and_the_other_can_be_linked() {
    let topic = topic(1).await;
    let consumer = consumer(&topic).await;
    send(&kafka().await.producer(), &topic, Some(forwarded())).await;
    let message = receive(&consumer).await;

    let last = inspect_with(&Propagation::builder().propagator(w3c()).build(), &message);
    let span = last.context().span().span_context().clone();
    assert_eq!(span.trace_id().to_string(), "b".repeat(32));
    // There are as many tracestates as traceparents, so it can be told which belongs to it.
    assert_eq!(span.trace_state().get("v"), Some("b"));
    assert_eq!(last.links()[0].trace_id().to_string(), "a".repeat(32));

    let restart = Propagation::builder().propagator(w3c()).conflict(Conflict::Restart).build();
    let none = inspect_with(&restart, &message);
    assert!(!none.context().has_active_span());
    assert_eq!((none.links().len(), none.status().label()), (2, "conflicting"));
}

#[tokio::test]
async fn a_forwarder_that_keeps_the_context_sends_the_same_bytes_on() {
    let (from, to) = (topic(1).await, topic(1).await);
    let (first, second) = (consumer(&from).await, consumer(&to).await);
    let producer = kafka().await.producer();
    send(&producer, &from, Some(carrying(&sampled_context()))).await;
    let received = receive(&first).await;

    let keep = Propagation::builder().propagator(w3c()).existing(Existing::Keep).build();
    let mut record = FutureRecord::<[u8], [u8]>::to(&to).payload(b"");
    record.headers = received.headers().map(|headers| headers.detach());
    let report = inject_with(&keep, &opentelemetry::Context::new(), &mut record);
    assert_eq!(report.outcome(), InjectionOutcome::Kept);
    producer.send(record, LIMIT).await.unwrap();

    let list = |headers: &rdkafka::message::BorrowedHeaders| -> Vec<_> {
        headers.iter().map(|header| (header.key.to_owned(), header.value.map(<[u8]>::to_vec))).collect()
    };
    let forwarded = receive(&second).await;
    assert_eq!(forwarded.headers().map(list), received.headers().map(list));
}

#[tokio::test]
async fn a_strangers_message_is_linked_and_not_continued() {
    let topic = topic(1).await;
    let consumer = consumer(&topic).await;
    send(&kafka().await.producer(), &topic, Some(carrying(&sampled_context()))).await;
    let link = Propagation::builder().propagator(w3c()).trust(Trust::Link).build();
    let found = inspect_with(&link, &receive(&consumer).await);
    assert!(!found.context().has_active_span());
    assert_eq!(&found.links()[0], sampled_context().span().span_context());
    assert_eq!(found.context().baggage().len(), sampled_context().baggage().len());
}

#[tokio::test]
async fn a_record_that_baggage_makes_too_large_is_sent_without_it() {
    let topic = topic(1).await;
    let consumer = consumer(&topic).await;
    let mut config = kafka().await.client_config();
    config.set("message.max.bytes", "2000");
    let producer: rdkafka::producer::FutureProducer = config.create().unwrap();
    let cx = sampled_context().with_baggage([KeyValue::new("k", "v".repeat(900))]);
    let payload = vec![b'p'; 1_500];

    let without_budget = Propagation::builder().propagator(w3c()).build();
    let mut refused = FutureRecord::<(), _>::to(&topic).payload(&payload);
    inject_with(&without_budget, &cx, &mut refused);
    let (error, _) = producer.send(refused, LIMIT).await.unwrap_err();
    assert_eq!(error, KafkaError::MessageProduction(RDKafkaErrorCode::MessageSizeTooLarge));

    let within_budget = Propagation::builder().propagator(w3c()).budget(message_budget(&config)).build();
    let mut sent = FutureRecord::<(), _>::to(&topic).payload(&payload);
    let report = inject_with(&within_budget, &cx, &mut sent);
    assert_eq!(report.dropped()[0].field, "baggage");
    producer.send(sent, LIMIT).await.unwrap();
    let received = extract_with(&within_budget, &receive(&consumer).await);
    assert_eq!(received.span().span_context(), cx.span().span_context());
    assert!(received.baggage().is_empty());
}
