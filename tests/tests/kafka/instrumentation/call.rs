//! A request whose reply the program waits for.

use std::time::Duration;

use carrier_kafka::Instrumentation;
use carrier_kafka::instrumentation::{Plain, Relation};
use carrier_tests::telemetry::{Recorder, Whole};
use rdkafka::Message as _;
use rdkafka::consumer::StreamConsumer;
use rdkafka::message::{Header, Headers as _, OwnedHeaders, OwnedMessage};
use rdkafka::producer::{BaseRecord, FutureRecord};

use super::support::{
    LIMIT, Service, at, broker, consumer, processing, receive, requesting, sending, service, service_with,
    topic,
};

/// The headers of this test's programs: Kafka has none of its own.
const REPLY_TOPIC: &str = "reply-topic";
const CORRELATION_ID: &str = "correlation-id";

fn headers(reply_topic: Option<&str>) -> OwnedHeaders {
    let id = OwnedHeaders::new().insert(Header { key: CORRELATION_ID, value: Some("17") });
    match reply_topic {
        Some(topic) => id.insert(Header { key: REPLY_TOPIC, value: Some(topic) }),
        None => id,
    }
}

/// A relation rule that reads these headers.
fn linked_replies() -> Relation {
    Relation::rule(|message| match (message.header(CORRELATION_ID), message.header(REPLY_TOPIC)) {
        (Some(_), None) => Relation::Link,
        _ => Relation::Parent,
    })
}

/// A responder: processes one request, and sends the reply.
async fn answer(service: &Service, requests: &StreamConsumer) {
    let request = service.kafka.process(receive(requests).await);
    let reply_topic = request.headers().unwrap().iter().find(|header| header.key == REPLY_TOPIC);
    let reply_topic = String::from_utf8(reply_topic.unwrap().value.unwrap().to_vec()).unwrap();
    let reply = FutureRecord::to(&reply_topic).key("17").payload("a reply").headers(headers(None));
    let producer = service.producer().await;
    request.run(async { assert!(producer.send(reply, LIMIT).await.is_ok()) }).await;
}

/// Calls with rdkafka's own producer, while a responder answers. Returns the topics and the reply.
async fn call(service: &Service) -> ([String; 2], OwnedMessage) {
    let topics = [topic(1).await, topic(1).await];
    let (requests, replies) = (consumer(&topics[0]).await, consumer(&topics[1]).await);
    let record = FutureRecord::to(&topics[0]).key("17").payload("payload");
    let mut request = record.headers(headers(Some(&topics[1])));
    let call = service.kafka.call(&mut request, &topics[1], "17");
    let producer = broker().await.producer();
    let exchange = call.run(async {
        producer.send(request, LIMIT).await.unwrap();
        Plain(receive(&replies).await.detach())
    });
    let (Plain(reply), ()) = tokio::join!(exchange, answer(service, &requests));
    drop(call);
    (topics, reply)
}

#[tokio::test]
async fn a_call_with_a_reply_topic_is_one_trace_and_the_responder_is_a_child_of_the_call() {
    let service = service().await;
    let ([requests, replies], reply) = call(&service).await;
    service.kafka.process(reply).run(async {}).await;
    let span = |name: String| service.recorder.span(&name).span_context;
    let (request, responder) = (span(format!("request {requests}")), span(format!("process {requests}")));
    let sent = span(format!("send {replies}"));
    let whole = |name: String| service.recorder.whole(&name);
    assert_eq!(whole(format!("request {requests}")), requesting(&requests, &replies).await);
    assert_eq!(whole(format!("process {requests}")), processing(&requests).await.continues(&request));
    let reply = sending(&replies).await.with(at("0", 0)).child_of(&responder);
    assert_eq!(whole(format!("send {replies}")), reply);
    assert_eq!(whole(format!("process {replies}")), processing(&replies).await.continues(&sent));
    assert!([responder, sent].iter().all(|span| span.trace_id() == request.trace_id()));
}

#[tokio::test]
async fn a_rule_links_replies_and_keeps_requests_in_the_trace() {
    let service = service_with(Recorder::new(), |builder| builder.relation(linked_replies())).await;
    let ([requests, replies], reply) = call(&service).await;
    service.kafka.process(reply).run(async {}).await;
    let span = |name: String| service.recorder.span(&name).span_context;
    let (request, sent) = (span(format!("request {requests}")), span(format!("send {replies}")));
    let whole = |name: String| service.recorder.whole(&name);
    assert_eq!(whole(format!("process {requests}")), processing(&requests).await.continues(&request));
    assert_eq!(whole(format!("process {replies}")), processing(&replies).await.linked(&sent, []));
    assert_ne!(span(format!("process {replies}")).trace_id(), request.trace_id());
}

#[tokio::test]
async fn a_request_that_an_instrumented_producer_sends_has_a_send_span_below_the_call_and_counts_once() {
    let (service, topic) = (service().await, topic(1).await);
    let mut request = FutureRecord::to(&topic).key("17").payload("payload");
    let call = service.kafka.call(&mut request, "replies", "17");
    let producer = service.producer().await;
    call.run(async { assert!(producer.send(request, LIMIT).await.is_ok()) }).await;
    let consumer = consumer(&topic).await;
    service.kafka.process(receive(&consumer).await).run(async {}).await;
    let span = |name: &str| service.recorder.span(&format!("{name} {topic}"));
    let (request, sent) = (span("request").span_context, span("send"));
    assert_eq!(Whole::from(&sent), sending(&topic).await.with(at("0", 0)).child_of(&request));
    let responder = Whole::from(&span("process"));
    assert_eq!(responder, processing(&topic).await.continues(&sent.span_context));
    assert_eq!(service.meters.point("messaging.client.sent.messages").count, 1);
}

#[tokio::test]
async fn a_call_without_an_answer_in_time_fails() {
    let service = service().await;
    let kafka: &Instrumentation = &service.kafka;
    let mut request = BaseRecord::<str, str>::to("requests").key("17").payload("payload");
    let call = kafka.call(&mut request, "replies", "17");
    let never = std::future::pending::<Result<(), std::io::Error>>();
    call.run(tokio::time::timeout(Duration::from_millis(10), never)).await.unwrap_err().to_string();
    let expected = requesting("requests", "replies").await;
    let expected = expected.failed("tokio::time::error::Elapsed", "deadline has elapsed");
    assert_eq!(service.recorder.whole("request requests"), expected);
}
