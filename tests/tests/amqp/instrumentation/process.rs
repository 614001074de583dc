//! One message from its producer to its settlement.

use std::sync::Arc;

use carrier_amqp::instrumentation::AlreadyCounted;
use lapin::BasicProperties;
use lapin::message::Delivery;
use lapin::options::BasicGetOptions;
use opentelemetry::Context;
use opentelemetry::trace::TraceContextExt as _;

use super::support::{Program, ack};

#[tokio::test]
async fn a_message_from_publishing_to_acknowledgement_is_two_spans_of_one_trace() {
    let program = Program::new().await;
    let properties = BasicProperties::default().with_message_id("m1".into()).with_correlation_id("c1".into());
    program.publish_with(properties).await;
    let delivery = program.amqp.process(&program.queue.name, program.received().await);
    delivery.run(async { delivery.ack(ack()).await }).await.unwrap();
    program.assert_spans(
        "
producer send QUEUE
  messaging.destination.name = QUEUE
  messaging.message.body.size = 2
  messaging.message.conversation_id = c1
  messaging.message.id = m1
  messaging.operation.name = send
  messaging.operation.type = send
  messaging.rabbitmq.destination.routing_key = QUEUE
  messaging.system = rabbitmq
consumer process QUEUE
  parent send QUEUE
  carrier.settlement = acked
  messaging.destination.name = QUEUE
  messaging.message.body.size = 2
  messaging.message.conversation_id = c1
  messaging.message.id = m1
  messaging.operation.name = process
  messaging.operation.type = process
  messaging.rabbitmq.destination.routing_key = QUEUE
  messaging.rabbitmq.message.delivery_tag = 1
  messaging.system = rabbitmq",
    );
}

/// Takes its message by value, as many handlers do.
async fn acknowledged(delivery: Delivery) -> lapin::Result<bool> {
    assert!(Context::current().has_active_span());
    delivery.ack(ack()).await
}

#[tokio::test]
async fn a_handler_that_takes_its_message_by_value_settles_it_before_the_span_ends() {
    let program = Program::new().await;
    program.publish().await;
    let (process, delivery) =
        program.amqp.process(&program.queue.name, program.received().await).into_parts();
    assert!(process.run(acknowledged(delivery)).await.unwrap());
    assert_eq!(program.end_of("process"), ["carrier.settlement = settled"], "before the guard is dropped");
    drop(process);
    assert_eq!(program.recorder.spans().len(), 2);
}

#[tokio::test]
async fn a_message_that_is_taken_by_value_and_never_settled_says_so() {
    let program = Program::new().await;
    program.publish().await;
    let (process, delivery) =
        program.amqp.process(&program.queue.name, program.received().await).into_parts();
    process.run(async move { drop(delivery) }).await;
    drop(process);
    assert_eq!(program.end_of("process"), ["carrier.settlement = not_settled"]);
}

#[tokio::test]
async fn a_spawned_task_owns_the_message_with_its_span_and_settles_it() {
    let program = Program::new().await;
    for _ in 0..2 {
        program.publish().await;
    }
    let mut consumer = program.queue.consumer().await;
    let delivery = program.amqp.process(&program.queue.name, crate::support::next(&mut consumer).await);
    let task = tokio::spawn(async move {
        delivery.run(async { assert_eq!(delivery.data, b"17") }).await;
        delivery.ack(ack()).await
    });
    assert!(task.await.unwrap().unwrap());
    // And with the two apart.
    let delivery = crate::support::next(&mut consumer).await;
    let (process, delivery) = program.amqp.process(&program.queue.name, delivery).into_parts();
    let task = tokio::spawn(async move { process.run(acknowledged(delivery)).await });
    assert!(task.await.unwrap().unwrap());
    assert_eq!(program.recorder.open_spans(), 0);
    let name = format!("process {}", program.queue.name);
    let spans = program.recorder.spans().into_iter().filter(|span| span.name == name);
    let settled = |key: &opentelemetry::KeyValue| key.key.as_str() == "carrier.settlement";
    let how: Vec<_> = spans.map(|span| span.attributes.into_iter().find(settled).unwrap().value).collect();
    assert_eq!(how, ["acked".into(), "settled".into()]);
}

#[tokio::test]
async fn a_message_in_an_arc_a_box_or_behind_a_reference_has_the_same_span() {
    let program = Program::new().await;
    program.publish().await;
    let delivery = Arc::new(program.received().await);
    let spans = |program: &Program| {
        let spans = program.recorder.spans();
        let process = spans.into_iter().filter(|span| span.name.starts_with("process"));
        process.map(|span| (span.parent_span_id, span.attributes.len())).collect::<Vec<_>>()
    };
    drop(program.amqp.process(&program.queue.name, &*delivery));
    drop(program.amqp.process(&program.queue.name, Box::new(&delivery)));
    let shared = program.amqp.process(&program.queue.name, Arc::clone(&delivery));
    assert!(shared.ack(ack()).await.unwrap());
    drop(shared);
    let [first, second, third] = spans(&program).try_into().unwrap();
    assert_eq!((first, second), (second, third));
}

/// How many messages the metrics count as consumed.
fn consumed(program: &Program) -> Vec<String> {
    let metrics = program.metrics();
    let lines = metrics.lines().skip_while(|line| !line.starts_with("messaging.client.consumed.messages"));
    let counts = lines.skip(1).take_while(|line| line.starts_with(' '));
    counts.map(|line| line.trim().split(' ').next().unwrap_or_default().to_owned()).collect()
}

#[tokio::test]
async fn a_message_is_counted_once_however_it_was_received_and_processed() {
    let queue = |program: &Program| program.queue.name.as_str().into();
    let get = BasicGetOptions::default;
    // Through our channel: the receive span counts it.
    let ours = Program::new().await;
    ours.publish().await;
    let got = ours.channel().basic_get(queue(&ours), get()).await.unwrap().unwrap();
    drop(ours.amqp.process(&ours.queue.name, &got));
    drop(ours.amqp.process_batch(&ours.queue.name, &[got]));
    assert_eq!(consumed(&ours), ["1"]);
    // Through lapin's: the process span does.
    let lapins = Program::new().await;
    lapins.publish().await;
    let got = lapins.queue.channel.basic_get(queue(&lapins), get()).await.unwrap().unwrap();
    drop(lapins.amqp.process(&lapins.queue.name, &got));
    drop(lapins.amqp.process(&lapins.queue.name, AlreadyCounted(&got)));
    assert_eq!(consumed(&lapins), ["1"]);
    // A program that counts a message itself says so.
    let own = Program::new().await;
    own.publish().await;
    let delivery = AlreadyCounted(own.received().await);
    drop(own.amqp.process(&own.queue.name, Arc::new(delivery)));
    assert_eq!(consumed(&own), [""; 0]);
}
