//! Metrics: names, units, buckets and attributes, whatever the sampling decides.

use std::time::Duration;

use carrier_tests::telemetry::{Attributes, Point, Recorder, assert_same_duration};
use opentelemetry_sdk::trace::Sampler;
use rdkafka::producer::{BaseRecord, FutureRecord};

use super::support::{
    Attribute, GROUP, LIMIT, Service, broker, consumer, is_through_tracing, receive, server, service,
    service_with, topic,
};

const BUCKETS: [f64; 14] = [0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0];

/// One message there and back.
async fn round_trip(service: &Service) -> String {
    let topic = topic(1).await;
    let record = FutureRecord::to(&topic).key("17").payload("payload");
    service.producer().await.send(record, LIMIT).await.unwrap();
    let consumer = consumer(&topic).await;
    service.kafka.process(receive(&consumer).await).run(async {}).await;
    topic
}

async fn attributes(topic: &str, more: &[Attribute]) -> Attributes {
    let mut all: Vec<Attribute> = vec![
        ("messaging.system", "kafka".into()),
        ("messaging.destination.name", topic.to_owned().into()),
        ("messaging.destination.partition.id", "0".into()),
    ];
    all.extend(server().await);
    all.extend_from_slice(more);
    let mut all: Attributes = all.into_iter().map(|(key, value)| (key.to_owned(), value)).collect();
    all.sort_by(|left, right| left.0.cmp(&right.0));
    all
}

fn shape(point: &Point) -> (&str, &str, u64, &Attributes) {
    (&point.metric, &point.unit, point.count, &point.attributes)
}

/// What one message there and back is on every metric.
async fn assert_round_trip(service: &Service, topic: &str) {
    let group = ("messaging.consumer.group.name", GROUP.into());
    let operation = |name: &'static str| ("messaging.operation.name", name.into());
    let sent = attributes(topic, &[operation("send")]).await;
    let sending = attributes(topic, &[operation("send"), ("messaging.operation.type", "send".into())]).await;
    let processed = attributes(topic, &[operation("process"), group.clone()]).await;
    let waited = attributes(topic, std::slice::from_ref(&group)).await;
    let found = attributes(topic, &[group, ("carrier.context.status", "valid".into())]).await;
    let points = service.meters.points();
    let seen: Vec<_> = points.iter().map(shape).collect();
    let expected = [
        ("carrier.critical.duration", "s", 1, &waited),
        ("carrier.queue.duration", "s", 1, &waited),
        ("carrier.received.contexts", "{message}", 1, &found),
        ("messaging.client.consumed.messages", "{message}", 1, &processed),
        ("messaging.client.operation.duration", "s", 1, &sending),
        ("messaging.client.sent.messages", "{message}", 1, &sent),
        ("messaging.process.duration", "s", 1, &processed),
    ];
    assert_eq!(seen, expected);
}

#[tokio::test]
async fn a_message_there_and_back_is_on_seven_metrics() {
    let service = service().await;
    let topic = round_trip(&service).await;
    assert_round_trip(&service, &topic).await;
    for metric in ["messaging.client.operation.duration", "messaging.process.duration"] {
        assert_eq!(service.meters.point(metric).bounds, BUCKETS);
    }
}

#[tokio::test]
async fn metrics_are_the_same_where_nothing_is_sampled() {
    let service = service_with(Recorder::sampling(Sampler::AlwaysOff), |builder| builder).await;
    let topic = round_trip(&service).await;
    assert_eq!(service.recorder.spans().len(), 0);
    assert_round_trip(&service, &topic).await;
}

#[tokio::test]
async fn durations_are_those_of_the_spans() {
    let service = service().await;
    round_trip(&service).await;
    let spans = service.recorder.spans();
    let took: Vec<f64> = spans
        .iter()
        .map(|span| span.end_time.duration_since(span.start_time).unwrap().as_secs_f64())
        .collect();
    let measured = ["messaging.client.operation.duration", "messaging.process.duration"]
        .map(|name| service.meters.point(name).sum);
    assert_eq!(took.len(), 2);
    for (took, measured) in took.into_iter().zip(measured) {
        assert_same_duration(measured, took, is_through_tracing());
    }
}

