//! Nothing is started where telemetry is suppressed, missing, or not sampled; the context is passed on all the same.

use carrier_kafka::Instrumentation;
use carrier_kafka::instrumentation::Plain;
use carrier_tests::telemetry::{Recorder, sampled_context};
use opentelemetry::Context;
use opentelemetry::context::FutureExt as _;
use opentelemetry::trace::{SpanContext, TraceContextExt as _, TraceFlags};
use opentelemetry_sdk::trace::Sampler;
use rdkafka::producer::FutureRecord;

use super::support::{
    LIMIT, Service, config, consumer, propagation, receive, service, service_with, span_of, topic,
};

/// What a message carries that is sent from `cx`, and what is current in its handler.
async fn there_and_back(kafka: &Instrumentation, cx: Context) -> (SpanContext, Context) {
    let topic = topic(1).await;
    let producer = kafka.future_producer(&config().await).unwrap();
    let record = FutureRecord::to(&topic).key("17").payload("payload");
    producer.send(record, LIMIT).with_context(cx).await.unwrap();
    let consumer = consumer(&topic).await;
    let message = receive(&consumer).await;
    let carried = span_of(&carrier_kafka::extract(&message));
    let message = kafka.process(message);
    let Plain(current) = message.run(async { Plain(Context::current()) }).await;
    (carried, current)
}

fn same_span(left: &SpanContext, right: &SpanContext) -> bool {
    (left.trace_id(), left.span_id()) == (right.trace_id(), right.span_id())
}

fn assert_silent(service: &Service) {
    assert_eq!((service.recorder.spans().len(), service.recorder.open_spans()), (0, 0));
}

#[tokio::test]
async fn where_telemetry_is_suppressed_nothing_is_started_and_the_context_goes_on() {
    let (service, topic) = (service().await, topic(1).await);
    let suppressed = sampled_context().with_telemetry_suppressed();
    let producer = service.producer().await;
    let work = async {
        let record = FutureRecord::to(&topic).key("17").payload("payload");
        producer.send(record, LIMIT).await.unwrap();
        let consumer = consumer(&topic).await;
        let message = service.kafka.process(receive(&consumer).await);
        let Plain(current) = message.run(async { Plain(Context::current()) }).await;
        assert!(same_span(&span_of(&current), &span_of(&sampled_context())));
        assert!(current.is_telemetry_suppressed());
        drop(service.kafka.process_batch(&[&*message]));
    };
    work.with_context(suppressed).await;
    assert_silent(&service);
    assert_eq!(service.meters.points(), []);
}

#[tokio::test]
async fn without_an_sdk_the_context_goes_on() {
    // Nothing global is set in this program.
    let kafka = Instrumentation::builder().propagation(propagation()).build();
    let (carried, current) = there_and_back(&kafka, sampled_context()).await;
    let sender = span_of(&sampled_context());
    assert!(same_span(&carried, &sender));
    assert!(same_span(&span_of(&current), &sender));
}

fn unsampled() -> Context {
    let sampled = span_of(&sampled_context());
    let (trace, span) = (sampled.trace_id(), sampled.span_id());
    let unsampled = SpanContext::new(trace, span, TraceFlags::default(), true, sampled.trace_state().clone());
    Context::new().with_remote_span_context(unsampled)
}

#[tokio::test]
async fn below_an_unsampled_parent_no_span_is_started_where_that_is_chosen() {
    let service = service_with(Recorder::new(), |builder| builder.skip_unsampled(true)).await;
    let (carried, current) = there_and_back(&service.kafka, unsampled()).await;
    // The sampler would have said yes.
    assert_silent(&service);
    assert!(same_span(&carried, &span_of(&unsampled())) && !carried.is_sampled());
    assert!(same_span(&span_of(&current), &span_of(&unsampled())));
    assert_eq!(service.meters.point("messaging.client.sent.messages").count, 1);
    assert_eq!(service.meters.point("messaging.client.consumed.messages").count, 1);
}

#[tokio::test]
async fn below_a_sampled_parent_and_at_a_root_it_is_started_all_the_same() {
    let service = service_with(Recorder::new(), |builder| builder.skip_unsampled(true)).await;
    there_and_back(&service.kafka, sampled_context()).await;
    there_and_back(&service.kafka, Context::new()).await;
    assert_eq!((service.recorder.spans().len(), service.recorder.open_spans()), (4, 0));
}

#[tokio::test]
async fn a_span_that_is_not_sampled_is_carried_and_is_nobody_s_to_see() {
    let recorder = Recorder::sampling(Sampler::ParentBased(Box::new(Sampler::AlwaysOn)));
    let service = service_with(recorder, |builder| builder).await;
    let (carried, current) = there_and_back(&service.kafka, unsampled()).await;
    assert_silent(&service);
    assert_eq!(carried.trace_id(), span_of(&unsampled()).trace_id());
    assert_ne!(carried.span_id(), span_of(&unsampled()).span_id());
    assert!(!carried.is_sampled() && !span_of(&current).is_sampled());
    assert_eq!(span_of(&current).trace_id(), carried.trace_id());
}
