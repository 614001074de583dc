//! With `tracing`: spans of `#[instrument]`ed functions are where they belong, with no line of glue.

use ::tracing::instrument;
use ::tracing::subscriber::set_default;
use carrier_kafka::instrumentation::FutureProducer;
use opentelemetry::trace::SpanId;
use opentelemetry_sdk::trace::SpanData;
use rdkafka::consumer::StreamConsumer;
use rdkafka::producer::FutureRecord;

use super::support::{LIMIT, Service, consumer, receive, sent, service, topic};

#[instrument(skip_all)]
async fn publish(producer: &FutureProducer, topic: &str) {
    producer.send(FutureRecord::to(topic).key("17").payload("payload"), LIMIT).await.unwrap();
}

#[instrument(skip_all)]
async fn handle(producer: &FutureProducer, topic: &str) {
    tokio::task::yield_now().await;
    producer.send(FutureRecord::to(topic).key("17").payload("payload"), LIMIT).await.unwrap();
}

#[instrument(skip_all)]
async fn consume(
    service: &Service,
    consumer: &StreamConsumer,
    producer: &FutureProducer,
    to: &str,
    count: usize,
) {
    for _ in 0..count {
        let message = service.kafka.process(receive(consumer).await);
        message.run(handle(producer, to)).await;
    }
}

#[track_caller]
fn assert_child(child: &SpanData, parent: &SpanData) {
    assert_eq!(child.span_context.trace_id(), parent.span_context.trace_id());
    assert_eq!(child.parent_span_id, parent.span_context.span_id());
}

#[tokio::test]
async fn a_send_is_a_child_of_the_instrumented_function_around_it() {
    let (service, topic) = (service().await, topic(1).await);
    let _active = set_default(service.recorder.subscriber());
    publish(&service.producer().await, &topic).await;
    assert_child(&service.recorder.span(&format!("send {topic}")), &service.recorder.span("publish"));
}

#[tokio::test]
async fn an_instrumented_handler_is_a_child_of_the_process_span_and_a_send_inside_is_its_own() {
    let service = service().await;
    let (from, sender, consumer) = sent(&service).await;
    let to = topic(1).await;
    let producer = service.producer().await;
    let _active = set_default(service.recorder.subscriber());

    let message = service.kafka.process(receive(&consumer).await);
    message.run(handle(&producer, &to)).await;

    let process = service.recorder.span(&format!("process {from}"));
    assert_eq!(process.parent_span_id, sender.span_id());
    assert_child(&service.recorder.span("handle"), &process);
    assert_child(&service.recorder.span(&format!("send {to}")), &service.recorder.span("handle"));
}

#[tokio::test]
async fn an_instrumented_loop_is_linked_and_grows_no_endless_trace() {
    let service = service().await;
    let (from, to) = (topic(1).await, topic(1).await);
    let senders = [service.send(&from).await, service.send(&from).await];
    service.recorder.reset();
    let consumer = consumer(&from).await;
    let producer = service.producer().await;
    let _active = set_default(service.recorder.subscriber());

    consume(&service, &consumer, &producer, &to, 2).await;

    let looping = service.recorder.span("consume");
    assert_eq!(looping.parent_span_id, SpanId::INVALID);
    let spans = service.recorder.spans();
    let named = |name: &str| spans.iter().filter(|span| span.name == name).collect::<Vec<_>>();
    let (processed, handled) = (named(&format!("process {from}")), named("handle"));
    assert_eq!((processed.len(), handled.len()), (2, 2));
    for ((process, handled), sender) in processed.into_iter().zip(handled).zip(&senders) {
        assert_eq!(process.parent_span_id, sender.span_id());
        let links: Vec<_> = process.links.iter().map(|link| link.span_context.span_id()).collect();
        assert_eq!(links, [looping.span_context.span_id()]);
        assert_child(handled, process);
    }
}
