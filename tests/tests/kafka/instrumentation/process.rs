//! One message from its producer to its handler.

use std::sync::Arc;

use carrier_kafka::instrumentation::{AlreadyCounted, AsMessage, MessageKey, Plain};
use carrier_tests::telemetry::Recorder;
use opentelemetry::Context;
use opentelemetry::trace::TraceContextExt as _;
use rdkafka::Message as _;
use rdkafka::message::{OwnedHeaders, OwnedMessage};

use super::support::{
    Service, consumer, processing, receive, send_plainly, sent, service, service_with, span_of, topic,
};
use crate::raw;

#[tokio::test]
async fn send_and_process_are_one_trace() {
    let service = service().await;
    let (topic, sender, consumer) = sent(&service).await;

    let message = service.kafka.process(receive(&consumer).await);
    message.run(async { assert_eq!(message.payload(), Some(&b"payload"[..])) }).await;

    let expected = processing(&topic).await.continues(&sender);
    assert_eq!(service.recorder.whole(&format!("process {topic}")), expected);
    assert_eq!(service.recorder.open_spans(), 0);
}

#[tokio::test]
async fn a_message_that_is_owned_or_in_an_arc_a_box_or_behind_a_reference_has_the_same_span() {
    let service = service().await;
    let (topic, sender, consumer) = sent(&service).await;
    let message = receive(&consumer).await;
    service.kafka.process(&message).run(async {}).await;
    service.kafka.process(message.detach()).run(async {}).await;
    service.kafka.process(Arc::new(message.detach())).run(async {}).await;
    service.kafka.process(Box::new(&message)).run(async {}).await;
    let expected = processing(&topic).await.continues(&sender);
    let seen = service.recorder.wholes();
    assert_eq!(seen, std::array::from_fn::<_, 4, _>(|_| expected.clone()));
}

/// Takes its message by value, as many handlers do.
async fn handle(message: OwnedMessage) -> Result<(), String> {
    tokio::task::yield_now().await;
    assert!(Context::current().has_active_span());
    assert_eq!(message.payload(), Some(&b"payload"[..]));
    Ok(())
}

#[tokio::test]
async fn a_spawned_task_owns_the_message_with_its_span_or_apart_from_it() {
    let service = service().await;
    let (topic, sender, consumer) = sent(&service).await;
    let message = receive(&consumer).await;
    let together = service.kafka.process(message.detach());
    let (process, apart) = service.kafka.process(message.detach()).into_parts();
    assert_eq!(service.recorder.spans().len(), 0, "the span waits for its guard");
    let task = tokio::spawn(async move { together.run(handle(OwnedMessage::clone(&together))).await });
    task.await.unwrap().unwrap();
    tokio::spawn(async move { process.run(handle(apart)).await }).await.unwrap().unwrap();
    let expected = processing(&topic).await.continues(&sender);
    assert_eq!(service.recorder.wholes(), [expected.clone(), expected]);
    assert_eq!(service.recorder.open_spans(), 0);
}

#[tokio::test]
async fn a_message_is_counted_once_unless_the_program_says_that_it_was_counted() {
    let service = service().await;
    let (_, _, consumer) = sent(&service).await;
    let message = receive(&consumer).await;
    let consumed = || {
        let points = service.meters.points();
        let counted = points.iter().filter(|point| point.metric == "messaging.client.consumed.messages");
        counted.map(|point| point.count).collect::<Vec<_>>()
    };
    drop(service.kafka.process(AlreadyCounted(&message)));
    drop(service.kafka.process(Arc::new(AlreadyCounted(message.detach()))));
    drop(service.kafka.process_batch(&[AlreadyCounted(&message)]));
    assert_eq!(consumed(), [0; 0]);
    drop(service.kafka.process(&message));
    assert_eq!(consumed(), [1]);
}

/// How many messages a service has counted as consumed.
fn consumed(service: &Service) -> u64 {
    let points = service.meters.points();
    points
        .iter()
        .filter(|point| point.metric == "messaging.client.consumed.messages")
        .map(|point| point.count)
        .sum()
}

#[tokio::test]
async fn a_message_that_is_processed_alone_and_in_a_batch_is_counted_once() {
    let service = service().await;
    let (_, _, consumer) = sent(&service).await;
    let message = receive(&consumer).await;
    let processing = service.kafka.process(message.detach());
    // The guard knows that it was counted, also behind pointers.
    drop(service.kafka.process_batch(&[&processing]));
    drop(service.kafka.process(Arc::new(processing)));
    assert_eq!(consumed(&service), 1);
}

#[tokio::test]
async fn of_a_batch_those_are_counted_that_were_not_counted_before() {
    let service = service().await;
    let (_, _, consumer) = sent(&service).await;
    let message = receive(&consumer).await.detach();
    let batch: [Box<dyn AsMessage<Message = OwnedMessage>>; 4] = [
        Box::new(message.clone()),
        Box::new(AlreadyCounted(message.clone())),
        Box::new(AlreadyCounted(Arc::new(message.clone()))),
        Box::new(Arc::new(message)),
    ];
    drop(service.kafka.process_batch(&batch));
    assert_eq!(consumed(&service), 2);
    // Then one by one: the program says that the batch counted them.
    batch.iter().for_each(|message| drop(service.kafka.process(AlreadyCounted(message))));
    assert_eq!(consumed(&service), 2);
}

#[tokio::test]
async fn the_span_ends_with_the_handler_and_the_message_is_still_there() {
    let service = service().await;
    let (_, _, consumer) = sent(&service).await;
    let message = service.kafka.process(receive(&consumer).await);
    message.run(async {}).await;
    assert_eq!(service.recorder.spans().len(), 1);
    assert_eq!(message.into_parts().1.offset(), 0);
    assert_eq!(service.recorder.spans().len(), 1);
}

#[tokio::test]
async fn the_process_span_is_current_in_the_handler_and_nothing_is_afterwards() {
    let service = service().await;
    let (_, _, consumer) = sent(&service).await;
    let message = service.kafka.process(receive(&consumer).await);
    let seen = message.run(async {
        tokio::task::yield_now().await;
        Plain(span_of(&Context::current()))
    });
    let Plain(seen) = seen.await;
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
    assert_eq!(seen[0], expected.clone().continues(&first));
    assert_eq!(seen[1], expected.but("messaging.kafka.offset", 1));
}
