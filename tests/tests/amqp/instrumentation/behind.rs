//! What is done behind our back: through the channel, the delivery's own field, or by the broker.

use super::{Program, ack};

#[tokio::test]
async fn a_settlement_through_lapins_own_field_is_seen() {
    let program = Program::new().await;
    program.publish().await;
    let delivery = program.amqp.process(&program.queue.name, program.received().await);
    assert!(delivery.acker.ack(ack()).await.unwrap());
    drop(delivery);
    assert_eq!(program.end_of("process"), ["carrier.settlement = settled_elsewhere"]);
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
