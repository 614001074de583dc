//! Messages of other clients, byte by byte as they send them.

use carrier_amqp::extract;
use carrier_amqp::testing::assert_carries;
use carrier_tests::telemetry::{BAGGAGE, TRACEPARENT, TRACESTATE, sampled_context};
use futures::StreamExt as _;
use lapin::ErrorKind;
use opentelemetry::trace::{TraceContextExt as _, TraceFlags};

use crate::raw;
use crate::support::{Queue, next, within};

const OTHER: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

/// A queue that another connection can publish to; its consumers are on the queue's own.
async fn receive(headers: Vec<(&[u8], Vec<u8>)>) -> lapin::message::Delivery {
    let queue = Queue::new().await;
    raw::publish(&queue.name, headers).await;
    queue.receive().await
}

#[tokio::test]
async fn the_context_of_a_python_service_is_read() {
    // Python sets the random flag as well.
    let parent = format!("{}03", &TRACEPARENT[..53]);
    let delivery = receive(vec![
        (b"traceparent", raw::text(&parent)),
        (b"tracestate", raw::text(TRACESTATE)),
        (b"baggage", raw::text(BAGGAGE)),
    ])
    .await;
    let span = extract(&delivery).span().span_context().clone();
    assert_eq!(span.trace_flags(), TraceFlags::new(3));
    assert_eq!(span.span_id(), sampled_context().span().span_context().span_id());
    assert_eq!(span.trace_state().header(), TRACESTATE);
}

#[tokio::test]
async fn the_context_of_a_later_version_is_read() {
    let parent = format!("cc{}-more-to-come", &TRACEPARENT[2..]);
    let delivery = receive(vec![
        (b"traceparent", raw::text(&parent)),
        (b"tracestate", raw::text(TRACESTATE)),
        (b"baggage", raw::text(BAGGAGE)),
    ])
    .await;
    assert_carries(&delivery, &sampled_context());
}

/// RabbitMQ passes on the first of two headers with the same name, so that a table never holds a conflict.
#[tokio::test]
async fn of_two_traceparents_in_one_message_the_broker_passes_on_the_first() {
    let headers: Vec<(&[u8], _)> =
        vec![(b"traceparent", raw::text(TRACEPARENT)), (b"traceparent", raw::text(OTHER))];
    let delivery = receive(headers).await;
    let span = extract(&delivery).span().span_context().clone();
    assert_eq!(span.span_id(), sampled_context().span().span_context().span_id());
}

/// lapin reads names as text and gives the whole connection up where one is not: nothing that a carrier could help. The
/// message goes back into its queue, so every lapin consumer of it fails in turn.
#[tokio::test]
async fn a_header_name_that_is_not_utf8_ends_lapins_connection() {
    let queue = Queue::new().await;
    raw::publish(&queue.name, vec![(b"\xff\xfe", raw::text("value"))]).await;
    let mut consumer = queue.consumer().await;
    let received = within("the failure", consumer.next()).await;
    let error = received.unwrap().unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::ParsingError(_)), "{error:?}");
    assert!(!queue.channel.status().connected());
}

#[tokio::test]
async fn a_user_name_without_a_value_does_not_hide_the_context() {
    let queue = Queue::new().await;
    let headers: Vec<(&[u8], _)> = vec![
        (b"", raw::text("no name")),
        (b"nothing", vec![b'V']),
        (b"traceparent", raw::text(TRACEPARENT)),
        (b"tracestate", raw::text(TRACESTATE)),
        (b"baggage", raw::text(BAGGAGE)),
    ];
    let mut consumer = queue.consumer().await;
    raw::publish(&queue.name, headers).await;
    assert_carries(&next(&mut consumer).await, &sampled_context());
}
