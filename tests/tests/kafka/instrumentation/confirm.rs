//! Futures of a producer that are dropped, or awaited late: the span and the metrics are those of the delivery report.

use std::time::{Duration, Instant};

use futures::FutureExt as _;
use rdkafka::producer::{FutureRecord, Producer as _};

use super::support::{LIMIT, Service, at, consumer, receive, sending, service, span_of, topic, unreachable};

/// Waits until a span has ended.
async fn ended(service: &Service) {
    let start = Instant::now();
    while service.recorder.spans().is_empty() {
        assert!(start.elapsed() < LIMIT, "no span has ended");
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    assert_eq!(service.recorder.open_spans(), 0);
}

#[tokio::test]
async fn a_send_future_that_is_dropped_leaves_its_span_to_the_delivery_report() {
    let (service, topic) = (service().await, topic(1).await);
    let producer = service.producer().await;
    let record = FutureRecord::to(&topic).key("17").payload("payload");

    assert!(producer.send(record, LIMIT).now_or_never().is_none());

    producer.flush(LIMIT).unwrap();
    ended(&service).await;
    assert_eq!(service.recorder.whole(&format!("send {topic}")), sending(&topic).await.with(at("0", 0)));
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
async fn a_delivery_future_that_is_dropped_leaves_its_span_to_the_delivery_report() {
    let (service, topic) = (service().await, topic(1).await);
    let producer = service.producer().await;
    let record = FutureRecord::to(&topic).key("17").payload("payload");
    drop(producer.send_result(record).map_err(|(error, _)| error).unwrap());
    ended(&service).await;
    assert_eq!(service.recorder.whole(&format!("send {topic}")), sending(&topic).await.with(at("0", 0)));
    assert_eq!(service.meters.point("messaging.client.sent.messages").attribute("error.type"), None);
    let consumer = consumer(&topic).await;
    receive(&consumer).await;
}

#[tokio::test]
async fn a_message_that_is_not_delivered_is_not_counted_as_sent_if_its_future_is_dropped() {
    let service = service().await;
    let producer = service.kafka.future_producer(&unreachable()).unwrap();
    let record = FutureRecord::to("orders").key("17").payload("payload");
    drop(producer.send_result(record).map_err(|(error, _)| error).unwrap());
    ended(&service).await;
    let span = &service.recorder.spans()[0];
    let error_type = span.attributes.iter().find(|attribute| attribute.key.as_str() == "error.type");
    assert_eq!(error_type.unwrap().value, "_MSG_TIMED_OUT".into());
    for metric in ["messaging.client.operation.duration", "messaging.client.sent.messages"] {
        let point = service.meters.point(metric);
        assert_eq!(
            (point.attribute("error.type"), point.count),
            (Some(&"_MSG_TIMED_OUT".into()), 1),
            "{metric}"
        );
    }
}

#[tokio::test]
async fn the_time_before_a_future_is_awaited_is_no_part_of_the_duration() {
    let (service, topic) = (service().await, topic(1).await);
    let producer = service.producer().await;
    // Connects.
    producer.send(FutureRecord::to(&topic).key("17").payload("payload"), LIMIT).await.unwrap();
    service.recorder.reset();
    let record = FutureRecord::to(&topic).key("17").payload("payload");
    let waiting = producer.send_result(record).map_err(|(error, _)| error).unwrap();
    ended(&service).await;
    let late = Instant::now() + Duration::from_secs(2);
    tokio::time::sleep_until(late.into()).await;
    waiting.await.unwrap().unwrap();
    let span = service.recorder.spans().remove(0);
    assert!(span.end_time.duration_since(span.start_time).unwrap() < Duration::from_secs(2), "{span:?}");
}

#[tokio::test]
async fn a_send_that_is_given_up_half_way_ends_its_span_once() {
    let service = service().await;
    let unreachable = unreachable().set("message.timeout.ms", "60000").clone();
    let producer = service.kafka.future_producer(&unreachable).unwrap();
    let sending = producer.send(FutureRecord::to("orders").key("17").payload("payload"), LIMIT);
    assert!(tokio::time::timeout(Duration::from_millis(50), sending).await.is_err());
    // It is in the queue, and its report is still to come.
    assert_eq!((service.recorder.spans().len(), service.recorder.open_spans()), (0, 1));
    tokio::task::spawn_blocking(move || drop(producer)).await.unwrap();
    assert_eq!((service.recorder.spans().len(), service.recorder.open_spans()), (1, 0));
}
