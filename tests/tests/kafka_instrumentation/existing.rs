//! A message that already has a context: what the mode says, and a link.

use carrier_core::{Existing, Propagation};
use carrier_tests::telemetry::{Recorder, Whole, sampled_context};
use opentelemetry::trace::SpanContext;
use rdkafka::message::OwnedHeaders;
use rdkafka::producer::FutureRecord;

use crate::support::{LIMIT, at, consumer, receive, sending, service_with, span_of, topic};

/// Sends a message that has a context already, and returns its span, the expected one, and what the message carries.
async fn sent(existing: Existing) -> (Whole, Whole, SpanContext, SpanContext) {
    let propagation = Propagation::builder().propagator(carrier_core::w3c()).existing(existing).build();
    let service = service_with(Recorder::new(), |builder| builder.propagation(propagation)).await;
    let topic = topic(1).await;
    let mut headers = OwnedHeaders::new();
    carrier_kafka::inject(&sampled_context(), &mut headers);
    let record = FutureRecord::to(&topic).key("17").payload("payload").headers(headers);
    service.producer().await.send(record, LIMIT).await.unwrap();
    let consumer = consumer(&topic).await;
    let carried = span_of(&carrier_kafka::extract(&receive(&consumer).await));
    let expected = sending(&topic).await.with(at("0", 0)).linked(&span_of(&sampled_context()), []);
    let span = service.recorder.spans().remove(0);
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