#[tokio::test]
async fn the_time_in_the_queue_is_from_the_messages_timestamp_and_on_the_span_as_well() {
    let service = service().await;
    let topic = topic(1).await;
    let sent = rdkafka::Timestamp::now().to_millis().unwrap() - 5_000;
    let record = FutureRecord::to(&topic).key("17").payload("payload").timestamp(sent);
    service.producer().await.send(record, LIMIT).await.unwrap();
    service.recorder.reset();
    let consumer = consumer(&topic).await;
    service.kafka.process(receive(&consumer).await).run(async {}).await;
    let span = service.recorder.spans().remove(0);
    let found = span.attributes.iter().find(|attribute| attribute.key.as_str() == "carrier.queue.duration");
    let Some(opentelemetry::Value::F64(waited)) = found.map(|attribute| attribute.value.clone()) else {
        panic!("no time in the queue: {span:#?}");
    };
    assert_eq!(service.meters.point("carrier.queue.duration").sum, waited);
    let limit = Duration::from_secs(5) + LIMIT;
    assert!((5.0..limit.as_secs_f64()).contains(&waited), "{waited}");
}

#[tokio::test]
async fn a_message_from_the_future_is_counted_apart() {
    let service = service().await;
    let topic = topic(1).await;
    let sent = rdkafka::Timestamp::now().to_millis().unwrap() + 600_000;
    let record = FutureRecord::to(&topic).key("17").payload("payload").timestamp(sent);
    broker().await.producer().send(record, LIMIT).await.unwrap();
    let consumer = consumer(&topic).await;
    service.kafka.process(receive(&consumer).await).run(async {}).await;
    assert_eq!(service.meters.of("carrier.queue.duration"), []);
    let skewed = service.meters.point("carrier.queue.clock_skew");
    assert_eq!((skewed.count, &*skewed.unit), (1, "{message}"));
    let span = &service.recorder.spans()[0];
    assert!(span.attributes.iter().all(|attribute| attribute.key.as_str() != "carrier.queue.duration"));
}

#[tokio::test]
async fn a_failure_is_on_the_metrics_with_the_type_that_the_span_has() {
    let service = service().await;
    let producer = service.kafka.base_producer(&super::support::config().await).unwrap();
    let refused = producer.send(BaseRecord::<str, str>::to("a\0b"));
    assert!(refused.is_err());
    for metric in ["messaging.client.operation.duration", "messaging.client.sent.messages"] {
        let point = service.meters.point(metric);
        assert_eq!(point.attribute("error.type"), Some(&"_INVALID_ARG".into()), "{metric}");
    }
    let span = &service.recorder.spans()[0];
    let error_type = span.attributes.iter().find(|attribute| attribute.key.as_str() == "error.type");
    assert_eq!(error_type.unwrap().value, "_INVALID_ARG".into());
}

#[tokio::test]
async fn a_template_stands_for_the_topic_on_metrics() {
    let service = service_with(Recorder::new(), |builder| {
        builder.destination_template(|topic| topic.starts_with("topic").then(|| "topic-{n}".into()))
    })
    .await;
    round_trip(&service).await;
    for point in service.meters.points() {
        assert_eq!(point.attribute("messaging.destination.template"), Some(&"topic-{n}".into()));
        assert_eq!(point.attribute("messaging.destination.name"), None);
    }
}

#[tokio::test]
async fn metrics_that_are_off_are_none() {
    let service = service_with(Recorder::new(), |builder| builder.metrics(false)).await;
    round_trip(&service).await;
    assert_eq!(service.meters.points(), []);
    assert_eq!(service.recorder.spans().len(), 2);
}
