//! Nobody registers a propagator in this binary: trace context travels through RabbitMQ, and baggage does not.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

use std::time::Duration;

use carrier_amqp::{extract, inject};
use carrier_tests::rabbitmq;
use carrier_tests::telemetry::{TRACEPARENT, TRACESTATE, sampled_context};
use futures::StreamExt as _;
use lapin::BasicProperties;
use lapin::message::Delivery;
use lapin::options::{BasicConsumeOptions, BasicPublishOptions};
use lapin::types::{AMQPValue, FieldTable};
use opentelemetry::baggage::BaggageExt as _;
use opentelemetry::trace::TraceContextExt as _;

async fn published(properties: BasicProperties) -> Delivery {
    let set = std::env::var_os("OTEL_PROPAGATORS");
    assert_eq!(set, None, "these tests are about an environment without OTEL_PROPAGATORS");
    let channel = rabbitmq().await.channel().await;
    let queue = rabbitmq().await.declare_queue(&channel).await;
    let options = BasicPublishOptions::default();
    let published = channel.basic_publish("".into(), queue.as_str().into(), options, b"", properties);
    published.await.unwrap().await.unwrap();
    let options = BasicConsumeOptions::default();
    let consumer = channel.basic_consume(queue.as_str().into(), "".into(), options, FieldTable::default());
    let mut consumer = consumer.await.unwrap();
    let delivery = tokio::time::timeout(Duration::from_secs(30), consumer.next()).await;
    delivery.unwrap().unwrap().unwrap()
}

fn headers(entries: &[(&str, &str)]) -> FieldTable {
    let mut table = FieldTable::default();
    for (name, value) in entries {
        table.insert((*name).into(), AMQPValue::LongString((*value).into()));
    }
    table
}

#[tokio::test]
async fn trace_context_is_sent_and_baggage_is_not() {
    let mut properties = BasicProperties::default();
    inject(&sampled_context(), &mut properties);
    let delivery = published(properties).await;
    let expected = headers(&[("traceparent", TRACEPARENT), ("tracestate", TRACESTATE)]);
    assert_eq!(*delivery.properties.headers(), Some(expected));
}

#[tokio::test]
async fn a_received_trace_context_is_read() {
    let sent = headers(&[("traceparent", TRACEPARENT), ("tracestate", TRACESTATE)]);
    let delivery = published(BasicProperties::default().with_headers(sent)).await;
    let (received, sent) = (extract(&delivery), sampled_context());
    assert_eq!(received.span().span_context(), sent.span().span_context());
}

#[tokio::test]
async fn a_received_baggage_is_not_read() {
    let sent = headers(&[("traceparent", TRACEPARENT), ("baggage", "tenant=blue")]);
    let delivery = published(BasicProperties::default().with_headers(sent)).await;
    assert!(extract(&delivery).baggage().is_empty());
}
