//! Publishing a received message's properties again: the new context replaces the old one, and nothing else.

use carrier_amqp::testing::{assert_carries, assert_carries_nothing, remote_context};
use carrier_amqp::{extract, inject};
use carrier_tests::telemetry::sampled_context;
use lapin::types::FieldTable;
use opentelemetry::Context;
use opentelemetry::trace::TraceContextExt as _;

use crate::redelivery::dead_lettered;
use crate::support::{Queue, table, text};

/// Receives a message that carries [`sampled_context`], publishes its properties with `cx`, and returns the headers
/// that come out of the broker.
async fn republished_with(cx: &Context) -> FieldTable {
    let (first, second) = (Queue::new().await, Queue::new().await);
    let mut headers = table([("user", text("kept"))]);
    inject(&sampled_context(), &mut headers);
    first.publish_headers(headers).await;

    let delivery = first.receive().await;
    let mut properties = delivery.properties.clone();
    inject(cx, &mut properties);
    second.publish(properties, &delivery.data).await;

    second.receive().await.properties.headers().clone().unwrap()
}

fn names(headers: &FieldTable) -> Vec<&str> {
    headers.inner().keys().map(|key| key.as_str()).collect()
}

#[tokio::test]
async fn the_new_context_replaces_the_old_one() {
    let cx = remote_context();
    assert_carries(&republished_with(&cx).await, &cx);
}

#[tokio::test]
async fn an_old_tracestate_and_baggage_do_not_travel_on() {
    let headers = republished_with(&remote_context()).await;
    assert_eq!(names(&headers), ["traceparent", "user"]);
}

#[tokio::test]
async fn without_a_span_the_old_context_does_not_travel_on() {
    let headers = republished_with(&Context::new()).await;
    assert_carries_nothing(&headers);
    assert_eq!(names(&headers), ["user"]);
}

#[tokio::test]
async fn a_replay_of_a_dead_letter_keeps_x_death_and_the_users_headers() {
    let (_dead, delivery) = dead_lettered(&sampled_context()).await;
    let received = delivery.properties.headers().clone().unwrap();
    let target = Queue::new().await;
    let mut properties = delivery.properties.clone();
    let cx = remote_context();
    inject(&cx, &mut properties);
    target.publish(properties, &delivery.data).await;

    let replayed = target.receive().await;
    assert_carries(&replayed, &cx);
    let headers = replayed.properties.headers().clone().unwrap();
    for name in ["user", "x-death", "x-first-death-queue", "x-first-death-reason"] {
        assert!(received.contains_key(name), "{name} was not received");
        assert_eq!(headers.inner().get(name), received.inner().get(name), "{name}");
    }
}

#[tokio::test]
async fn five_hops_stay_in_one_trace_and_leave_one_context() {
    let queues = [Queue::new().await, Queue::new().await, Queue::new().await, Queue::new().await];
    let first = Queue::new().await;
    first.publish_context(&sampled_context()).await;
    let mut delivery = first.receive().await;
    for queue in &queues {
        let received = extract(&delivery);
        let span = received.span().span_context().clone();
        // What a span of this hop would be: the same trace, another id.
        let hop = carrier_amqp::testing::remote_context();
        let hop = opentelemetry::trace::SpanContext::new(
            span.trace_id(),
            hop.span().span_context().span_id(),
            span.trace_flags(),
            false,
            span.trace_state().clone(),
        );
        let cx = received.with_remote_span_context(hop);
        let mut properties = delivery.properties.clone();
        inject(&cx, &mut properties);
        queue.publish(properties, b"").await;
        delivery = queue.receive().await;
        assert_carries(&delivery, &cx);
    }
    let headers = delivery.properties.headers().clone().unwrap();
    assert_eq!(names(&headers), ["baggage", "traceparent", "tracestate"]);
    let (last, sent) = (extract(&delivery), sampled_context());
    assert_eq!(last.span().span_context().trace_id(), sent.span().span_context().trace_id());
}
