//! Every producer of rdkafka's.

use carrier_tests::telemetry::Recorder;
use rdkafka::Message as _;
use rdkafka::producer::{BaseProducer, BaseRecord, FutureRecord, Producer as _, ThreadedProducer};
use rdkafka::producer::{DefaultProducerContext, DeliveryFuture};

use crate::support::{LIMIT, assert_continues, consumer, kafka, publishing, receive, topic, within};

async fn assert_arrives_with(topic: &str, sent: &opentelemetry::Context) {
    let consumer = consumer(topic).await;
    let message = receive(&consumer).await;
    assert_eq!(message.payload(), Some(&b"payload"[..]));
    assert_continues(&carrier_kafka::extract(&message), sent);
}

#[tokio::test]
async fn a_message_of_a_future_producer_continues_the_trace() {
    let topic = topic(1).await;
    let sent = publishing(&Recorder::new());
    let mut record = FutureRecord::to(&topic).key("key").payload("payload");
    carrier_kafka::inject(&sent, &mut record);
    kafka().await.producer().send(record, LIMIT).await.unwrap();
    assert_arrives_with(&topic, &sent).await;
}

#[tokio::test]
async fn a_message_of_send_result_continues_the_trace() {
    let topic = topic(1).await;
    let sent = publishing(&Recorder::new());
    let producer = kafka().await.producer();
    let mut record = FutureRecord::to(&topic).key("key").payload("payload");
    carrier_kafka::inject(&sent, &mut record);
    let queued: Result<DeliveryFuture, _> = producer.send_result(record);
    within("a delivery report", queued.unwrap()).await.unwrap().unwrap();
    assert_arrives_with(&topic, &sent).await;
}

#[tokio::test]
async fn a_message_of_a_base_producer_continues_the_trace() {
    let topic = topic(1).await;
    let sent = publishing(&Recorder::new());
    let producer: BaseProducer = kafka().await.client_config().create().unwrap();
    let mut record = BaseRecord::to(&topic).key("key").payload("payload");
    carrier_kafka::inject(&sent, &mut record);
    producer.send(record).map_err(|(error, _)| error).unwrap();
    producer.flush(LIMIT).unwrap();
    assert_arrives_with(&topic, &sent).await;
}

#[tokio::test]
async fn a_message_of_a_threaded_producer_continues_the_trace() {
    let topic = topic(1).await;
    let sent = publishing(&Recorder::new());
    let producer: ThreadedProducer<DefaultProducerContext> = kafka().await.client_config().create().unwrap();
    let mut record = BaseRecord::to(&topic).key("key").payload("payload");
    carrier_kafka::inject(&sent, &mut record);
    producer.send(record).map_err(|(error, _)| error).unwrap();
    producer.flush(LIMIT).unwrap();
    assert_arrives_with(&topic, &sent).await;
}

#[tokio::test]
async fn a_tombstone_carries_a_context() {
    let topic = topic(1).await;
    let sent = publishing(&Recorder::new());
    let mut record = FutureRecord::<str, [u8]>::to(&topic).key("gone");
    carrier_kafka::inject(&sent, &mut record);
    kafka().await.producer().send(record, LIMIT).await.unwrap();

    let consumer = consumer(&topic).await;
    let message = receive(&consumer).await;

    assert_eq!(message.payload(), None);
    assert_eq!(message.key(), Some(&b"gone"[..]));
    assert_continues(&carrier_kafka::extract(&message), &sent);
}

#[tokio::test]
async fn a_message_without_key_and_payload_carries_a_context() {
    let topic = topic(1).await;
    let sent = publishing(&Recorder::new());
    let mut record = FutureRecord::<[u8], [u8]>::to(&topic);
    carrier_kafka::inject(&sent, &mut record);
    kafka().await.producer().send(record, LIMIT).await.unwrap();

    let consumer = consumer(&topic).await;
    let message = receive(&consumer).await;

    assert_eq!((message.key(), message.payload()), (None, None));
    assert_continues(&carrier_kafka::extract(&message), &sent);
}
