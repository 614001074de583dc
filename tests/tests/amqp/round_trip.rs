//! One message, published and received.

use carrier_amqp::testing::assert_carries;
use carrier_amqp::{extract, inject};
use carrier_tests::telemetry::{BAGGAGE, Recorder, TRACEPARENT, TRACESTATE, sampled_context};
use lapin::options::BasicGetOptions;
use lapin::types::FieldTable;
use lapin::{BasicProperties, Confirmation};
use opentelemetry::Context;
use opentelemetry::baggage::{Baggage, BaggageExt as _};
use opentelemetry::trace::{Span as _, SpanContext, SpanKind, TraceContextExt as _, TraceFlags, Tracer as _};

use crate::support::{Queue, carrying, publish, table, text, within};

#[tokio::test]
async fn the_published_span_is_the_parent_of_the_consumers_span() {
    let queue = Queue::new().await;
    let recorder = Recorder::new();
    let tracer = recorder.tracer();

    let sending = tracer.span_builder("send").with_kind(SpanKind::Producer);
    let sending = Context::new().with_span(sending.start_with_context(&tracer, &Context::new()));
    queue.publish_context(&sending).await;
    sending.span().end();
    let cx = extract(&queue.receive().await);
    let processing = tracer.span_builder("process").with_kind(SpanKind::Consumer);
    processing.start_with_context(&tracer, &cx).end();

    let (send, process) = (recorder.span("send"), recorder.span("process"));
    assert_eq!(process.span_context.trace_id(), send.span_context.trace_id());
    assert_eq!(process.parent_span_id, send.span_context.span_id());
    assert!(process.parent_span_is_remote);
}

#[tokio::test]
async fn the_received_context_is_remote() {
    let queue = Queue::new().await;
    queue.publish_context(&sampled_context()).await;
    let cx = extract(&queue.receive().await);
    assert!(cx.span().span_context().is_remote());
}

#[tokio::test]
async fn tracestate_and_baggage_arrive() {
    let queue = Queue::new().await;
    queue.publish_context(&sampled_context()).await;
    assert_carries(&queue.receive().await, &sampled_context());
}

#[tokio::test]
async fn the_headers_are_the_texts_of_the_specification() {
    let queue = Queue::new().await;
    queue.publish_context(&sampled_context()).await;
    let expected = table([
        ("traceparent", text(TRACEPARENT)),
        ("tracestate", text(TRACESTATE)),
        ("baggage", text(BAGGAGE)),
    ]);
    let delivery = queue.receive().await;
    assert_eq!(delivery.properties.headers().as_ref(), Some(&expected));
}

#[tokio::test]
async fn every_combination_of_sampled_and_random_arrives() {
    let queue = Queue::new().await;
    let mut consumer = queue.consumer().await;
    for flags in [0, 1, 2, 3] {
        let sampled = sampled_context();
        let span = sampled.span().span_context().clone();
        let flags = TraceFlags::new(flags);
        let span = SpanContext::new(span.trace_id(), span.span_id(), flags, true, Default::default());
        queue.publish_context(&Context::new().with_remote_span_context(span)).await;
        let cx = extract(&crate::support::next(&mut consumer).await);
        assert_eq!(cx.span().span_context().trace_flags(), flags);
    }
}

#[tokio::test]
async fn baggage_arrives_with_its_metadata_and_special_characters() {
    let mut baggage = Baggage::new();
    baggage.insert_with_metadata("tenant", "blue", "ttl=30;secret");
    baggage.insert("note", "a,b;c=d%20 \"é\"\r\n");
    let cx = sampled_context().with_baggage(baggage);
    let queue = Queue::new().await;
    queue.publish_context(&cx).await;
    assert_carries(&queue.receive().await, &cx);
}

#[tokio::test]
async fn baggage_without_a_span_arrives() {
    let cx = Context::new().with_baggage([opentelemetry::KeyValue::new("tenant", "blue")]);
    let queue = Queue::new().await;
    queue.publish_context(&cx).await;
    assert_carries(&queue.receive().await, &cx);
}

#[tokio::test]
async fn a_context_injected_into_a_table_arrives_like_one_injected_into_properties() {
    let mut headers = FieldTable::default();
    let queue = Queue::new().await;
    inject(&sampled_context(), &mut headers);
    queue.publish_headers(headers).await;
    assert_carries(&queue.receive().await, &sampled_context());
}

#[tokio::test]
async fn a_message_fetched_with_basic_get_brings_its_context() {
    let queue = Queue::new().await;
    queue.publish_context(&sampled_context()).await;
    let name = queue.name.as_str().into();
    let got = queue.channel.basic_get(name, BasicGetOptions::default());
    assert_carries(&got.await.unwrap().unwrap(), &sampled_context());
}

#[tokio::test]
async fn a_returned_message_brings_its_context() {
    let queue = Queue::new().await;
    let nowhere = format!("no-{}", queue.name);
    let properties = carrying(&sampled_context());
    let confirmation = publish(&queue.channel, "", &nowhere, properties, b"").await;
    let Confirmation::Ack(Some(returned)) = confirmation else { panic!("not returned: {confirmation:?}") };
    assert_eq!(returned.reply_code, 312);
    assert_carries(&*returned, &sampled_context());
    assert_carries(&returned, &sampled_context());
}

#[tokio::test]
async fn an_acknowledged_publish_is_in_the_queue_with_its_context() {
    let queue = Queue::new().await;
    let options = Default::default();
    let name = queue.name.as_str();
    let properties = carrying(&sampled_context());
    let confirm = queue.channel.basic_publish("".into(), name.into(), options, b"", properties);
    let confirmation = within("the confirmation", confirm.await.unwrap()).await.unwrap();
    assert_eq!(confirmation, Confirmation::Ack(None));
    let got = queue.channel.basic_get(name.into(), BasicGetOptions { no_ack: true });
    assert_carries(&got.await.unwrap().unwrap(), &sampled_context());
}

#[tokio::test]
async fn the_other_properties_and_the_body_arrive_as_they_were() {
    let properties = || {
        BasicProperties::default()
            .with_content_type("text/plain".into())
            .with_correlation_id("order-17".into())
            .with_message_id("m-1".into())
            .with_priority(3)
            .with_timestamp(1_700_000_000)
    };
    let mut sent = properties();
    inject(&sampled_context(), &mut sent);
    let queue = Queue::new().await;
    queue.publish(sent, b"order 17").await;
    let delivery = queue.receive().await;
    let headers = delivery.properties.headers().clone().unwrap();
    assert_eq!(delivery.properties, properties().with_headers(headers));
    assert_eq!(delivery.data, b"order 17");
}
