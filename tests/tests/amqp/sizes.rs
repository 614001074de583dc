//! A content header is one frame (AMQP 0-9-1, section 4.2.6.1), so the frame limits what headers can hold.

use carrier_amqp::testing::{assert_carries, assert_carries_nothing};
use carrier_tests::telemetry::sampled_context;
use carrier_tests::{RabbitMq, rabbitmq};
use futures::StreamExt as _;
use lapin::options::{BasicPublishOptions, ConfirmSelectOptions};
use lapin::protocol::{AMQPErrorKind, AMQPHardError};
use lapin::types::{AMQPValue, FieldTable};
use lapin::{BasicProperties, Channel, Connection, ErrorKind};

use crate::support::{Queue, carrying, next, publish, register_propagator, table, within};

/// What a frame with nothing but one text under `traceparent` needs beside that text: the frame's own 8 bytes, class,
/// weight, body size and property flags (14), the table's length (4), the key (12), the value's type and length (5).
const OVERHEAD: usize = 8 + 14 + 4 + 12 + 5;

/// RabbitMQ takes frames that are larger than it said by this much, for clients that count without the frame's own bytes.
const FUDGE: usize = 8;

fn zeros(length: usize) -> FieldTable {
    table([("traceparent", AMQPValue::LongString(vec![b'0'; length].into()))])
}

async fn confirming(connection: &Connection) -> Channel {
    let channel = connection.create_channel().await.unwrap();
    let confirms = channel.confirm_select(ConfirmSelectOptions::default());
    confirms.await.unwrap();
    channel
}

fn frame_max(connection: &Connection) -> usize {
    usize::try_from(connection.configuration().frame_max()).unwrap()
}

fn assert_frame_error(error: &lapin::Error) {
    let ErrorKind::ProtocolError(protocol) = error.kind() else { panic!("another error: {error:?}") };
    assert_eq!(*protocol.kind(), AMQPErrorKind::Hard(AMQPHardError::FRAMEERROR));
}

#[tokio::test]
async fn a_header_that_fills_the_frame_to_the_last_byte_is_received() {
    let queue = Queue::new().await;
    let connection = rabbitmq().await.connection().await;
    let mut consumer = queue.consumer().await;
    let headers = zeros(frame_max(&connection) - OVERHEAD);
    queue.publish_headers(headers.clone()).await;
    queue.publish_context(&sampled_context()).await;
    let delivery = next(&mut consumer).await;
    assert_eq!(delivery.properties.headers().as_ref(), Some(&headers));
    assert_carries_nothing(&delivery);
    assert_carries(&next(&mut consumer).await, &sampled_context());
}

/// With the usual frames of 128 KiB, no header of a mebibyte gets as far as a queue: the broker closes the publisher's
/// connection, and nobody else notices.
#[tokio::test]
async fn a_header_that_is_larger_than_a_frame_ends_the_publishers_connection() {
    let queue = Queue::new().await;
    let mut consumer = queue.consumer().await;
    let connection = rabbitmq().await.connection().await;
    let channel = confirming(&connection).await;
    let too_large =
        BasicProperties::default().with_headers(zeros(frame_max(&connection) - OVERHEAD + FUDGE + 1));

    let name = queue.name.as_str().into();
    let published = channel.basic_publish("".into(), name, BasicPublishOptions::default(), b"", too_large);
    let confirm = published.await.unwrap();
    let error = within("the broker's refusal", confirm).await.unwrap_err();

    assert_frame_error(&error);
    assert!(!connection.status().connected());
    queue.publish_context(&sampled_context()).await;
    assert_carries(&next(&mut consumer).await, &sampled_context());
}

/// What RabbitMQ tolerates, lapin does not: it closes a consumer's connection, and the message goes to the next consumer.
#[tokio::test]
async fn a_header_that_is_a_byte_larger_than_a_frame_ends_lapins_connection() {
    let queue = Queue::new().await;
    let connection = rabbitmq().await.connection().await;
    let publisher = confirming(&connection).await;
    let a_byte_more = BasicProperties::default().with_headers(zeros(frame_max(&connection) - OVERHEAD + 1));
    let confirmation = publish(&publisher, "", &queue.name, a_byte_more, b"").await;
    assert_eq!(confirmation, lapin::Confirmation::Ack(None));
    let mut consumer = queue.consumer().await;
    let received = within("the failure", consumer.next()).await;
    assert_frame_error(&received.unwrap().unwrap_err());
    assert!(!queue.channel.status().connected());
}

#[tokio::test]
async fn a_header_of_a_mebibyte_is_received_where_the_broker_allows_such_frames() {
    register_propagator();
    let own = RabbitMq::start_own().await;
    let allow = "application:set_env(rabbit, frame_max, 1100000).";
    own.exec(["rabbitmqctl", "eval", allow]).await;
    let connection = own.connection().await;
    assert_eq!(frame_max(&connection), 1_100_000);
    let channel = confirming(&connection).await;
    let queue = own.declare_queue(&channel).await;
    let mut consumer = crate::support::consumer(&channel, &queue).await;

    let headers = zeros(1 << 20);
    let bad = BasicProperties::default().with_headers(headers.clone());
    publish(&channel, "", &queue, bad, b"").await;
    publish(&channel, "", &queue, carrying(&sampled_context()), b"").await;

    let delivery = next(&mut consumer).await;
    assert_eq!(delivery.properties.headers().as_ref(), Some(&headers));
    assert_carries_nothing(&delivery);
    assert_carries(&next(&mut consumer).await, &sampled_context());
}
