//! Every way to receive a message.

use std::time::{Duration, Instant};

use carrier_tests::telemetry::Recorder;
use carrier_tests::unique_name;
use opentelemetry::Context;
use opentelemetry::context::FutureExt as _;
use rdkafka::consumer::{BaseConsumer, Consumer as _};

use crate::support::{
    LIMIT, assert_continues, carrying, consumer_config, kafka, publishing, receive, send, topic, within,
};

/// A topic with one message, and the context that it carries.
async fn topic_with_a_message() -> (String, Context) {
    let topic = topic(1).await;
    let sent = publishing(&Recorder::new());
    send(&kafka().await.producer(), &topic, Some(carrying(&sent))).await;
    (topic, sent)
}

#[tokio::test]
async fn a_stream_consumer_s_message_brings_the_context() {
    let (topic, sent) = topic_with_a_message().await;
    let consumer = kafka().await.consumer(&topic).await;
    let message = receive(&consumer).await;
    assert_continues(&carrier_kafka::extract(&message), &sent);
}

#[tokio::test]
async fn a_base_consumer_s_message_brings_the_context() {
    let (topic, sent) = topic_with_a_message().await;
    let consumer: BaseConsumer = consumer_config(kafka().await, &unique_name("group")).create().unwrap();
    consumer.subscribe(&[&topic]).unwrap();
    let received = tokio::task::spawn_blocking(move || {
        let deadline = Instant::now() + LIMIT;
        while Instant::now() < deadline {
            if let Some(message) = consumer.poll(Duration::from_millis(100)) {
                return Some(carrier_kafka::extract(&message.unwrap()));
            }
        }
        None
    });
    let found = received.await.unwrap().expect("no message");
    assert_continues(&found, &sent);
}

#[tokio::test]
async fn the_headers_alone_bring_the_context() {
    use rdkafka::Message as _;
    let (topic, sent) = topic_with_a_message().await;
    let consumer = kafka().await.consumer(&topic).await;
    let message = receive(&consumer).await;
    let headers = message.headers().unwrap();
    assert_continues(&carrier_kafka::extract(headers), &sent);
    assert_continues(&carrier_kafka::extract(&headers.detach()), &sent);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_detached_message_brings_the_context_to_another_task() {
    let (topic, sent) = topic_with_a_message().await;
    let consumer = kafka().await.consumer(&topic).await;
    let message = receive(&consumer).await.detach();
    drop(consumer);
    let task = tokio::spawn(async move { carrier_kafka::extract(&message) });
    assert_continues(&within("the task", task).await.unwrap(), &sent);
}

#[tokio::test]
async fn a_detached_message_brings_the_context_to_another_thread() {
    let (topic, sent) = topic_with_a_message().await;
    let consumer = kafka().await.consumer(&topic).await;
    let message = receive(&consumer).await.detach();
    drop(consumer);
    let thread = std::thread::spawn(move || carrier_kafka::extract(&message));
    assert_continues(&thread.join().unwrap(), &sent);
}

#[tokio::test]
async fn a_handler_runs_with_the_context_over_its_awaits() {
    let (topic, sent) = topic_with_a_message().await;
    let consumer = kafka().await.consumer(&topic).await;
    let message = receive(&consumer).await;
    let handler = async {
        tokio::task::yield_now().await;
        Context::current()
    };
    let found = handler.with_context(carrier_kafka::extract(&message)).await;
    assert_continues(&found, &sent);
    assert!(!opentelemetry::trace::TraceContextExt::has_active_span(&Context::current()));
}
