//! A message without a context gets none: not its predecessor's, not the consumer's own.

use carrier_amqp::extract;
use carrier_amqp::testing::assert_carries_nothing;
use carrier_tests::telemetry::{Recorder, sampled_context};
use lapin::BasicProperties;
use lapin::message::Delivery;
use opentelemetry::Context;
use opentelemetry::context::FutureExt as _;
use opentelemetry::trace::{Span as _, SpanId, TraceContextExt as _, Tracer as _};
use opentelemetry_sdk::trace::SdkTracer;

use crate::support::{Queue, next};

/// Two messages, the second without a context, and what a handler makes of them: the recorded span `second`.
async fn handle_two(queue: &Queue, tracer: &SdkTracer) {
    let mut consumer = queue.consumer().await;
    for name in ["first", "second"] {
        let delivery = next(&mut consumer).await;
        let cx = extract(&delivery);
        handle(delivery, tracer, name).with_context(cx).await;
    }
}

async fn handle(_delivery: Delivery, tracer: &SdkTracer, name: &'static str) {
    tokio::task::yield_now().await;
    tracer.start_with_context(name, &Context::current()).end();
}

async fn two_messages() -> Queue {
    let queue = Queue::new().await;
    queue.publish_context(&sampled_context()).await;
    queue.publish(BasicProperties::default(), b"").await;
    queue
}

#[tokio::test]
async fn a_message_without_a_context_starts_a_trace_of_its_own_after_one_with() {
    let (queue, recorder) = (two_messages().await, Recorder::new());
    handle_two(&queue, &recorder.tracer()).await;
    let (first, second) = (recorder.span("first"), recorder.span("second"));
    assert_ne!(first.parent_span_id, SpanId::INVALID);
    assert_eq!(second.parent_span_id, SpanId::INVALID);
    assert_ne!(second.span_context.trace_id(), first.span_context.trace_id());
}

#[tokio::test]
async fn a_span_around_the_consumer_loop_is_nobodys_parent() {
    let (queue, recorder) = (two_messages().await, Recorder::new());
    let tracer = recorder.tracer();
    let around = Context::new().with_span(tracer.start_with_context("loop", &Context::new()));
    handle_two(&queue, &tracer).with_context(around.clone()).await;
    let (first, second) = (recorder.span("first"), recorder.span("second"));
    let around = around.span().span_context().clone();
    assert_ne!(first.span_context.trace_id(), around.trace_id());
    assert_ne!(second.span_context.trace_id(), around.trace_id());
    assert_eq!(second.parent_span_id, SpanId::INVALID);
}

#[tokio::test]
async fn nothing_is_extracted_from_a_message_without_headers_while_a_span_is_active() {
    let queue = Queue::new().await;
    queue.publish(BasicProperties::default(), b"").await;
    let delivery = queue.receive().await;
    let _guard = sampled_context().attach();
    assert_carries_nothing(&delivery);
}
