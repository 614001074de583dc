//! A received message that is sent again.

use carrier_kafka::instrumentation::{ATTEMPTS_HEADER, Relation, attempts};
use carrier_tests::telemetry::Recorder;
use opentelemetry_sdk::trace::SpanData;
use rdkafka::Message as _;
use rdkafka::message::{Header, Headers as _, OwnedHeaders};
use rdkafka::producer::{FutureRecord, Producer as _};

use super::support::{LIMIT, Service, config, consumer, receive, service, service_with, topic};

/// Sends a message, which fails three times and then is in the dead-letter topic. Returns its spans, each with its parent and
/// its links by place among the spans, and its attempts.
async fn dead_after_three_attempts(relation: Relation) -> (Service, Vec<SpanData>, Vec<String>) {
    let service = service_with(Recorder::new(), |builder| builder.relation(relation)).await;
    let (orders, dead) = (topic(1).await, topic(1).await);
    let producer = service.producer().await;
    let user = OwnedHeaders::new()
        .insert(Header { key: "user", value: Some("kept") })
        .insert(Header { key: "null", value: None::<&str> });
    let record = FutureRecord::to(&orders).key("17").payload("payload").headers(user);
    producer.send(record, LIMIT).await.unwrap();
    let consumer_of_orders = consumer(&orders).await;
    for earlier in 0..3 {
        let message = service.kafka.process(receive(&consumer_of_orders).await);
        message.run(async { Err::<(), _>("no paper") }).await.unwrap_err();
        assert_eq!(attempts(&*message), earlier);
        let topic = if earlier < 2 { &orders } else { &dead };
        producer.send_again(&message, topic, LIMIT).await.unwrap();
    }
    let dead_letters = consumer(&dead).await;
    let message = service.kafka.process(receive(&dead_letters).await);
    message.run(async {}).await;
    assert_eq!((message.key(), message.payload()), (Some(&b"17"[..]), Some(&b"payload"[..])));
    let headers: Vec<_> = message.headers().unwrap().iter().collect();
    assert_eq!((headers[0].key, headers[0].value), ("user", Some(&b"kept"[..])));
    assert_eq!((headers[1].key, headers[1].value), ("null", None));
    let written = headers.iter().filter(|header| header.key == ATTEMPTS_HEADER);
    assert_eq!(written.map(|header| header.value).collect::<Vec<_>>(), [Some(&b"3"[..])]);
    drop(message);
    assert_eq!(service.recorder.open_spans(), 0);

    let mut spans = service.recorder.spans();
    spans.sort_by_key(|span| span.start_time);
    let place = |id| spans.iter().position(|span| span.span_context.span_id() == id);
    let line = |span: &SpanData| {
        let name = span.name.replace(&orders, "ORDERS").replace(&dead, "DEAD");
        let parent = place(span.parent_span_id).map(|at| format!(" below {at}")).unwrap_or_default();
        let links = span.links.iter().filter_map(|link| place(link.span_context.span_id()));
        let links: String = links.map(|at| format!(" link {at}")).collect();
        let attempts = span.attributes.iter().find(|pair| pair.key.as_str() == "carrier.kafka.attempts");
        let attempts = attempts.map(|pair| format!(" attempts {}", pair.value)).unwrap_or_default();
        format!("{name}{parent}{links}{attempts}")
    };
    let family = spans.iter().map(line).collect();
    (service, spans, family)
}

#[tokio::test]
async fn three_attempts_and_the_dead_letter_are_one_trace_with_links_to_each_failure() {
    let (service, spans, family) = dead_after_three_attempts(Relation::Parent).await;
    let expected = [
        "send ORDERS",
        "process ORDERS below 0",
        "send ORDERS below 0 link 1",
        "process ORDERS below 2 attempts 1",
        "send ORDERS below 2 link 3",
        "process ORDERS below 4 attempts 2",
        "send DEAD below 4 link 5",
        "process DEAD below 6 attempts 3",
    ];
    assert_eq!(family, expected);
    let trace = spans[0].span_context.trace_id();
    assert!(spans.iter().all(|span| span.span_context.trace_id() == trace));
    // Kafka does not count: the first attempt is on no metric.
    let attempts = service.meters.of("carrier.delivery.attempts");
    assert_eq!(attempts.iter().map(|point| point.count).sum::<u64>(), 3);
    assert_eq!(attempts.iter().map(|point| point.sum).sum::<f64>(), 2.0 + 3.0 + 4.0);
}

#[tokio::test]
async fn with_relation_link_the_message_keeps_its_trace_and_each_attempt_has_its_own() {
    let (_, spans, family) = dead_after_three_attempts(Relation::Link).await;
    let expected = [
        "send ORDERS",
        "process ORDERS link 0",
        "send ORDERS below 0 link 1",
        "process ORDERS link 2 attempts 1",
        "send ORDERS below 2 link 3",
        "process ORDERS link 4 attempts 2",
        "send DEAD below 4 link 5",
        "process DEAD link 6 attempts 3",
    ];
    assert_eq!(family, expected);
    let traces = |name: &str| {
        let spans = spans.iter().filter(|span| span.name.starts_with(name));
        let mut traces: Vec<_> = spans.map(|span| span.span_context.trace_id().to_bytes()).collect();
        traces.sort_unstable();
        traces.dedup();
        traces.len()
    };
    assert_eq!((traces("send"), traces("process")), (1, 4));
}

#[tokio::test]
async fn a_rule_sees_that_a_message_was_sent_again() {
    let fresh = Relation::rule(|message| match message.redelivered() {
        true => Relation::Link,
        false => Relation::Parent,
    });
    let (_, _, family) = dead_after_three_attempts(fresh).await;
    let expected = ["process ORDERS below 0", "process ORDERS link 2 attempts 1"];
    assert_eq!([family[1].as_str(), family[3].as_str()], expected);
}

#[tokio::test]
async fn each_producer_sends_a_message_again() {
    let (service, topic) = (service().await, topic(1).await);
    service.send(&topic).await;
    let consumer = consumer(&topic).await;
    let config = config().await;
    let base = service.kafka.base_producer(&config).unwrap();
    let threaded = service.kafka.threaded_producer(&config).unwrap();
    let first = service.kafka.process(receive(&consumer).await);
    base.send_again(&first, &topic, ()).map_err(|(error, _)| error).unwrap();
    base.flush(LIMIT).unwrap();
    let second = service.kafka.process(receive(&consumer).await);
    threaded.send_again(&second, &topic, ()).map_err(|(error, _)| error).unwrap();
    threaded.flush(LIMIT).unwrap();
    assert_eq!(attempts(&receive(&consumer).await), 2);
}
