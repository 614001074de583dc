//! Transactions: a record that is delivered and then aborted says that it belongs to one.

use carrier_kafka::instrumentation::{ThreadedProducer, attribute::TRANSACTIONAL_ID};
use carrier_tests::telemetry::{Recorder, Whole};
use carrier_tests::unique_name;
use opentelemetry::Value;
use opentelemetry::trace::SpanKind;
use rdkafka::error::KafkaResult;
use rdkafka::producer::{BaseRecord, Producer as _};

use super::support::{
    self, Attribute, CLIENT, LIMIT, Service, at, config, of_none, sending, server, service_with, topic,
};

async fn transactional(service: &Service) -> (ThreadedProducer, Value) {
    let (mut config, id) = (config().await, unique_name("transaction"));
    let producer = service.kafka.threaded_producer(config.set("transactional.id", &id)).unwrap();
    blocking(&producer, |producer| producer.init_transactions(LIMIT)).await;
    (producer, id.into())
}

/// librdkafka's calls for transactions wait for the broker.
async fn blocking(
    producer: &ThreadedProducer,
    call: impl FnOnce(&ThreadedProducer) -> KafkaResult<()> + Send + 'static,
) {
    let producer = producer.clone();
    support::blocking(move || call(&producer)).await.unwrap();
}

/// Sends a message in a transaction, ends that, and returns the spans.
async fn transaction(
    service: &Service,
    (producer, topic): (&ThreadedProducer, &str),
    end: impl FnOnce(&ThreadedProducer) -> KafkaResult<()> + Send + 'static,
) -> Vec<Whole> {
    producer.begin_transaction().unwrap();
    producer.send(BaseRecord::to(topic).key("17").payload("payload")).map_err(|(error, _)| error).unwrap();
    blocking(producer, |producer| producer.flush(LIMIT)).await;
    blocking(producer, end).await;
    let spans = service.recorder.wholes();
    assert_eq!(service.recorder.open_spans(), 0);
    service.recorder.reset();
    spans
}

#[tokio::test]
async fn a_message_of_an_aborted_transaction_says_that_it_belongs_to_one() {
    let service = service_with(Recorder::new(), |builder| builder).await;
    let (topic, (producer, id)) = (topic(1).await, transactional(&service).await);
    let aborted =
        transaction(&service, (&producer, &topic), |producer| producer.abort_transaction(LIMIT)).await;
    assert_eq!(aborted, [sending(&topic).await.with(at("0", 0)).with([(TRANSACTIONAL_ID, id)])]);
}

#[tokio::test]
async fn with_settle_spans_the_end_of_a_transaction_is_a_span() {
    let service = service_with(Recorder::new(), |builder| builder.settle_spans(true)).await;
    let (topic, (producer, id)) = (topic(1).await, transactional(&service).await);
    let aborted =
        transaction(&service, (&producer, &topic), |producer| producer.abort_transaction(LIMIT)).await;
    let committed =
        transaction(&service, (&producer, &topic), |producer| producer.commit_transaction(LIMIT)).await;
    for (spans, operation) in [(aborted, "abort_transaction"), (committed, "commit_transaction")] {
        let attributes: [Attribute; 5] = [
            ("messaging.system", "kafka".into()),
            ("messaging.operation.name", operation.into()),
            ("messaging.operation.type", "settle".into()),
            ("messaging.client.id", CLIENT.into()),
            (TRANSACTIONAL_ID, id.clone()),
        ];
        let expected = Whole::new(of_none(operation).await, SpanKind::Client);
        assert_eq!(spans[1], expected.with(server().await).with(attributes));
    }
}
