//! The span of a message ends with its delivery report, whatever happens to the future.

use std::time::Instant;

use rdkafka::Message as _;

use rdkafka::producer::DefaultProducerContext;

use super::*;

const LIMIT: Duration = Duration::from_secs(10);

/// Waits until a span has ended, and returns it.
fn ended(recorded: &Recorded) -> SpanData {
    let start = Instant::now();
    while recorded.exporter.get_finished_spans().unwrap().is_empty() {
        assert!(start.elapsed() < LIMIT, "no span has ended");
        std::thread::sleep(Duration::from_millis(1));
    }
    recorded.one()
}

fn config_of(cluster: &MockCluster<'_, DefaultProducerContext>) -> ClientConfig {
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", cluster.bootstrap_servers());
    config
}

fn record() -> FutureRecord<'static, str, str> {
    FutureRecord::to("orders").key("k").payload("p")
}

#[tokio::test]
async fn a_future_that_is_awaited_late_has_no_part_in_the_duration() {
    let cluster = MockCluster::new(1).unwrap();
    cluster.create_topic("orders", 1, 1).unwrap();
    let recorded = recorded(|builder| builder);
    let producer = recorded.kafka.future_producer(&config_of(&cluster)).unwrap();
    let waiting = producer.send_result(record()).unwrap();
    let span = ended(&recorded);
    let delivery = waiting.await.unwrap().unwrap();
    assert_eq!((delivery.partition, delivery.offset), (0, 0));
    assert_eq!(attribute_of(&span, "messaging.kafka.offset"), Some(0.into()));
    assert_eq!(recorded.one().end_time, span.end_time);
}

#[test]
fn the_report_ends_the_span_of_a_future_that_is_dropped() {
    let cluster = MockCluster::new(1).unwrap();
    cluster.create_topic("orders", 1, 1).unwrap();
    let recorded = recorded(|builder| builder);
    let producer = recorded.kafka.future_producer(&config_of(&cluster)).unwrap();
    drop(producer.send_result(record()).unwrap());
    let span = ended(&recorded);
    assert_eq!(span.status, Status::Unset);
    assert_eq!(attribute_of(&span, "messaging.kafka.offset"), Some(0.into()));
}

#[test]
fn a_message_that_is_not_delivered_is_a_failure_if_its_future_is_dropped() {
    let recorded = recorded(|builder| builder);
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", "127.0.0.1:1").set("message.timeout.ms", "100");
    let producer = recorded.kafka.future_producer(&config).unwrap();
    drop(producer.send_result(record()).unwrap());
    assert_eq!(error_type(&ended(&recorded)).as_deref(), Some("_MSG_TIMED_OUT"));
}

/// A producer without a broker whose queue is full.
fn full(recorded: &Recorded) -> FutureProducer {
    let mut config = ClientConfig::new();
    config.set("queue.buffering.max.messages", "1");
    let producer = recorded.kafka.future_producer(&config).unwrap();
    drop(producer.send_result(record()).unwrap());
    producer
}

#[tokio::test]
async fn a_queue_that_stays_full_is_one_failure_and_the_message_has_its_own_headers() {
    let recorded = recorded(|builder| builder);
    let producer = full(&recorded);
    let record = record().headers(own_headers()).partition(3).timestamp(7);
    // Long enough for a second try.
    let (error, mut message) = producer.send(record, Duration::from_millis(150)).await.unwrap_err();
    assert_eq!(error, KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull));
    assert_eq!(headers_of(&message.detach_headers()), headers_of(&Some(own_headers())));
    assert_eq!(
        (message.topic(), message.partition(), message.timestamp().to_millis()),
        ("orders", 3, Some(7))
    );
    assert_eq!((message.key(), message.payload()), (Some(&b"k"[..]), Some(&b"p"[..])));
    assert_eq!(error_type(&recorded.one()).as_deref(), Some("_QUEUE_FULL"));
}

#[tokio::test]
async fn a_future_that_is_dropped_before_there_is_room_was_not_sent() {
    let recorded = recorded(|builder| builder);
    let producer = full(&recorded);
    let sending = producer.send(record(), LIMIT);
    assert!(tokio::time::timeout(Duration::from_millis(10), sending).await.is_err());
    assert_eq!(error_type(&recorded.one()).as_deref(), Some("cancelled"));
}

#[tokio::test]
async fn a_future_waits_until_there_is_room() {
    let recorded = recorded(|builder| builder);
    let producer = full(&recorded);
    let (later, purged) = (producer.clone(), PurgeConfig::default().queue());
    let room = async {
        tokio::time::sleep(Duration::from_millis(20)).await;
        later.purge(purged);
        // The second message is in the queue now, after another try.
        tokio::time::sleep(Duration::from_millis(300)).await;
        later.purge(purged);
    };
    let (sent, ()) = tokio::join!(producer.send(record(), LIMIT), room);
    assert_eq!(sent.unwrap_err().0, KafkaError::MessageProduction(RDKafkaErrorCode::PurgeQueue));
    let spans = recorded.exporter.get_finished_spans().unwrap();
    assert_eq!(spans.len(), 2);
    assert!(spans.iter().all(|span| error_type(span).as_deref() == Some("_PURGE_QUEUE")), "{spans:?}");
}

#[tokio::test]
async fn a_message_in_flight_when_its_producer_is_dropped_ends_with_what_is_known() {
    let cluster = MockCluster::new(1).unwrap();
    cluster.create_topic("orders", 1, 1).unwrap();
    let recorded = recorded(|builder| builder);
    let producer = recorded.kafka.future_producer(&config_of(&cluster)).unwrap();
    // Connects.
    producer.send(record(), LIMIT).await.unwrap();
    recorded.exporter.reset();
    cluster.broker_round_trip_time(1, Duration::from_secs(5)).unwrap();
    let waiting = producer.send_result(record().headers(own_headers())).unwrap();
    tokio::time::sleep(Duration::from_millis(500)).await;
    tokio::task::spawn_blocking(move || drop(producer)).await.unwrap();
    let (error, mut message) = waiting.await.unwrap().unwrap_err();
    assert_eq!(error, KafkaError::MessageProduction(RDKafkaErrorCode::PurgeInflight));
    assert_eq!(headers_of(&message.detach_headers()), headers_of(&Some(own_headers())));
    assert_eq!(error_type(&recorded.one()).as_deref(), Some("_PURGE_INFLIGHT"));
}
