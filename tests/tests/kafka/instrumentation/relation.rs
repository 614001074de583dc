//! What the sender's span and the current one are to the process span.

use std::time::Duration;

use carrier_kafka::instrumentation::{Ambient, Relation};
use carrier_tests::telemetry::{Recorder, Whole, sampled_context};
use opentelemetry::context::FutureExt as _;
use opentelemetry::trace::TraceContextExt as _;
use rdkafka::message::OwnedHeaders;
use rdkafka::producer::FutureRecord;

use super::support::{
    LIMIT, broker, consumer, inside, processing, receive, sent, service, service_with, span_of, topic,
};

#[tokio::test]
async fn a_link_is_from_a_trace_of_its_own() {
    let service = service().await;
    let (topic, sender, consumer) = sent(&service).await;
    let elsewhere = service.kafka.with_relation(Relation::Link);
    elsewhere.process(receive(&consumer).await).run(async {}).await;
    let expected = processing(&topic).await.linked(&sender, []);
    assert_eq!(service.recorder.whole(&format!("process {topic}")), expected);
    assert_ne!(service.recorder.spans()[0].span_context.trace_id(), sender.trace_id());
}

#[tokio::test]
async fn none_is_nothing() {
    let service = service_with(Recorder::new(), |builder| builder.relation(Relation::Ignore)).await;
    let (topic, _, consumer) = sent(&service).await;
    service.kafka.process(receive(&consumer).await).run(async {}).await;
    assert_eq!(service.recorder.whole(&format!("process {topic}")), processing(&topic).await);
}

#[tokio::test]
async fn a_message_that_is_old_is_linked_where_the_rule_says_so() {
    let rule = Relation::parent_while_fresh(Duration::from_secs(60));
    let service = service_with(Recorder::new(), |builder| builder.relation(rule)).await;
    let topic = topic(1).await;
    let producer = broker().await.producer();
    let now = rdkafka::Timestamp::now().to_millis().unwrap();
    let (sender_cx, sender) = inside(&service.recorder, "sender");
    for timestamp in [now, now - 120_000] {
        let mut headers = OwnedHeaders::new();
        carrier_kafka::inject(&sender_cx, &mut headers);
        let record = FutureRecord::to(&topic).key("17").payload("payload").headers(headers);
        producer.send(record.timestamp(timestamp), LIMIT).await.unwrap();
    }
    service.recorder.reset();
    let consumer = consumer(&topic).await;
    for _ in 0..2 {
        service.kafka.process(receive(&consumer).await).run(async {}).await;
    }
    let expected = processing(&topic).await;
    let spans = service.recorder.spans();
    assert_eq!(Whole::from(&spans[0]), expected.clone().continues(&sender));
    assert_eq!(Whole::from(&spans[1]), expected.linked(&sender, []).but("messaging.kafka.offset", 1));
}

#[tokio::test]
async fn the_span_around_a_consumer_loop_is_linked_and_never_the_parent() {
    let service = service().await;
    let (topic, sender, consumer) = sent(&service).await;
    let (around, looping) = inside(&service.recorder, "loop");
    let work = async { service.kafka.process(receive(&consumer).await).run(async {}).await };
    work.with_context(around).await;
    let expected = processing(&topic).await.continues(&sender).linked(&looping, []);
    assert_eq!(service.recorder.whole(&format!("process {topic}")), expected);
}

#[tokio::test]
async fn with_link_parent_the_sender_is_the_parent_and_linked() {
    let service = service_with(Recorder::new(), |builder| builder.link_parent(true)).await;
    let (topic, sender, consumer) = sent(&service).await;
    service.kafka.process(receive(&consumer).await).run(async {}).await;
    let expected = processing(&topic).await.continues(&sender).linked(&sender, []);
    assert_eq!(service.recorder.whole(&format!("process {topic}")), expected);
}

#[tokio::test]
async fn the_span_around_is_the_parent_or_nothing_by_choice() {
    for (ambient, is_parent) in [(Ambient::Parent, true), (Ambient::Ignore, false)] {
        let service = service_with(Recorder::new(), |builder| builder.ambient(ambient)).await;
        let (topic, sender, consumer) = sent(&service).await;
        let (around, request) = inside(&service.recorder, "request");
        let work = async { service.kafka.process(receive(&consumer).await).run(async {}).await };
        work.with_context(around).await;
        let expected = processing(&topic).await;
        let expected = match is_parent {
            true => expected.child_of(&request).linked(&sender, []),
            false => expected.continues(&sender),
        };
        assert_eq!(service.recorder.whole(&format!("process {topic}")), expected, "{ambient:?}");
    }
}

#[tokio::test]
async fn the_message_s_baggage_comes_to_the_handler_whatever_the_relation_is() {
    use opentelemetry::baggage::BaggageExt as _;
    for relation in [Relation::Parent, Relation::Link, Relation::Ignore] {
        let service = service_with(Recorder::new(), |builder| builder.relation(relation)).await;
        let topic = topic(1).await;
        service.send(&topic).with_context(sampled_context()).await;
        let consumer = consumer(&topic).await;
        let message = service.kafka.process(receive(&consumer).await);
        let tenant = message.context().baggage().get("tenant").map(ToString::to_string);
        assert_eq!(tenant.as_deref(), Some("blue"));
        assert!(message.context().has_active_span());
        assert!(span_of(message.context()).is_sampled());
    }
}
