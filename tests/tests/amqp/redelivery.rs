//! A message that the broker gives out again, or moves to another queue, keeps its context.

use carrier_amqp::extract;
use carrier_amqp::testing::assert_carries;
use carrier_tests::telemetry::{Recorder, sampled_context};
use carrier_tests::unique_name;
use lapin::message::Delivery;
use lapin::options::{BasicNackOptions, BasicRejectOptions, QueueDeclareOptions, QueueDeleteOptions};
use lapin::types::{AMQPValue, FieldTable};
use opentelemetry::Context;
use opentelemetry::trace::{Span as _, TraceContextExt as _, Tracer as _};

use crate::support::{Queue, carrying, channel, next, table, text};

/// Declares another queue with arguments, and returns its name.
async fn declare(queue: &Queue, arguments: FieldTable) -> String {
    let name = unique_name("queue");
    let exclusive = QueueDeclareOptions { exclusive: true, ..QueueDeclareOptions::default() };
    let declared = queue.channel.queue_declare(name.as_str().into(), exclusive, arguments);
    declared.await.unwrap();
    name
}

/// Arguments that send what is not wanted to `queue`, through the default exchange.
pub(crate) fn dead_letters_to(queue: &Queue) -> [(&'static str, AMQPValue); 2] {
    [("x-dead-letter-exchange", text("")), ("x-dead-letter-routing-key", text(&queue.name))]
}

/// A message with this context that waited in another queue until its time was over.
pub(crate) async fn dead_lettered(cx: &Context) -> (Queue, Delivery) {
    let dead = Queue::new().await;
    let expires = [("x-message-ttl", AMQPValue::LongInt(1))];
    let waiting = declare(&dead, table(dead_letters_to(&dead).into_iter().chain(expires))).await;
    let mut headers = table([("user", text("kept"))]);
    carrier_amqp::inject(cx, &mut headers);
    let properties = lapin::BasicProperties::default().with_headers(headers);
    crate::support::publish(&dead.channel, "", &waiting, properties, b"order 17").await;
    let delivery = dead.receive().await;
    (dead, delivery)
}

#[tokio::test]
async fn a_quorum_queue_redelivers_a_requeued_message_with_its_context() {
    let channel = channel().await;
    let name = unique_name("quorum");
    let durable = QueueDeclareOptions { durable: true, ..QueueDeclareOptions::default() };
    // A quorum queue cannot be exclusive; where the test fails, this one goes by itself.
    let arguments = table([("x-queue-type", text("quorum")), ("x-expires", AMQPValue::LongInt(60_000))]);
    channel.queue_declare(name.as_str().into(), durable, arguments).await.unwrap();
    crate::support::publish(&channel, "", &name, carrying(&sampled_context()), b"").await;
    let mut consumer = crate::support::consumer(&channel, &name).await;

    let first = next(&mut consumer).await;
    assert!(!first.redelivered);
    let requeue = BasicNackOptions { requeue: true, ..BasicNackOptions::default() };
    first.nack(requeue).await.unwrap();
    let again = next(&mut consumer).await;

    assert!(again.redelivered);
    assert_carries(&again, &sampled_context());
    let headers = again.properties.headers().as_ref().unwrap();
    assert!(headers.contains_key("x-delivery-count"), "{headers:?}");
    let deleted = channel.queue_delete(name.as_str().into(), QueueDeleteOptions::default());
    deleted.await.unwrap();
}

#[tokio::test]
async fn a_classic_queue_redelivers_a_rejected_message_with_its_context() {
    let queue = Queue::new().await;
    queue.publish_context(&sampled_context()).await;
    let mut consumer = queue.consumer().await;
    let first = next(&mut consumer).await;
    first.reject(BasicRejectOptions { requeue: true }).await.unwrap();
    let again = next(&mut consumer).await;
    assert!(again.redelivered);
    assert_carries(&again, &sampled_context());
}

#[tokio::test]
async fn an_expired_message_keeps_its_context_beside_x_death() {
    let (_queue, delivery) = dead_lettered(&sampled_context()).await;
    assert_carries(&delivery, &sampled_context());
    let headers = delivery.properties.headers().as_ref().unwrap();
    let death = headers.inner().get("x-death");
    assert!(matches!(death, Some(AMQPValue::FieldArray(_))), "{headers:?}");
    assert_eq!(headers.inner().get("user"), Some(&text("kept")));
}

#[tokio::test]
async fn a_rejected_message_keeps_its_context_in_the_dead_letter_queue() {
    let dead = Queue::new().await;
    let work = declare(&dead, table(dead_letters_to(&dead))).await;
    let properties = carrying(&sampled_context());
    crate::support::publish(&dead.channel, "", &work, properties, b"").await;
    let mut consumer = crate::support::consumer(&dead.channel, &work).await;
    let rejected = next(&mut consumer).await;
    rejected.reject(BasicRejectOptions::default()).await.unwrap();
    assert_carries(&dead.receive().await, &sampled_context());
}

#[tokio::test]
async fn a_dead_lettered_message_goes_on_with_the_senders_trace() {
    let recorder = Recorder::new();
    let tracer = recorder.tracer();
    let sending = Context::new().with_span(tracer.start_with_context("send", &Context::new()));
    let (_queue, delivery) = dead_lettered(&sending).await;
    sending.span().end();

    let mut handling = tracer.start_with_context("handle the failure", &extract(&delivery));
    handling.end();

    let (send, handle) = (recorder.span("send"), recorder.span("handle the failure"));
    assert_eq!(handle.span_context.trace_id(), send.span_context.trace_id());
    assert_eq!(handle.parent_span_id, send.span_context.span_id());
}
