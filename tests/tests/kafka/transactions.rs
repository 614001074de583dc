//! Transactions: what was aborted leaves nothing behind in what is committed later.

use carrier_tests::telemetry::Recorder;
use carrier_tests::{Kafka, unique_name};
use rdkafka::consumer::{Consumer as _, StreamConsumer};
use rdkafka::error::KafkaResult;
use rdkafka::producer::{FutureProducer, Producer as _};

use crate::support::{
    LIMIT, assert_continues, carrying, consumer_config, kafka, new_trace, publishing, receive, send, topic,
};

async fn transactional_producer() -> FutureProducer {
    let mut config = kafka().await.client_config();
    let producer: FutureProducer =
        config.set("transactional.id", unique_name("transaction")).create().unwrap();
    blocking(&producer, |producer| producer.init_transactions(LIMIT)).await;
    producer
}

fn consumer(kafka: &Kafka, topic: &str, isolation: &str) -> StreamConsumer {
    let mut config = consumer_config(kafka, &unique_name("group"));
    let consumer: StreamConsumer = config.set("isolation.level", isolation).create().unwrap();
    consumer.subscribe(&[topic]).unwrap();
    consumer
}

/// librdkafka's calls for transactions wait for the broker.
async fn blocking<F>(producer: &FutureProducer, call: F)
where
    F: FnOnce(&FutureProducer) -> KafkaResult<()> + Send + 'static,
{
    let producer = producer.clone();
    tokio::task::spawn_blocking(move || call(&producer)).await.unwrap().unwrap();
}

#[tokio::test]
async fn a_committed_message_brings_its_context() {
    let topic = topic(1).await;
    let producer = transactional_producer().await;
    let sent = publishing(&Recorder::new());
    producer.begin_transaction().unwrap();
    send(&producer, &topic, Some(carrying(&sent))).await;
    blocking(&producer, |producer| producer.commit_transaction(LIMIT)).await;

    let consumer = consumer(kafka().await, &topic, "read_committed");
    let message = receive(&consumer).await;

    assert_continues(&carrier_kafka::extract(&message), &sent);
}

#[tokio::test]
async fn an_aborted_message_is_not_seen_and_the_next_has_its_own_context() {
    let topic = topic(1).await;
    let producer = transactional_producer().await;
    let (aborted, committed) = (publishing(&Recorder::new()), new_trace(&Recorder::new()));
    producer.begin_transaction().unwrap();
    send(&producer, &topic, Some(carrying(&aborted))).await;
    blocking(&producer, |producer| producer.abort_transaction(LIMIT)).await;
    producer.begin_transaction().unwrap();
    send(&producer, &topic, Some(carrying(&committed))).await;
    blocking(&producer, |producer| producer.commit_transaction(LIMIT)).await;

    let committed_only = consumer(kafka().await, &topic, "read_committed");
    let first_seen = receive(&committed_only).await;
    assert_continues(&carrier_kafka::extract(&first_seen), &committed);

    // The aborted message did reach the broker.
    let everything = consumer(kafka().await, &topic, "read_uncommitted");
    let first_stored = receive(&everything).await;
    assert_continues(&carrier_kafka::extract(&first_stored), &aborted);
}
