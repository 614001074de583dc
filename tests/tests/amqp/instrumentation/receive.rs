//! A message that is asked for: a receive span, and then a process span as for any other.

use lapin::options::BasicGetOptions;

use super::support::{Program, ack, inside};
use opentelemetry::context::FutureExt as _;
use opentelemetry::trace::TraceContextExt as _;

#[tokio::test]
async fn a_message_that_is_asked_for_is_received_and_processed() {
    let program = Program::new().await;
    program.publish().await;
    let around = inside(&program.recorder, "polling");
    let got = program.channel().basic_get(program.queue.name.as_str().into(), BasicGetOptions::default());
    let message = got.with_context(around.clone()).await.unwrap().unwrap();
    around.span().end();
    assert_eq!(message.message_count, 0);
    let message = program.amqp.process(&program.queue.name, message);
    message.run(async { message.ack(ack()).await }).await.unwrap();
    program.assert_spans(
        "
producer send QUEUE
  messaging.destination.name = QUEUE
  messaging.message.body.size = 2
  messaging.operation.name = send
  messaging.operation.type = send
  messaging.rabbitmq.destination.routing_key = QUEUE
  messaging.system = rabbitmq
internal polling
client receive QUEUE
  parent polling
  link send QUEUE
  messaging.destination.name = QUEUE
  messaging.message.body.size = 2
  messaging.operation.name = receive
  messaging.operation.type = receive
  messaging.rabbitmq.destination.routing_key = QUEUE
  messaging.rabbitmq.message.delivery_tag = 1
  messaging.system = rabbitmq
consumer process QUEUE
  parent send QUEUE
  carrier.settlement = acked
  messaging.destination.name = QUEUE
  messaging.message.body.size = 2
  messaging.operation.name = process
  messaging.operation.type = process
  messaging.rabbitmq.destination.routing_key = QUEUE
  messaging.rabbitmq.message.delivery_tag = 1
  messaging.system = rabbitmq",
    );
}

#[tokio::test]
async fn an_empty_queue_leaves_no_span_and_no_metric() {
    let program = Program::new().await;
    for _ in 0..20 {
        let name = program.queue.name.as_str().into();
        assert_eq!(program.channel().basic_get(name, BasicGetOptions::default()).await.unwrap(), None);
    }
    program.assert_spans("");
    assert_eq!(program.meters.points(), []);
}

#[tokio::test]
async fn a_queue_that_is_not_there_fails_the_receive_span() {
    let program = Program::new().await;
    let missing = carrier_tests::unique_name("missing");
    let got = program.channel().basic_get(missing.as_str().into(), BasicGetOptions::default()).await;
    got.unwrap_err();
    let received = program.recorder.span(&format!("receive {missing}"));
    let error_type = received.attributes.iter().find(|pair| pair.key.as_str() == "error.type").unwrap();
    assert_eq!(error_type.value.as_str(), "not-found");
}
