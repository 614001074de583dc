//! Settlements: their spans, which are off by default, and those that are made without us.

use lapin::options::BasicRejectOptions;

use super::support::{Program, ack};
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

#[tokio::test]
async fn a_settlement_through_lapins_own_field_is_seen() {
    let program = Program::new().await;
    program.publish().await;
    let delivery = program.amqp.process(&program.queue.name, program.received().await);
    assert!(delivery.acker.ack(ack()).await.unwrap());
    drop(delivery);
    assert_eq!(program.end_of("process"), ["carrier.settlement = settled"]);
}

#[tokio::test]
async fn a_settlement_through_the_channel_is_not_seen_and_no_error() {
    let program = Program::new().await;
    program.publish().await;
    let delivery = program.amqp.process(&program.queue.name, program.received().await);
    program.queue.channel.basic_ack(delivery.delivery_tag, ack()).await.unwrap();
    drop(delivery);
    assert_eq!(program.end_of("process"), ["carrier.settlement = not_settled"]);
}

#[tokio::test]
async fn a_channel_that_is_closed_fails_the_span_and_the_message_is_given_out_again() {
    let program = Program::with_open_queue(|builder| builder).await;
    program.publish().await;
    let (first, delivery) = program.received_elsewhere().await;
    first.close(200, "done".into()).await.unwrap();
    drop(delivery);
    assert_eq!(
        program.end_of("process"),
        [
            "carrier.settlement = channel_closed",
            "error.type = channel_closed",
            "status error: the channel was closed before the message was settled",
        ]
    );
    assert!(program.received().await.redelivered);
}

#[tokio::test]
async fn an_acknowledgement_on_a_closed_channel_is_lapins_answer_and_fails_the_span() {
    let program = Program::with_open_queue(|builder| builder).await;
    program.publish().await;
    let (first, delivery) = program.received_elsewhere().await;
    first.close(200, "done".into()).await.unwrap();
    assert!(!delivery.ack(ack()).await.unwrap());
    drop(delivery);
    assert_eq!(program.end_of("process")[0], "carrier.settlement = channel_closed");
}
