//! Spans of settlements, which are off by default.

use lapin::options::BasicRejectOptions;

use super::{Program, ack};
use crate::support::next;

#[tokio::test]
async fn a_settlement_has_a_span_where_it_is_wanted() {
    let program = Program::with(|builder| builder.settle_spans(true)).await;
    program.publish().await;
    let delivery = program.amqp.process(&program.queue.name, program.received().await);
    delivery.run(async { delivery.ack(ack()).await }).await.unwrap();
    let spans =
        carrier_tests::picture::spans(&program.recorder.spans()).replace(&program.queue.name, "QUEUE");
    let expected = "
client ack QUEUE
  parent process QUEUE
  link send QUEUE
  messaging.destination.name = QUEUE
  messaging.operation.name = ack
  messaging.operation.type = settle
  messaging.rabbitmq.message.delivery_tag = 1
  messaging.system = rabbitmq";
    assert!(spans.trim_end().ends_with(expected), "{spans}");
}

#[tokio::test]
async fn each_way_of_settling_has_its_name() {
    let program = Program::with(|builder| builder.settle_spans(true)).await;
    for _ in 0..2 {
        program.publish().await;
    }
    let mut consumer = program.queue.consumer().await;
    let nacked = program.amqp.process(&program.queue.name, next(&mut consumer).await);
    nacked.nack(Default::default()).await.unwrap();
    let rejected = program.amqp.process(&program.queue.name, next(&mut consumer).await);
    rejected.reject(BasicRejectOptions::default()).await.unwrap();
    drop((nacked, rejected));
    for operation in ["nack", "reject"] {
        assert_eq!(program.end_of(operation), [""; 0]);
    }
}

#[tokio::test]
async fn a_settlement_that_cannot_be_sent_has_a_span_without_an_error() {
    let program = Program::with_open_queue(|builder| builder.settle_spans(true)).await;
    program.publish().await;
    let (first, delivery) = program.received_elsewhere().await;
    first.close(200, "done".into()).await.unwrap();
    assert!(!delivery.ack(ack()).await.unwrap());
    drop(delivery);
    assert_eq!(program.end_of("ack"), [""; 0]);
}
