//! A message that already has a context: what the mode says, and a link.

use carrier_core::{Existing, Propagation};
use carrier_tests::telemetry::{Recorder, Whole, sampled_context};
use opentelemetry::context::FutureExt as _;
use opentelemetry::trace::SpanContext;
use rdkafka::message::OwnedHeaders;
use rdkafka::producer::FutureRecord;

use super::support::sent as sent_by;
use super::support::{LIMIT, at, consumer, inside, receive, sending, service, service_with, span_of, topic};

/// Sends a message that has a context already, and returns its span, the expected one, and what the message carries.
async fn sent(existing: Existing) -> (Whole, Whole, SpanContext, SpanContext) {
    let propagation = Propagation::builder().propagator(carrier_core::w3c()).existing(existing).build();
    let service = service_with(Recorder::new(), |builder| builder.propagation(propagation)).await;
    let topic = topic(1).await;
    let mut headers = OwnedHeaders::new();
    carrier_kafka::inject(&sampled_context(), &mut headers);
    let record = FutureRecord::to(&topic).key("17").payload("payload").headers(headers);
    let (around, request) = inside(&service.recorder, "request");
    service.producer().await.send(record, LIMIT).with_context(around).await.unwrap();
    let consumer = consumer(&topic).await;
    let carried = span_of(&carrier_kafka::extract(&receive(&consumer).await));
    let expected = sending(&topic).await.with(at("0", 0)).child_of(&request);
    let expected = expected.linked(&span_of(&sampled_context()), []);
    let span = service.recorder.span(&format!("send {topic}"));
    (Whole::from(&span), expected, span.span_context, carried)
}

#[tokio::test]
async fn a_context_that_is_replaced_is_linked() {
    let (seen, expected, span, carried) = sent(Existing::Replace).await;
    assert_eq!(seen, expected);
    assert_eq!((carried.trace_id(), carried.span_id()), (span.trace_id(), span.span_id()));
}

#[tokio::test]
async fn a_context_that_is_kept_is_linked_from_a_span_that_the_message_does_not_carry() {
    let (seen, expected, _, carried) = sent(Existing::Keep).await;
    assert_eq!(seen, expected.of_kind(opentelemetry::trace::SpanKind::Client));
    assert_eq!(carried.span_id(), span_of(&sampled_context()).span_id());
}

#[tokio::test]
async fn a_message_that_is_left_alone_is_linked_as_well() {
    let (seen, expected, _, carried) = sent(Existing::LeaveAlone).await;
    assert_eq!(seen, expected.of_kind(opentelemetry::trace::SpanKind::Client));
    assert_eq!(carried.span_id(), span_of(&sampled_context()).span_id());
}

#[tokio::test]
async fn a_dead_letter_that_is_sent_after_the_handler_is_in_the_trace_with_old_or_new_headers() {
    let service = service().await;
    let (topic, sender, consumer) = sent_by(&service).await;
    let dead = super::support::topic(1).await;
    let message = service.kafka.process(receive(&consumer).await);
    assert!(message.run(async { Err::<(), _>("no such customer") }).await.is_err());
    let producer = service.producer().await;
    let record = || FutureRecord::to(&dead).key("17").payload("payload");
    let headers = rdkafka::Message::headers(&*message).unwrap().detach();
    producer.send(record().headers(headers), LIMIT).await.unwrap();
    producer.send(record(), LIMIT).with_context(message.context().clone()).await.unwrap();

    let process = service.recorder.span(&format!("process {topic}")).span_context;
    let spans = service.recorder.spans();
    let letters: Vec<_> = spans.iter().filter(|span| span.name == format!("send {dead}")).collect();
    let parents: Vec<_> = letters.iter().map(|span| span.parent_span_id).collect();
    assert_eq!(parents, [sender.span_id(), process.span_id()]);
    let trace = sender.trace_id();
    assert!(letters.iter().all(|span| span.span_context.trace_id() == trace && span.links.links.is_empty()));
}
