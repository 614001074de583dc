//! The harness itself: each broker takes a message and gives it back, without any code of ours.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

use std::time::Duration;

use carrier_tests::{Kafka, OwnRabbitMq, RabbitMq, kafka, rabbitmq, unique_name};
use futures::StreamExt as _;
use lapin::options::{
    BasicAckOptions, BasicConsumeOptions, BasicGetOptions, BasicPublishOptions, QueueDeclareOptions,
};
use lapin::types::FieldTable;
use lapin::{BasicProperties, Channel};
use rdkafka::Message as _;
use rdkafka::producer::FutureRecord;

async fn publish(channel: &Channel, queue: &str, body: &[u8]) {
    let persistent = BasicProperties::default().with_delivery_mode(2);
    let published = channel
        .basic_publish("".into(), queue.into(), BasicPublishOptions::default(), body, persistent)
        .await;
    published.unwrap().await.unwrap();
}

#[tokio::test]
async fn rabbitmq_gives_back_what_was_published() {
    let channel = rabbitmq().await.channel().await;
    let queue = rabbitmq().await.declare_queue(&channel).await;
    publish(&channel, &queue, b"hello").await;

    let mut consumer = channel
        .basic_consume(
            queue.as_str().into(),
            "".into(),
            BasicConsumeOptions::default(),
            FieldTable::default(),
        )
        .await
        .unwrap();
    let delivery = consumer.next().await.unwrap().unwrap();

    assert_eq!(delivery.data, b"hello");
    delivery.ack(BasicAckOptions::default()).await.unwrap();
}

#[tokio::test]
async fn kafka_gives_back_what_was_produced() {
    let kafka = kafka().await;
    let topic = unique_name("smoke");
    kafka.create_topic(&topic, 2).await;
    let record = FutureRecord::to(&topic).key("key").payload("hello");
    kafka.producer().send(record, Duration::from_secs(10)).await.unwrap();

    // The consumer comes second: its group must begin with the first message all the same.
    let consumer = kafka.consumer(&topic).await;
    let message = consumer.recv().await.unwrap();

    assert_eq!(message.payload(), Some(&b"hello"[..]));
}

#[tokio::test]
async fn an_own_rabbitmq_comes_back_at_its_address_with_its_queues() {
    let own: OwnRabbitMq = RabbitMq::start_own().await;
    let queue = unique_name("durable");
    let durable = QueueDeclareOptions { durable: true, ..QueueDeclareOptions::default() };
    let channel = own.channel().await;
    channel.queue_declare(queue.as_str().into(), durable, FieldTable::default()).await.unwrap();
    publish(&channel, &queue, b"kept").await;

    own.stop().await;
    assert!(RabbitMq::connect(own.url()).await.is_err());
    own.start().await;

    let channel = own.channel().await;
    let got = channel.basic_get(queue.as_str().into(), BasicGetOptions { no_ack: true }).await.unwrap();
    assert_eq!(got.unwrap().data, b"kept");
    let queues = own.exec(["rabbitmqctl", "list_queues", "--quiet", "name"]).await;
    assert!(queues.contains(&queue), "{queues}");
}

#[tokio::test]
async fn an_own_kafka_comes_back_at_its_address_with_its_topics() {
    let own = Kafka::start_own().await;
    let topic = unique_name("kept");
    own.create_topic(&topic, 1).await;
    let record = FutureRecord::to(&topic).key("key").payload("kept");
    let producer = own.producer();
    producer.send(record, Duration::from_secs(10)).await.unwrap();

    own.stop().await;
    own.start().await;

    let message = own.consumer(&topic).await;
    assert_eq!(message.recv().await.unwrap().payload(), Some(&b"kept"[..]));
}

#[tokio::test]
async fn a_broker_that_is_not_there_is_named_within_seconds() {
    // Port 1 is nobody's; the password must not be in the error.
    let error = RabbitMq::connect("amqp://user:secret@127.0.0.1:1/%2f").await;
    let text = format!("{:#}", error.unwrap_err());
    assert!(text.contains("127.0.0.1:1"), "{text}");
    assert!(!text.contains("secret"), "{text}");

    let error = RabbitMq::connect("http://user:secret@somewhere").await;
    let text = format!("{:#}", error.unwrap_err());
    assert!(text.contains("no AMQP URL") && !text.contains("secret"), "{text}");

    let began = std::time::Instant::now();
    let error = Kafka::check("127.0.0.1:1").await;
    let text = format!("{:#}", error.unwrap_err());
    assert!(text.contains("127.0.0.1:1"), "{text}");
    assert!(began.elapsed() < Duration::from_secs(10));
}
