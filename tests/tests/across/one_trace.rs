//! What must be true of an order's trace when the order has arrived.

use opentelemetry::baggage::BaggageExt as _;
use opentelemetry::trace::{TraceContextExt as _, TraceId};
use opentelemetry_sdk::trace::SpanData;

use crate::journey::{Arrived, journey};

fn spans(arrived: &Arrived) -> Vec<SpanData> {
    arrived.services.iter().map(|service| service.span()).collect()
}

#[tokio::test]
async fn http_kafka_rabbitmq_and_kafka_are_one_trace() {
    let arrived = journey().await;
    assert_eq!(arrived.payload, "order 17");
    let traces: Vec<TraceId> = spans(&arrived).iter().map(|span| span.span_context.trace_id()).collect();
    assert_eq!(traces, [TraceId::from(0x0af7_6519_16cd_43dd_8448_eb21_1c80_319c_u128); 5]);
}

#[tokio::test]
async fn every_service_is_the_child_of_the_one_that_sent_the_message() {
    let spans = spans(&journey().await);
    assert_eq!(spans.len(), 5);
    for hop in spans.windows(2) {
        let [sender, receiver] = hop else { unreachable!() };
        assert_eq!(receiver.parent_span_id, sender.span_context.span_id());
        assert!(receiver.parent_span_is_remote);
    }
}

#[tokio::test]
async fn baggage_of_the_first_two_services_reaches_the_last() {
    let context = journey().await.context;
    let member = |key: &str| {
        let (value, metadata) = context.baggage().get_with_metadata(key)?;
        Some((value.as_str(), metadata.as_str()))
    };
    assert_eq!(member("tenant"), Some(("blue, 100 %", "ttl=30")));
    assert_eq!(member("order"), Some(("17", "")));
    assert_eq!(context.baggage().len(), 2);
}

#[tokio::test]
async fn tracestate_and_the_sampling_decision_reach_the_last_service() {
    let arrived = journey().await;
    let span = arrived.context.span().span_context().clone();
    assert_eq!(span.trace_state().header(), "vendor=1");
    assert!(span.is_sampled());
}
