//! One message from its producer to its handler.

use carrier_kafka::instrumentation::MessageKey;
use carrier_tests::telemetry::Recorder;
use opentelemetry::Context;
use opentelemetry::trace::TraceContextExt as _;
use rdkafka::Message as _;
use rdkafka::message::OwnedHeaders;

use crate::raw;
use crate::support::{
    consumer, processing, receive, send_plainly, sent, service, service_with, span_of, topic,
};

#[tokio::test]
async fn send_and_process_are_one_trace_with_a_parent_and_a_link() {
    let service = service().await;
    let (topic, sender, consumer) = sent(&service).await;

    let message = service.kafka.process(receive(&consumer).await);
    message.run(async { assert_eq!(message.payload(), Some(&b"payload"[..])) }).await;

    let expected = processing(&topic).await.continues(&sender).linked(&sender, []);
    assert_eq!(service.recorder.whole(&format!("process {topic}")), expected);
    assert_eq!(service.recorder.open_spans(), 0);
}

#[tokio::test]
async fn a_reference_and_an_owned_message_have_the_same_span() {
    let service = service().await;
    let (topic, sender, consumer) = sent(&service).await;
    let message = receive(&consumer).await;
    service.kafka.process(&message).run(async {}).await;
    service.kafka.process(message.detach()).run(async {}).await;
    let expected = processing(&topic).await.continues(&sender).linked(&sender, []);
    let seen = service.recorder.wholes();
    assert_eq!(seen, [expected.clone(), expected]);
}

#[tokio::test]
async fn the_span_ends_with_the_handler_and_the_message_is_still_there() {
    let service = service().await;
    let (_, _, consumer) = sent(&service).await;
    let message = service.kafka.process(receive(&consumer).await);
    message.run(async {}).await;
    assert_eq!(service.recorder.spans().len(), 1);
    assert_eq!(message.into_inner().offset(), 0);
    assert_eq!(service.recorder.spans().len(), 1);
}

#[tokio::test]
async fn the_process_span_is_current_in_the_handler_and_nothing_is_afterwards() {
    let service = service().await;
    let (_, _, consumer) = sent(&service).await;
    let message = service.kafka.process(receive(&consumer).await);
    let seen = message.run(async {
        tokio::task::yield_now().await;
        Ok::<_, String>(span_of(&Context::current()))
    });
    let seen = seen.await.unwrap();
    assert_eq!(seen, span_of(message.context()));
    assert_eq!(seen, service.recorder.spans()[0].span_context);
    assert!(!Context::current().has_active_span());
}

#[tokio::test]
async fn a_message_without_a_context_begins_a_trace() {
    let service = service().await;
    let topic = topic(1).await;
    send_plainly(&topic, None).await;
    let consumer = consumer(&topic).await;
    service.kafka.process(receive(&consumer).await).run(async {}).await;
    assert_eq!(service.recorder.whole(&format!("process {topic}")), processing(&topic).await);
}

#[tokio::test]
async fn hostile_headers_begin_a_trace_and_nothing_else() {
    let service = service_with(Recorder::new(), |builder| builder.message_key(MessageKey::Hashed)).await;
    let topic = topic(1).await;
    let hostile: [raw::Header<'_>; 4] = [
        (b"traceparent", Some(b"\xff\xfe")),
        (b"\xff", Some(b"")),
        (b"traceparent", None),
        (b"baggage", None),
    ];
    send_plainly(&topic, Some(raw::headers(hostile))).await;
    let consumer = consumer(&topic).await;
    service.kafka.process(receive(&consumer).await).run(async {}).await;
    let key = [("messaging.kafka.message.key", "4523540f1504cd17100c4835e85b7eef".into())];
    assert_eq!(service.recorder.whole(&format!("process {topic}")), processing(&topic).await.with(key));
}

#[tokio::test]
async fn the_next_message_sees_nothing_of_the_one_before() {
    let service = service().await;
    let topic = topic(1).await;
    let first = service.send(&topic).await;
    send_plainly(&topic, Some(OwnedHeaders::new())).await;
    service.recorder.reset();
    let consumer = consumer(&topic).await;
    for _ in 0..2 {
        service.kafka.process(receive(&consumer).await).run(async {}).await;
    }
    let seen = service.recorder.wholes();
    let expected = processing(&topic).await;
    assert_eq!(seen[0], expected.clone().continues(&first).linked(&first, []));
    assert_eq!(seen[1], expected.but("messaging.kafka.offset", 1));
}
