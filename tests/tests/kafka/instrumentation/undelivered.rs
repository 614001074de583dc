//! Messages that are not delivered: each span ends once with the reason, and the record is what it was.

use std::time::Duration;

use carrier_core::{Existing, Propagation};
use carrier_tests::telemetry::Recorder;
use rdkafka::Message as _;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::OwnedHeaders;
use rdkafka::producer::{BaseRecord, FutureRecord};

use super::support::{
    Attribute, CLIENT, LIMIT, Service, blocking, config, sending, server, service, service_with, topic,
    unreachable, within,
};
use crate::raw;

/// A user's headers, with every trap in them.
const OWN: [raw::Header<'static>; 6] = [
    (b"user", Some(b"1")),
    (b"null", None),
    (b"user", Some(b"\xff\x00\xfe")),
    (b"empty", Some(b"")),
    (b"\xff\xfe", Some(b"the key is no text")),
    (b"user", Some(b"1")),
];

const OLD: [raw::Header<'static>; 3] = [
    (b"traceparent", Some(b"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01")),
    (b"user", None),
    (b"tracestate", Some(b"old=1")),
];

fn list(headers: &Option<OwnedHeaders>) -> Vec<raw::Header<'_>> {
    raw::list(headers.as_ref().map(OwnedHeaders::as_borrowed))
}

/// What the one span says why it failed; that is the same as the error's own text.
fn error_type(service: &Service, error: &KafkaError) -> String {
    let spans = service.recorder.spans();
    assert_eq!((spans.len(), service.recorder.open_spans()), (1, 0), "{spans:#?}");
    let status = opentelemetry::trace::Status::error(error.to_string());
    assert_eq!(spans[0].status, status);
    let found = spans[0].attributes.iter().find(|attribute| attribute.key.as_str() == "error.type");
    found.unwrap().value.to_string()
}

#[tokio::test]
async fn a_full_queue_is_a_failure_of_the_message_that_did_not_fit() {
    let (service, topic) = (service().await, topic(1).await);
    let mut config = config().await;
    config.set("queue.buffering.max.messages", "1").set("linger.ms", "5000");
    let producer = service.kafka.base_producer(&config).unwrap();
    producer.send(BaseRecord::to(&topic).key("17").payload("payload")).unwrap();
    let record = BaseRecord::to(&topic).key("17").payload("payload").headers(raw::headers(OWN));

    let (error, record) = producer.send(record).unwrap_err();

    assert_eq!(error, KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull));
    assert_eq!(list(&record.headers), OWN);
    let expected = sending(&topic).await.failed("_QUEUE_FULL", &error.to_string());
    assert_eq!(service.recorder.whole(&format!("send {topic}")), expected);
    assert_eq!(service.recorder.open_spans(), 1);
}

#[tokio::test]
async fn a_future_that_waits_for_room_in_the_queue_has_one_span() {
    let (service, topic) = (service().await, topic(1).await);
    let mut config = config().await;
    config.set("queue.buffering.max.messages", "1").set("linger.ms", "300");
    let producer = service.kafka.future_producer(&config).unwrap();
    let one = || producer.send(FutureRecord::to(&topic).key("17").payload("payload"), LIMIT);
    let (first, second) = within("both", async { tokio::join!(one(), one()) }).await;
    assert_eq!((first.unwrap().offset, second.unwrap().offset), (0, 1));
    assert_eq!((service.recorder.spans().len(), service.recorder.open_spans()), (2, 0));
}

#[tokio::test]
async fn a_message_that_times_out_comes_back_with_its_own_headers() {
    let service = service().await;
    let producer = service.kafka.future_producer(&unreachable()).unwrap();
    let record = FutureRecord::to("orders").key("17").payload("payload").headers(raw::headers(OWN));

    let (error, mut message) = within("the time-out", producer.send(record, LIMIT)).await.unwrap_err();

    assert_eq!(error_type(&service, &error), "_MSG_TIMED_OUT");
    assert_eq!((message.key(), message.payload()), (Some(&b"17"[..]), Some(&b"payload"[..])));
    assert_eq!(list(&message.detach_headers()), OWN);
}

