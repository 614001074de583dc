//! What a user puts beside the context comes out of the broker as it went in.

use carrier_amqp::inject;
use carrier_amqp::testing::{assert_carries, assert_carries_nothing};
use carrier_tests::telemetry::{BAGGAGE, TRACEPARENT, TRACESTATE, sampled_context};
use lapin::BasicProperties;
use lapin::types::{AMQPValue, ByteArray, DecimalValue, FieldTable};
use opentelemetry::Context;

use crate::support::{Queue, table, text};

/// A value of every type that RabbitMQ knows. `ShortString` is none of them: it closes the connection.
pub(crate) fn every_type() -> Vec<(&'static str, AMQPValue)> {
    let mut values = scalars();
    let nested = scalars().into_iter().map(|(_, value)| value);
    values.push(("field-array", AMQPValue::FieldArray(nested.collect::<Vec<_>>().into())));
    values.push(("field-table", AMQPValue::FieldTable(table(scalars()))));
    values
}

fn scalars() -> Vec<(&'static str, AMQPValue)> {
    let decimal = DecimalValue { scale: 2, value: 314 };
    vec![
        ("boolean", AMQPValue::Boolean(true)),
        ("short-short-int", AMQPValue::ShortShortInt(i8::MIN)),
        ("short-short-uint", AMQPValue::ShortShortUInt(u8::MAX)),
        ("short-int", AMQPValue::ShortInt(i16::MIN)),
        ("short-uint", AMQPValue::ShortUInt(u16::MAX)),
        ("long-int", AMQPValue::LongInt(i32::MIN)),
        ("long-uint", AMQPValue::LongUInt(u32::MAX)),
        ("long-long-int", AMQPValue::LongLongInt(i64::MIN)),
        ("float", AMQPValue::Float(1.5)),
        ("double", AMQPValue::Double(-2.25)),
        ("decimal-value", AMQPValue::DecimalValue(decimal)),
        ("long-string", text("größer")),
        ("long-string-of-bytes", AMQPValue::LongString(vec![0xff, 0, 0xfe].into())),
        ("long-string-empty", text("")),
        ("timestamp", AMQPValue::Timestamp(1_700_000_000)),
        ("byte-array", AMQPValue::ByteArray(ByteArray::from(vec![0xff, 0, 0xfe]))),
        ("void", AMQPValue::Void),
    ]
}

async fn assert_arrive_unchanged_beside_the_context(properties: BasicProperties) {
    let queue = Queue::new().await;
    queue.publish(properties, b"").await;
    let received = queue.receive().await.properties.headers().clone().unwrap();
    for (name, value) in every_type() {
        assert_eq!(received.inner().get(name), Some(&value), "{name}");
    }
    assert_eq!(received.inner().len(), every_type().len() + 3);
    assert_carries(&received, &sampled_context());
}

#[tokio::test]
async fn headers_of_every_type_in_a_table_arrive_unchanged_beside_the_context() {
    let mut headers = table(every_type());
    inject(&sampled_context(), &mut headers);
    let properties = BasicProperties::default().with_headers(headers);
    assert_arrive_unchanged_beside_the_context(properties).await;
}

#[tokio::test]
async fn headers_of_every_type_in_properties_arrive_unchanged_beside_the_context() {
    let mut properties = BasicProperties::default().with_headers(table(every_type()));
    inject(&sampled_context(), &mut properties);
    assert_arrive_unchanged_beside_the_context(properties).await;
}

#[tokio::test]
async fn names_in_another_case_are_the_same_fields() {
    let queue = Queue::new().await;
    let headers = table([
        ("Traceparent", text(TRACEPARENT)),
        ("TRACEPARENT", text(TRACEPARENT)),
        ("TraceState", text(TRACESTATE)),
        ("Baggage", text(BAGGAGE)),
    ]);
    queue.publish_headers(headers).await;
    assert_carries(&queue.receive().await, &sampled_context());
}

#[tokio::test]
async fn names_that_look_like_ours_stay_the_users() {
    let other = || table([("baggage ", text("c")), ("x-traceparent", text("d"))]);
    let queue = Queue::new().await;
    let mut headers = other();
    headers.insert("Traceparent".into(), text("a"));
    headers.insert("TRACESTATE".into(), text("b"));
    inject(&sampled_context(), &mut headers);
    inject(&Context::new(), &mut headers);
    queue.publish_headers(headers).await;
    let delivery = queue.receive().await;
    assert_eq!(delivery.properties.headers().as_ref(), Some(&other()));
}

#[tokio::test]
async fn a_message_without_headers_and_without_a_context_stays_without_headers() {
    let queue = Queue::new().await;
    let mut properties = BasicProperties::default();
    inject(&Context::new(), &mut properties);
    queue.publish(properties, b"").await;
    let delivery = queue.receive().await;
    assert_eq!(*delivery.properties.headers(), None);
    assert_carries_nothing(&delivery);
}

#[tokio::test]
async fn an_empty_table_stays_an_empty_table() {
    let queue = Queue::new().await;
    let mut properties = BasicProperties::default().with_headers(FieldTable::default());
    inject(&Context::new(), &mut properties);
    queue.publish(properties, b"").await;
    let delivery = queue.receive().await;
    assert_eq!(*delivery.properties.headers(), Some(FieldTable::default()));
}
