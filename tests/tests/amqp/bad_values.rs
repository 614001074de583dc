//! What another program may put under our names: none of it is a context, and the consumer goes on.

use carrier_amqp::extract;
use carrier_amqp::testing::{assert_carries, assert_carries_nothing};
use carrier_tests::telemetry::{BAGGAGE, TRACEPARENT, TRACESTATE, sampled_context};
use lapin::Consumer;
use lapin::message::Delivery;
use lapin::types::{AMQPValue, ByteArray, FieldTable};
use opentelemetry::baggage::BaggageExt as _;
use opentelemetry::trace::{SpanContext, TraceContextExt as _};

use crate::support::{Queue, next, table, text};
use crate::user_headers::every_type;

const NAMES: [&str; 3] = ["traceparent", "tracestate", "baggage"];

/// Everything that no `traceparent`, `tracestate` or `baggage` can be, by a name for the failure.
fn bad_values() -> Vec<(&'static str, AMQPValue)> {
    let good = || table([("traceparent", text(TRACEPARENT))]);
    let mut values = every_type();
    values.extend([
        ("a good table", AMQPValue::FieldTable(good())),
        ("a good array", AMQPValue::FieldArray(vec![text(TRACEPARENT)].into())),
        ("an empty array", AMQPValue::FieldArray(Vec::new().into())),
        ("an empty table", AMQPValue::FieldTable(FieldTable::default())),
        ("tables 100 deep", nested_tables(100)),
        ("arrays 100 deep", nested_arrays(100)),
        ("an empty byte array", AMQPValue::ByteArray(Vec::new().into())),
        ("not UTF-8", AMQPValue::LongString(vec![0xff; 55].into())),
        ("spaces", text("   ")),
        ("commas", text(",,,,")),
        ("zero bytes", AMQPValue::LongString(vec![0; 55].into())),
        ("100,000 zeros", AMQPValue::LongString(vec![b'0'; 100_000].into())),
        ("100,000 commas", AMQPValue::LongString(vec![b','; 100_000].into())),
        ("line breaks", text("00-\r\nevil: 1")),
    ]);
    values
}

pub(crate) fn nested_tables(depth: usize) -> AMQPValue {
    let inside = AMQPValue::Boolean(true);
    (0..depth).fold(inside, |inner, _| AMQPValue::FieldTable(table([("traceparent", inner)])))
}

fn nested_arrays(depth: usize) -> AMQPValue {
    let inside = AMQPValue::Boolean(true);
    (0..depth).fold(inside, |inner, _| AMQPValue::FieldArray(vec![inner].into()))
}

/// One consumer for all messages of a test: it must not be hurt by any of them.
struct Survivor {
    queue: Queue,
    consumer: Consumer,
}

impl Survivor {
    async fn new() -> Self {
        let queue = Queue::new().await;
        let consumer = queue.consumer().await;
        Self { queue, consumer }
    }

    /// Receives a message with these headers, and after it one with a good context.
    async fn receives(&mut self, headers: FieldTable) -> Delivery {
        self.queue.publish_headers(headers.clone()).await;
        self.queue.publish_context(&sampled_context()).await;
        let bad = next(&mut self.consumer).await;
        assert_eq!(bad.properties.headers().as_ref(), Some(&headers));
        assert_carries(&next(&mut self.consumer).await, &sampled_context());
        bad
    }
}

fn received_span(delivery: &Delivery) -> SpanContext {
    extract(delivery).span().span_context().clone()
}

#[tokio::test]
async fn a_traceparent_that_is_none_is_no_context() {
    let mut survivor = Survivor::new().await;
    for (what, value) in bad_values() {
        let delivery = survivor.receives(table([("traceparent", value)])).await;
        let span = received_span(&delivery);
        assert!(!span.is_valid(), "{what}: {span:?}");
    }
}

#[tokio::test]
async fn a_tracestate_that_is_none_does_not_affect_the_traceparent() {
    let mut survivor = Survivor::new().await;
    for (what, value) in bad_values() {
        let headers = table([("traceparent", text(TRACEPARENT)), ("tracestate", value)]);
        let span = received_span(&survivor.receives(headers).await);
        let sent = sampled_context().span().span_context().span_id();
        assert_eq!((span.span_id(), span.trace_state().header()), (sent, String::new()), "{what}");
    }
}

#[tokio::test]
async fn a_baggage_that_is_none_does_not_affect_the_traceparent() {
    let mut survivor = Survivor::new().await;
    for (what, value) in bad_values() {
        let headers = table([("traceparent", text(TRACEPARENT)), ("baggage", value)]);
        let cx = extract(&survivor.receives(headers).await);
        let sent = sampled_context().span().span_context().span_id();
        assert_eq!((cx.span().span_context().span_id(), cx.baggage().len()), (sent, 0), "{what}");
    }
}

#[tokio::test]
async fn all_three_names_with_a_bad_value_are_no_context() {
    let mut survivor = Survivor::new().await;
    for (_, value) in bad_values() {
        // Three of the largest do not fit into a frame.
        if matches!(&value, AMQPValue::LongString(text) if text.len() == 100_000) {
            continue;
        }
        let headers = table(NAMES.map(|name| (name, value.clone())));
        assert_carries_nothing(&survivor.receives(headers).await);
    }
}

#[tokio::test]
async fn a_context_sent_as_byte_arrays_is_read() {
    let bytes = |text: &str| AMQPValue::ByteArray(ByteArray::from(text.as_bytes()));
    let headers = table([
        ("traceparent", bytes(TRACEPARENT)),
        ("tracestate", bytes(TRACESTATE)),
        ("baggage", bytes(BAGGAGE)),
    ]);
    let delivery = Survivor::new().await.receives(headers).await;
    assert_carries(&delivery, &sampled_context());
}

#[tokio::test]
async fn ten_thousand_other_headers_do_not_hide_the_context() {
    let keys: Vec<_> = (0..10_000).map(|n| format!("u{n}")).collect();
    let mut headers = table(keys.iter().map(|key| (key.as_str(), AMQPValue::Boolean(true))));
    carrier_amqp::inject(&sampled_context(), &mut headers);
    let delivery = Survivor::new().await.receives(headers).await;
    assert_carries(&delivery, &sampled_context());
}

#[tokio::test]
async fn a_message_without_headers_is_no_context_and_the_next_one_has_its_own() {
    let queue = Queue::new().await;
    let mut consumer = queue.consumer().await;
    queue.publish(Default::default(), b"").await;
    queue.publish_context(&sampled_context()).await;
    let delivery = next(&mut consumer).await;
    assert_eq!(*delivery.properties.headers(), None);
    assert_carries_nothing(&delivery);
    assert_carries(&next(&mut consumer).await, &sampled_context());
}
