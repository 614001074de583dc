//! Futures of a producer that are dropped: the outcome is unknown, and the message is sent all the same.

use std::time::Duration;

use futures::FutureExt as _;
use rdkafka::producer::{FutureRecord, Producer as _};

use crate::support::{LIMIT, consumer, receive, sending, service, span_of, topic};

#[tokio::test]
async fn a_send_future_that_is_dropped_ends_its_span_with_the_status_unset() {
    let (service, topic) = (service().await, topic(1).await);
    let producer = service.producer().await;
    let record = FutureRecord::to(&topic).key("17").payload("payload");

    assert!(producer.send(record, LIMIT).now_or_never().is_none());

    assert_eq!(service.recorder.whole(&format!("send {topic}")), sending(&topic).await);
    producer.flush(LIMIT).unwrap();
    let consumer = consumer(&topic).await;
    let found = carrier_kafka::extract(&receive(&consumer).await);
    assert_eq!(span_of(&found).span_id(), service.recorder.spans()[0].span_context.span_id());
}

#[tokio::test]
async fn a_send_future_that_is_never_polled_has_no_span_and_sends_nothing() {
    let (service, topic) = (service().await, topic(1).await);
    let producer = service.producer().await;
    drop(producer.send(FutureRecord::to(&topic).key("17").payload("payload"), LIMIT));
    assert_eq!((service.recorder.spans().len(), service.recorder.open_spans()), (0, 0));
    assert_eq!(producer.in_flight_count(), 0);
}

#[tokio::test]
async fn a_delivery_future_that_is_dropped_ends_its_span_with_the_status_unset() {
    let (service, topic) = (service().await, topic(1).await);
    let producer = service.producer().await;
    let record = FutureRecord::to(&topic).key("17").payload("payload");
    drop(producer.send_result(record).map_err(|(error, _)| error).unwrap());
    assert_eq!(service.recorder.whole(&format!("send {topic}")), sending(&topic).await);
    producer.flush(LIMIT).unwrap();
    let consumer = consumer(&topic).await;
    receive(&consumer).await;
}

#[tokio::test]
async fn a_send_that_is_given_up_half_way_ends_its_span_once() {
    let service = service().await;
    let unreachable = crate::support::unreachable().set("message.timeout.ms", "60000").clone();
    let producer = unreachable.create::<rdkafka::producer::FutureProducer>().unwrap();
    let producer = service.kafka.future_producer(producer);
    let sending = producer.send(FutureRecord::to("orders").key("17").payload("payload"), LIMIT);
    assert!(tokio::time::timeout(Duration::from_millis(50), sending).await.is_err());
    assert_eq!((service.recorder.spans().len(), service.recorder.open_spans()), (1, 0));
    tokio::task::spawn_blocking(move || drop(producer)).await.unwrap();
    assert_eq!((service.recorder.spans().len(), service.recorder.open_spans()), (1, 0));
}
