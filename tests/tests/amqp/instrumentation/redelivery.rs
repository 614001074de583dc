//! What the broker says of earlier attempts is on the span, and at hand for the handler.

use carrier_amqp::instrumentation::Redelivery;
use carrier_tests::telemetry::sampled_context;
use carrier_tests::unique_name;
use lapin::options::{BasicNackOptions, QueueDeclareOptions, QueueDeleteOptions};
use lapin::types::AMQPValue;

use super::support::{Program, ack};
use crate::redelivery::{dead_lettered, dead_letters_to};
use crate::support::{carrying, consumer, next, publish, table, text};

/// The attributes of ours that a span has.
fn ours(span: &opentelemetry_sdk::trace::SpanData) -> Vec<String> {
    let text = carrier_tests::picture::spans(std::slice::from_ref(span));
    let lines = text.lines().filter(|line| line.starts_with("  carrier.rabbitmq"));
    lines.map(|line| line.trim().to_owned()).collect()
}

#[tokio::test]
async fn a_quorum_queue_counts_the_attempts() {
    let program = Program::new().await;
    let name = unique_name("quorum");
    let durable = QueueDeclareOptions { durable: true, ..QueueDeclareOptions::default() };
    let arguments = table([("x-queue-type", text("quorum")), ("x-expires", AMQPValue::LongInt(60_000))]);
    let channel = &program.queue.channel;
    channel.queue_declare(name.as_str().into(), durable, arguments).await.unwrap();
    publish(channel, "", &name, carrying(&sampled_context()), b"").await;
    let mut deliveries = consumer(channel, &name).await;
    let requeue = BasicNackOptions { requeue: true, ..BasicNackOptions::default() };
    for attempt in 0..2 {
        let delivery = program.amqp.process(&name, next(&mut deliveries).await);
        assert_eq!(Redelivery::of(&delivery).attempts(), attempt);
        delivery.nack(requeue).await.unwrap();
    }
    program.recorder.reset();
    let delivery = program.amqp.process(&name, next(&mut deliveries).await);
    assert_eq!(Redelivery::of(&delivery).delivery_count, Some(2));
    delivery.ack(ack()).await.unwrap();
    drop(delivery);
    let says = ours(&program.recorder.span(&format!("process {name}")));
    assert!(says.contains(&"carrier.rabbitmq.delivery_count = 2".to_owned()), "{says:?}");
    assert!(says.contains(&"carrier.rabbitmq.redelivered = true".to_owned()), "{says:?}");
    assert!(says.contains(&"carrier.rabbitmq.attempts = 2".to_owned()), "{says:?}");
    channel.queue_delete(name.as_str().into(), QueueDeleteOptions::default()).await.unwrap();
}

/// RabbitMQ 4.0 removes the count when a delivery limit dead-letters a message, so `attempts` would be 1.
#[tokio::test]
async fn after_a_delivery_limit_the_span_states_no_wrong_number_of_attempts() {
    let (program, name) = (Program::new().await, unique_name("quorum"));
    let durable = QueueDeclareOptions { durable: true, ..QueueDeclareOptions::default() };
    let quorum = [
        ("x-queue-type", text("quorum")),
        ("x-expires", AMQPValue::LongInt(60_000)),
        ("x-delivery-limit", AMQPValue::LongInt(2)),
    ];
    let arguments = table(quorum.into_iter().chain(dead_letters_to(&program.queue)));
    let channel = &program.queue.channel;
    channel.queue_declare(name.as_str().into(), durable, arguments).await.unwrap();
    publish(channel, "", &name, carrying(&sampled_context()), b"").await;
    let mut deliveries = consumer(channel, &name).await;
    let requeue = BasicNackOptions { requeue: true, ..BasicNackOptions::default() };
    for _ in 0..3 {
        next(&mut deliveries).await.nack(requeue).await.unwrap();
    }
    let delivery = program.amqp.process(&program.queue.name, program.received().await);
    let found = Redelivery::of(&delivery);
    assert_eq!((found.delivery_limits, found.first_death_reason), (1, Some("delivery_limit")));
    let is_known = found.delivery_count.is_some_and(|count| count >= 3);
    delivery.ack(ack()).await.unwrap();
    drop(delivery);
    let says = ours(&program.span("process"));
    let attempts: Vec<_> = says.iter().filter(|line| line.contains(".attempts")).collect();
    match is_known {
        true => assert_eq!(attempts, ["carrier.rabbitmq.attempts = 3"]),
        false => assert_eq!(attempts, [""; 0], "{says:?}"),
    }
    assert!(says.contains(&"carrier.rabbitmq.death.first_reason = delivery_limit".to_owned()), "{says:?}");
    channel.queue_delete(name.as_str().into(), QueueDeleteOptions::default()).await.unwrap();
}

#[tokio::test]
async fn a_dead_lettered_message_says_where_and_why_it_died_first() {
    let program = Program::new().await;
    let (dead, delivery) = dead_lettered(&sampled_context()).await;
    let first = Redelivery::of(&delivery).first_death_queue.unwrap().to_owned();
    let delivery = program.amqp.process(&dead.name, delivery);
    assert_eq!(Redelivery::of(&delivery).attempts(), 0);
    delivery.ack(ack()).await.unwrap();
    drop(delivery);
    let processed = program.recorder.span(&format!("process {}", dead.name));
    let expected = [
        "carrier.rabbitmq.death.count = 1".to_owned(),
        format!("carrier.rabbitmq.death.first_queue = {first}"),
        "carrier.rabbitmq.death.first_reason = expired".to_owned(),
    ];
    assert_eq!(ours(&processed), expected);
}