#[tokio::test]
async fn a_message_without_headers_comes_back_without_headers() {
    let service = service().await;
    let producer = service.kafka.future_producer(&unreachable()).unwrap();
    let record = FutureRecord::to("orders").key("17").payload("payload");
    let waiting = producer.send_result(record).map_err(|(error, _)| error).unwrap();
    let (error, mut message) = within("the time-out", waiting).await.unwrap().unwrap_err();
    assert_eq!(error_type(&service, &error), "_MSG_TIMED_OUT");
    assert!(message.detach_headers().is_none());
}

#[tokio::test]
async fn an_old_context_that_made_way_comes_back_where_it_was() {
    let replace = Propagation::builder().propagator(carrier_core::w3c()).existing(Existing::Replace).build();
    let service = service_with(Recorder::new(), |builder| builder.propagation(replace)).await;
    let producer = service.kafka.future_producer(&unreachable()).unwrap();
    let record = FutureRecord::to("orders").key("17").payload("payload").headers(raw::headers(OLD));
    let (_, mut message) = within("the time-out", producer.send(record, LIMIT)).await.unwrap_err();
    assert_eq!(list(&message.detach_headers()), OLD);
}

#[tokio::test]
async fn a_topic_without_that_partition_is_a_failure_by_name() {
    let (service, topic) = (service().await, topic(1).await);
    let record = FutureRecord::to(&topic).key("17").payload("payload").partition(7);
    let producer = service.producer().await;
    let (error, _) = within("the refusal", producer.send(record, LIMIT)).await.unwrap_err();
    assert_eq!(error_type(&service, &error), "_UNKNOWN_PARTITION");
}

#[tokio::test]
async fn a_message_that_the_broker_refuses_has_kafkas_name_of_the_error() {
    let (service, topic) = (service().await, topic(1).await);
    let mut config = config().await;
    config.set("message.max.bytes", "5000000");
    let producer = service.kafka.future_producer(&config).unwrap();
    // Over the broker's own limit, which is a megabyte.
    let payload = vec![b'x'; 2_000_000];
    let record = FutureRecord::<str, _>::to(&topic).payload(&payload);
    let (error, _) = within("the refusal", producer.send(record, LIMIT)).await.unwrap_err();
    assert_eq!(error_type(&service, &error), "MESSAGE_TOO_LARGE");
}

#[tokio::test]
async fn a_producer_that_is_dropped_ends_the_spans_of_what_it_has_queued() {
    let service = service().await;
    let mut config = unreachable();
    config.set("message.timeout.ms", "60000").set("client.id", CLIENT);
    let kafka = service.kafka.clone();
    // rdkafka waits in the drop for what is queued.
    let dropped = blocking(move || {
        let producer = kafka.base_producer(&config).unwrap();
        for _ in 0..3 {
            producer.send(BaseRecord::to("orders").key("17").payload("payload")).unwrap();
        }
    });
    within("the drop", dropped).await;
    let spans = service.recorder.spans();
    let error = KafkaError::MessageProduction(RDKafkaErrorCode::PurgeQueue);
    assert_eq!((spans.len(), service.recorder.open_spans()), (3, 0));
    let expected = sending("orders").await.failed("_PURGE_QUEUE", &error.to_string());
    // The producer's own broker, not that of the service's configuration.
    let own: [Attribute; 2] = [("server.address", "127.0.0.1".into()), ("server.port", 1.into())];
    let expected = match server().await.is_empty() {
        true => expected.with(own),
        false => own.into_iter().fold(expected, |span, (key, value)| span.but(key, value)),
    };
    assert!(spans.iter().all(|span| expected == span.into()), "{spans:#?}");
}

#[tokio::test]
async fn a_future_producer_that_is_dropped_answers_those_who_wait() {
    let service = service().await;
    let mut config = unreachable();
    config.set("message.timeout.ms", "60000");
    let producer = service.kafka.future_producer(&config).unwrap();
    let record = FutureRecord::to("orders").key("17").payload("payload");
    let waiting = producer.send_result(record).map_err(|(error, _)| error).unwrap();
    within("the drop", tokio::task::spawn_blocking(move || drop(producer))).await.unwrap();
    let (error, _) =
        tokio::time::timeout(Duration::from_secs(10), waiting).await.unwrap().unwrap().unwrap_err();
    assert_eq!(error_type(&service, &error), "_PURGE_QUEUE");
}
