//! With `tracing`: an instrumented function's span is what is sent, and the sender's is its parent.

use carrier_amqp::{extract, inject};
use carrier_tests::telemetry::Recorder;
use lapin::message::Delivery;
use lapin::options::BasicAckOptions;
use lapin::{BasicProperties, Consumer};
use opentelemetry::Context;
use opentelemetry::context::FutureExt as _;
use opentelemetry::trace::{SpanId, TraceContextExt as _};
use tracing::instrument;

use crate::support::{Queue, next};

#[instrument(skip_all)]
async fn publish(queue: &Queue) {
    let mut properties = BasicProperties::default();
    inject(&Context::current(), &mut properties);
    queue.publish(properties, b"").await;
}

#[instrument(skip_all)]
async fn handle(delivery: Delivery) {
    delivery.ack(BasicAckOptions::default()).await.unwrap();
}

#[instrument(skip_all)]
async fn forward(delivery: Delivery, to: &Queue) {
    delivery.ack(BasicAckOptions::default()).await.unwrap();
    let mut properties = delivery.properties.clone();
    inject(&Context::current(), &mut properties);
    to.publish(properties, b"").await;
}

async fn consume_one(consumer: &mut Consumer) {
    let delivery = next(consumer).await;
    let cx = extract(&delivery);
    handle(delivery).with_context(cx).await;
}

#[instrument(skip_all)]
async fn consumer_loop(consumer: &mut Consumer, messages: usize) {
    for _ in 0..messages {
        consume_one(consumer).await;
    }
}

fn assert_child(recorder: &Recorder, child: &str, parent: &str) {
    let (child, parent) = (recorder.span(child), recorder.span(parent));
    assert_eq!(child.span_context.trace_id(), parent.span_context.trace_id());
    assert_eq!(child.parent_span_id, parent.span_context.span_id());
}

#[tokio::test]
async fn a_message_published_in_an_instrumented_function_carries_its_span() {
    let (queue, recorder) = (Queue::new().await, Recorder::new());
    let _default = tracing::subscriber::set_default(recorder.subscriber());
    publish(&queue).await;
    let cx = extract(&queue.receive().await);
    let sent = recorder.span("publish").span_context;
    assert_eq!(cx.span().span_context().span_id(), sent.span_id());
    assert_eq!(cx.span().span_context().trace_id(), sent.trace_id());
}

#[tokio::test]
async fn an_instrumented_handler_is_a_child_of_the_publishers_span() {
    let (queue, recorder) = (Queue::new().await, Recorder::new());
    let _default = tracing::subscriber::set_default(recorder.subscriber());
    publish(&queue).await;
    consume_one(&mut queue.consumer().await).await;
    assert_child(&recorder, "handle", "publish");
}

#[tokio::test]
async fn an_instrumented_handler_in_an_instrumented_loop_is_a_child_of_the_publishers_span() {
    let (queue, recorder) = (Queue::new().await, Recorder::new());
    let _default = tracing::subscriber::set_default(recorder.subscriber());
    publish(&queue).await;
    consumer_loop(&mut queue.consumer().await, 1).await;
    assert_child(&recorder, "handle", "publish");
    let (handle, around) = (recorder.span("handle"), recorder.span("consumer_loop"));
    assert_ne!(handle.span_context.trace_id(), around.span_context.trace_id());
}

#[tokio::test]
async fn an_instrumented_loop_is_no_parent_of_a_message_without_a_context() {
    let (queue, recorder) = (Queue::new().await, Recorder::new());
    queue.publish(BasicProperties::default(), b"").await;
    let _default = tracing::subscriber::set_default(recorder.subscriber());
    consumer_loop(&mut queue.consumer().await, 1).await;
    assert_eq!(recorder.span("handle").parent_span_id, SpanId::INVALID);
}

#[tokio::test]
async fn a_message_forwarded_in_an_instrumented_handler_continues_the_chain() {
    let (first, second) = (Queue::new().await, Queue::new().await);
    let recorder = Recorder::new();
    let _default = tracing::subscriber::set_default(recorder.subscriber());
    publish(&first).await;
    let delivery = first.receive().await;
    let cx = extract(&delivery);
    forward(delivery, &second).with_context(cx).await;
    consume_one(&mut second.consumer().await).await;
    assert_child(&recorder, "forward", "publish");
    assert_child(&recorder, "handle", "forward");
}
