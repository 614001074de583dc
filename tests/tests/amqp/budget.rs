//! A content header that is larger than the frame costs the connection; with a budget it is never larger.

use carrier_amqp::testing::assert_carries;
use carrier_amqp::{extract_with, frame_budget, inject_with};
use carrier_core::{Budget, InjectionOutcome, Propagation, w3c};
use carrier_tests::telemetry::{SPAN_ID, sampled_context};
use carrier_tests::{RabbitMq, rabbitmq, unique_name};
use futures::StreamExt as _;
use lapin::message::Delivery;
use lapin::options::{BasicConsumeOptions, ConfirmSelectOptions, QueueDeclareOptions};
use lapin::protocol::{AMQPErrorKind, AMQPHardError};
use lapin::types::{AMQPValue, FieldTable};
use lapin::{BasicProperties, Channel, Confirmation, Connection, ErrorKind};
use opentelemetry::baggage::BaggageExt as _;
use opentelemetry::propagation::TextMapCompositePropagator;
use opentelemetry::trace::TraceContextExt as _;
use opentelemetry::{Context, KeyValue};
use opentelemetry_sdk::propagation::{BaggagePropagator, TraceContextPropagator};

use crate::support::{Queue, consumer, publish, table, text, within};

/// The smallest frame that RabbitMQ 4.1 and later allow.
const FRAME_MAX: u32 = 8_192;

/// A connection that agreed on small frames, and its channel with confirms.
async fn small_frames() -> (Connection, Channel) {
    let url = format!("{}?frame_max={FRAME_MAX}", rabbitmq().await.url());
    let connection = RabbitMq::connect(&url).await.unwrap();
    assert_eq!(connection.configuration().frame_max(), FRAME_MAX);
    let channel = connection.create_channel().await.unwrap();
    channel.confirm_select(ConfirmSelectOptions::default()).await.unwrap();
    (connection, channel)
}

/// A span with as much baggage as W3C allows.
fn heavy() -> Context {
    let members = (0..64).map(|n| KeyValue::new(format!("key-{n:02}"), "v".repeat(122)));
    sampled_context().with_baggage(members.collect::<Vec<_>>())
}

/// Headers of the user's that leave `room` bytes or so of a small frame.
fn user_headers(room: usize) -> BasicProperties {
    let mut table = FieldTable::default();
    let value = "u".repeat(FRAME_MAX as usize - room);
    table.insert("user".into(), AMQPValue::LongString(value.into()));
    BasicProperties::default().with_headers(table)
}

#[tokio::test]
async fn headers_that_cost_the_connection_with_the_stock_propagators_are_published_with_ours() {
    let stock = TextMapCompositePropagator::new(vec![
        Box::new(TraceContextPropagator::new()),
        Box::new(BaggagePropagator::new()),
    ]);
    let (connection, channel) = small_frames().await;
    let queue = rabbitmq().await.declare_queue(&channel).await;
    // Without a budget, as a short injector of one's own does it.
    let mut headers = std::collections::HashMap::new();
    opentelemetry::propagation::TextMapPropagator::inject_context(&stock, &heavy(), &mut headers);
    let table = headers.into_iter().fold(FieldTable::default(), |mut table, (key, value)| {
        table.insert(key.into(), AMQPValue::LongString(value.into()));
        table
    });
    let properties = BasicProperties::default().with_headers(table);
    let publishing =
        channel.basic_publish("".into(), queue.as_str().into(), Default::default(), b"", properties);
    let confirm = match within("the publish", publishing).await {
        Ok(confirm) => within("the confirm", confirm).await.map(drop),
        Err(error) => Err(error),
    };
    assert!(confirm.is_err(), "{confirm:?}");
    assert!(!connection.status().connected());

    let (connection, channel) = small_frames().await;
    let queue = rabbitmq().await.declare_queue(&channel).await;
    let budget = frame_budget(connection.configuration().frame_max());
    let propagation = Propagation::builder().propagator(w3c()).budget(budget).build();
    let mut properties = BasicProperties::default();
    let report = inject_with(&propagation, &heavy(), &mut properties);
    assert!(report.dropped().iter().all(|dropped| dropped.field == "baggage"));
    let confirmation = publish(&channel, "", &queue, properties, b"").await;
    assert_eq!(confirmation, Confirmation::Ack(None));

    let options = BasicConsumeOptions { no_ack: true, ..Default::default() };
    let consuming = channel.basic_consume(queue.as_str().into(), "".into(), options, FieldTable::default());
    let mut consumer = consuming.await.unwrap();
    let delivery = within("the message", consumer.next()).await.unwrap().unwrap();
    let cx = extract_with(&propagation, &delivery);
    assert_eq!(cx.span().span_context().span_id(), SPAN_ID);
    // As many whole members as there is room for.
    let members = cx.baggage().len();
    assert!((50..64).contains(&members), "{members}");
}

