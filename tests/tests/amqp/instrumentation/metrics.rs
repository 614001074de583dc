//! The metrics, as they are exported: every set of attributes, whatever was sampled.

use carrier_core::w3c;
use carrier_tests::telemetry::{Recorder, assert_same_duration};
use lapin::BasicProperties;
use lapin::options::{BasicGetOptions, BasicNackOptions};
use opentelemetry::global;
use opentelemetry_sdk::trace::Sampler;

use super::support::{Program, ack, confirmed, inside, is_through_tracing};
use crate::support::next;

/// Seconds since 1970.
fn now() -> u64 {
    std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs()
}

#[tokio::test]
async fn sending_and_processing_are_counted_and_measured_also_unsampled() {
    let program = Program::recorded_by(Recorder::sampling(Sampler::AlwaysOff), |builder| builder).await;
    for _ in 0..3 {
        program.publish().await;
    }
    let mut consumer = program.queue.consumer().await;
    for number in 0..3 {
        let delivery = program.amqp.process(&program.queue.name, next(&mut consumer).await);
        if number == 0 {
            delivery.nack(BasicNackOptions::default()).await.unwrap();
        } else {
            delivery.ack(ack()).await.unwrap();
        }
    }
    assert_eq!(program.recorder.spans().len(), 0);
    let metrics = program.metrics();
    let expected = "
carrier.delivery.attempts in {attempt}
  3 [messaging.destination.name = QUEUE, messaging.system = rabbitmq]
carrier.received.contexts in {message}
  3 [carrier.context.status = valid, messaging.destination.name = QUEUE, messaging.system = rabbitmq]
messaging.client.consumed.messages in {message}
  3 [messaging.destination.name = QUEUE, messaging.operation.name = process, messaging.system = rabbitmq]
messaging.client.operation.duration in s
  3 [messaging.destination.name = QUEUE, messaging.operation.name = send, messaging.operation.type = send, messaging.system = rabbitmq]
messaging.client.sent.messages in {message}
  3 [messaging.destination.name = QUEUE, messaging.operation.name = send, messaging.system = rabbitmq]
messaging.process.duration in s
  1 [error.type = nacked, messaging.destination.name = QUEUE, messaging.operation.name = process, messaging.system = rabbitmq]
  2 [messaging.destination.name = QUEUE, messaging.operation.name = process, messaging.system = rabbitmq]
";
    assert_eq!(metrics.trim(), expected.trim());
}

#[tokio::test]
async fn a_message_that_is_asked_for_is_counted_once() {
    let program = Program::new().await;
    program.publish().await;
    let got = program.channel().basic_get(program.queue.name.as_str().into(), BasicGetOptions::default());
    let message = program.amqp.process(&program.queue.name, got.await.unwrap().unwrap());
    message.ack(ack()).await.unwrap();
    drop(message);
    let metrics = program.metrics();
    let consumed = metrics.split("messaging.client.operation").next().unwrap();
    let expected = "
carrier.delivery.attempts in {attempt}
  1 [messaging.destination.name = QUEUE, messaging.system = rabbitmq]
carrier.received.contexts in {message}
  1 [carrier.context.status = valid, messaging.destination.name = QUEUE, messaging.system = rabbitmq]
messaging.client.consumed.messages in {message}
  1 [messaging.destination.name = QUEUE, messaging.operation.name = receive, messaging.system = rabbitmq]
";
    assert_eq!(consumed.trim(), expected.trim());
}

#[tokio::test]
async fn routing_keys_are_on_no_metric_and_a_template_is() {
    let program = Program::with(|builder| {
        builder.destination_template(|route| {
            route.exchange.starts_with("amq.topic").then(|| "events.{id}".into())
        })
    })
    .await;
    let channel = program.channel();
    for key in ["a.1", "a.2"] {
        confirmed(channel, "amq.topic", key, BasicProperties::default()).await;
        confirmed(channel, "amq.direct", key, BasicProperties::default()).await;
    }
    let metrics = program.metrics();
    let sent = metrics.split("messaging.client.sent.messages").nth(1).unwrap();
    let expected = "\
  2 [error.type = no-route, messaging.destination.name = amq.direct, messaging.operation.name = send, messaging.system = rabbitmq]
  2 [error.type = no-route, messaging.destination.template = events.{id}, messaging.operation.name = send, messaging.system = rabbitmq]";
    assert!(sent.trim_end().ends_with(expected), "{sent}");
}

#[tokio::test]
async fn the_time_in_the_queue_is_measured_and_a_negative_one_counted_apart() {
    let program = Program::new().await;
    for timestamp in [Some(now() - 60), Some(now() + 3_600), None] {
        let properties = BasicProperties::default();
        let properties = match timestamp {
            Some(timestamp) => properties.with_timestamp(timestamp),
            None => properties,
        };
        program.publish_with(properties).await;
    }
    let mut consumer = program.queue.consumer().await;
    for _ in 0..3 {
        let delivery = program.amqp.process(&program.queue.name, next(&mut consumer).await);
        delivery.ack(ack()).await.unwrap();
    }
    let metrics = program.metrics();
    let ours = metrics.split("messaging.client.consumed").next().unwrap();
    let expected = "
carrier.critical.duration in s
  1 [messaging.destination.name = QUEUE, messaging.system = rabbitmq]
carrier.delivery.attempts in {attempt}
  3 [messaging.destination.name = QUEUE, messaging.system = rabbitmq]
carrier.queue.clock_skew in {message}
  1 [messaging.destination.name = QUEUE, messaging.system = rabbitmq]
carrier.queue.duration in s
  1 [messaging.destination.name = QUEUE, messaging.system = rabbitmq]
carrier.received.contexts in {message}
  3 [carrier.context.status = valid, messaging.destination.name = QUEUE, messaging.system = rabbitmq]
";
    assert_eq!(ours.trim(), expected.trim());
}

#[tokio::test]
async fn a_duration_is_the_same_on_span_and_metric() {
    let program = Program::new().await;
    program.publish().await;
    let sent = program.span("send");
    let took = sent.end_time.duration_since(sent.start_time).unwrap().as_secs_f64();
    let point = program.meters.point("messaging.client.operation.duration");
    assert_same_duration(point.sum, took, is_through_tracing());
    let bounds = [0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0];
    assert_eq!(point.bounds, bounds);
}

#[tokio::test]
async fn without_metrics_nothing_is_recorded_and_spans_are() {
    let program = Program::with(|builder| builder.metrics(false)).await;
    program.publish().await;
    assert_eq!(program.meters.points(), []);
    program.span("send");
}

#[tokio::test]
async fn the_global_providers_are_those_that_are_there_when_it_is_built() {
    global::set_text_map_propagator(w3c());
    let early = carrier_amqp::Instrumentation::builder().build();
    let program = Program::new().await;
    let channel = early.channel(program.queue.channel.clone());
    confirmed(&channel, "", &program.queue.name, BasicProperties::default()).await;
    assert_eq!(program.recorder.spans().len(), 0);
    drop(inside(&program.recorder, "there"));
}
