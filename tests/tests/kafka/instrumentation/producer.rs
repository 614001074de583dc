//! Messages that are delivered: their spans, and the user's own context and opaque.

use std::sync::{Arc, Mutex};

use carrier_kafka::instrumentation::MessageKey;
use carrier_tests::telemetry::{Recorder, sampled_context};
use opentelemetry::baggage::BaggageExt as _;
use opentelemetry::context::FutureExt as _;
use opentelemetry::trace::{SpanKind, TraceContextExt as _};
use rdkafka::producer::{
    BaseRecord, DeliveryResult, FutureRecord, NoCustomPartitioner, Producer as _, ProducerContext,
};
use rdkafka::{ClientContext, Message as _};

use super::support::{
    LIMIT, at, config, consumer, propagation, receive, sending, service, service_with, span_of, topic, within,
};

#[tokio::test]
async fn a_message_is_sent_in_the_callers_trace_and_carries_its_span() {
    let (service, topic) = (service().await, topic(1).await);
    let caller = sampled_context();
    let record = FutureRecord::to(&topic).key("17").payload("payload");

    let producer = service.producer().await;
    producer.send(record, LIMIT).with_context(caller.clone()).await.unwrap();

    let expected = sending(&topic).await.with(at("0", 0)).continues(&span_of(&caller));
    assert_eq!(service.recorder.whole(&format!("send {topic}")), expected);
    let consumer = consumer(&topic).await;
    let message = receive(&consumer).await;
    let found = carrier_kafka::extract_with(&propagation(), &message);
    let span = service.recorder.spans().remove(0).span_context;
    assert_eq!((span_of(&found).trace_id(), span_of(&found).span_id()), (span.trace_id(), span.span_id()));
    assert_eq!(found.baggage().get("tenant").map(ToString::to_string).as_deref(), Some("blue"));
}

#[tokio::test]
async fn the_context_counts_that_is_current_when_the_future_is_first_polled() {
    let (service, topic) = (service().await, topic(1).await);
    let producer = service.producer().await;
    let future = {
        let _current = sampled_context().attach();
        producer.send(FutureRecord::to(&topic).key("17").payload("payload"), LIMIT)
    };
    future.await.unwrap();
    let expected = sending(&topic).await.with(at("0", 0));
    assert_eq!(service.recorder.whole(&format!("send {topic}")), expected);
}

#[tokio::test]
async fn send_result_has_the_span_of_send_and_the_same_output() {
    let (service, topic) = (service().await, topic(1).await);
    let producer = service.producer().await;
    let record = FutureRecord::to(&topic).key("17").payload("payload");
    let waiting = producer.send_result(record).map_err(|(error, _)| error).unwrap();
    let delivery = within("the delivery", waiting).await.unwrap().unwrap();
    assert_eq!((delivery.partition, delivery.offset), (0, 0));
    let expected = sending(&topic).await.with(at("0", 0));
    assert_eq!(service.recorder.whole(&format!("send {topic}")), expected);
}

#[tokio::test]
async fn a_tombstone_has_no_size_and_a_key_only_where_it_is_asked_for() {
    let service = service_with(Recorder::new(), |builder| builder.message_key(MessageKey::Plain)).await;
    let topic = topic(1).await;
    let record = FutureRecord::<str, str>::to(&topic).key("17").partition(0);
    service.producer().await.send(record, LIMIT).await.unwrap();
    let sent = &service.recorder.spans()[0];
    let value = |key: &str| {
        let found = sent.attributes.iter().find(|attribute| attribute.key.as_str() == key);
        found.map(|attribute| attribute.value.to_string())
    };
    assert_eq!(value("messaging.kafka.message.key").as_deref(), Some("17"));
    assert_eq!(value("messaging.kafka.message.tombstone").as_deref(), Some("true"));
    assert_eq!(value("messaging.message.body.size"), None);
    assert_eq!(value("messaging.destination.partition.id").as_deref(), Some("0"));
    assert_eq!(sent.span_kind, SpanKind::Producer);
}

/// A user's producer context: it remembers which opaque came with which offset.
#[derive(Clone, Default)]
struct Remembering(Arc<Mutex<Vec<(String, i64)>>>);

impl ClientContext for Remembering {}

impl ProducerContext<NoCustomPartitioner> for Remembering {
    type DeliveryOpaque = Box<String>;

    fn delivery(&self, result: &DeliveryResult<'_>, opaque: Box<String>) {
        let message = result.as_ref().map_err(|(error, _)| error).unwrap();
        self.0.lock().unwrap().push((*opaque, message.offset()));
    }
}

impl Remembering {
    fn remembered(&self) -> Vec<(String, i64)> {
        self.0.lock().unwrap().clone()
    }
}

#[tokio::test]
async fn a_base_producers_context_gets_its_own_opaques() {
    let (service, topic, context) = (service().await, topic(1).await, Remembering::default());
    let producer = service.kafka.base_producer_with_context(&config().await, context.clone()).unwrap();
    let opaque = Box::new("first".to_owned());
    let record = BaseRecord::with_opaque_to(&topic, opaque).key("17").payload("payload");
    producer.send(record).map_err(|(error, _)| error).unwrap();
    producer.flush(LIMIT).unwrap();
    assert_eq!(context.remembered(), [("first".to_owned(), 0)]);
    let expected = sending(&topic).await.with(at("0", 0));
    assert_eq!(service.recorder.whole(&format!("send {topic}")), expected);
}

#[tokio::test]
async fn a_threaded_producer_and_its_clone_send_with_spans_and_opaques() {
    let (service, topic, context) = (service().await, topic(1).await, Remembering::default());
    let producer = service.kafka.threaded_producer_with_context(&config().await, context.clone()).unwrap();
    for producer in [producer.clone(), producer.clone()] {
        let opaque = Box::new("one".to_owned());
        let record = BaseRecord::with_opaque_to(&topic, opaque).key("17").payload("payload");
        producer.send(record).map_err(|(error, _)| error).unwrap();
    }
    producer.flush(LIMIT).unwrap();
    assert_eq!(context.remembered(), [("one".to_owned(), 0), ("one".to_owned(), 1)]);
    let seen = service.recorder.wholes();
    let expected = sending(&topic).await;
    assert_eq!(seen, [expected.clone().with(at("0", 0)), expected.with(at("0", 1))]);
    assert_eq!(service.recorder.open_spans(), 0);
}

#[tokio::test]
async fn a_span_in_a_delivered_message_is_not_the_callers_afterwards() {
    let (service, topic) = (service().await, topic(1).await);
    service.send(&topic).await;
    assert!(!opentelemetry::Context::current().has_active_span());
}