#[tokio::test]
async fn headers_of_the_users_that_nearly_fill_the_frame_are_published_without_a_context() {
    let (connection, channel) = small_frames().await;
    let queue = rabbitmq().await.declare_queue(&channel).await;
    let budget = frame_budget(connection.configuration().frame_max());
    let propagation = Propagation::builder().propagator(w3c()).budget(budget).build();
    let mut properties = user_headers(80);
    let report = inject_with(&propagation, &heavy(), &mut properties);
    assert_eq!(report.outcome(), InjectionOutcome::NoRoom);
    assert_eq!(properties, user_headers(80));
    assert_eq!(publish(&channel, "", &queue, properties, b"").await, Confirmation::Ack(None));
    assert!(connection.status().connected());
}

#[tokio::test]
async fn the_common_frame_is_kept_without_a_setting() {
    let queue = Queue::new().await;
    let mut table = FieldTable::default();
    table.insert("user".into(), AMQPValue::LongString("u".repeat(129_500).into()));
    let mut properties = BasicProperties::default().with_headers(table);
    let report = carrier_amqp::inject(&heavy(), &mut properties);
    assert_eq!(report.fields().collect::<Vec<_>>(), ["traceparent", "tracestate", "baggage"]);
    let dropped: usize = report.dropped().iter().map(|dropped| dropped.members).sum();
    assert!(dropped > 50, "{report:?}");
    assert_eq!(publish(&queue.channel, "", &queue.name, properties, b"").await, Confirmation::Ack(None));
}

/// The frame of a message whose only property is headers, without those.
const EMPTY: usize = 8 + 14 + 4;

/// A message whose content header takes exactly so many bytes, all that the budget allows.
fn filled(limit: usize, budget: Budget) -> BasicProperties {
    let propagation = Propagation::builder().propagator(w3c()).budget(budget).build();
    let ours = inject_with(&propagation, &sampled_context(), &mut FieldTable::default()).bytes();
    let value = "u".repeat(limit - EMPTY - ours - 1 - "user".len() - 1 - 4);
    let mut properties = BasicProperties::default().with_headers(table([("user", text(&value))]));
    let report = inject_with(&propagation, &sampled_context(), &mut properties);
    assert_eq!(report.bytes(), ours, "{report:?}");
    properties
}

/// Publishes to a queue where every message expires and is dead-lettered, and receives it from there with small frames.
async fn dead_lettered(properties: BasicProperties) -> (Connection, lapin::Result<Delivery>) {
    let (connection, channel) = small_frames().await;
    let dead = rabbitmq().await.declare_queue(&channel).await;
    let waiting = unique_name("queue");
    let exclusive = QueueDeclareOptions { exclusive: true, ..Default::default() };
    let arguments = table([
        ("x-message-ttl", AMQPValue::LongInt(1)),
        ("x-dead-letter-exchange", text("")),
        ("x-dead-letter-routing-key", text(&dead)),
    ]);
    channel.queue_declare(waiting.as_str().into(), exclusive, arguments).await.unwrap();
    let (_publisher, publishing) = small_frames().await;
    assert_eq!(publish(&publishing, "", &waiting, properties, b"").await, Confirmation::Ack(None));
    let mut consumer = consumer(&channel, &dead).await;
    let received = within("the dead letter", consumer.next()).await.unwrap();
    (connection, received)
}

#[tokio::test]
async fn a_message_that_fills_its_frame_is_received_after_it_was_dead_lettered() {
    let properties = filled(FRAME_MAX as usize - 1_024, frame_budget(FRAME_MAX));
    let (connection, received) = dead_lettered(properties).await;
    assert_carries(&received.unwrap(), &sampled_context());
    assert!(connection.status().connected());
}

#[tokio::test]
async fn without_the_reserve_dead_lettering_costs_the_consumers_connection() {
    let properties = filled(FRAME_MAX as usize, Budget::message(FRAME_MAX as usize));
    let (connection, received) = dead_lettered(properties).await;
    let error = received.unwrap_err();
    let ErrorKind::ProtocolError(protocol) = error.kind() else { panic!("another error: {error:?}") };
    assert_eq!(*protocol.kind(), AMQPErrorKind::Hard(AMQPHardError::FRAMEERROR));
    assert!(!connection.status().connected());
}
