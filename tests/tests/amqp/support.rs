//! What the topics share: a queue of a test's own, the registered propagator, waiting with a bound.

use std::sync::Once;

use carrier_amqp::inject;
use carrier_tests::rabbitmq;
use futures::StreamExt as _;
use lapin::message::Delivery;
use lapin::options::{BasicConsumeOptions, BasicPublishOptions, ConfirmSelectOptions};
use lapin::types::{AMQPValue, FieldTable};
use lapin::{BasicProperties, Channel, Confirmation, Consumer};
use opentelemetry::Context;

pub(crate) use carrier_tests::{LIMIT, within};

/// Registers the propagator that the README says to register.
pub(crate) fn register_propagator() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| opentelemetry::global::set_text_map_propagator(carrier_core::w3c()));
}

/// A channel with publisher confirms, on a connection of its own.
pub(crate) async fn channel() -> Channel {
    register_propagator();
    let channel = rabbitmq().await.channel().await;
    let confirms = channel.confirm_select(ConfirmSelectOptions::default());
    confirms.await.unwrap();
    channel
}

/// An empty queue with its channel; both go away with this value.
pub(crate) struct Queue {
    pub(crate) channel: Channel,
    pub(crate) name: String,
}

impl Queue {
    pub(crate) async fn new() -> Self {
        let channel = channel().await;
        let name = rabbitmq().await.declare_queue(&channel).await;
        Self { channel, name }
    }

    /// Publishes through the default exchange, and waits until the broker has the message in the queue.
    pub(crate) async fn publish(&self, properties: BasicProperties, body: &[u8]) {
        let confirmation = publish(&self.channel, "", &self.name, properties, body).await;
        assert_eq!(confirmation, Confirmation::Ack(None));
    }

    /// Publishes a message with these headers and nothing else.
    pub(crate) async fn publish_headers(&self, headers: FieldTable) {
        let properties = BasicProperties::default().with_headers(headers);
        self.publish(properties, b"").await;
    }

    /// Publishes a message that carries `cx` and nothing else.
    pub(crate) async fn publish_context(&self, cx: &Context) {
        self.publish(carrying(cx), b"").await;
    }

    pub(crate) async fn consumer(&self) -> Consumer {
        consumer(&self.channel, &self.name).await
    }

    /// Receives the one message that this test waits for.
    pub(crate) async fn receive(&self) -> Delivery {
        next(&mut self.consumer().await).await
    }
}

/// Properties that carry `cx` and nothing else.
pub(crate) fn carrying(cx: &Context) -> BasicProperties {
    let mut properties = BasicProperties::default();
    inject(cx, &mut properties);
    properties
}

/// Publishes and waits for the broker's confirmation; what cannot be routed comes back in it.
pub(crate) async fn publish(
    channel: &Channel,
    exchange: &str,
    routing_key: &str,
    properties: BasicProperties,
    body: &[u8],
) -> Confirmation {
    let options = BasicPublishOptions { mandatory: true, ..BasicPublishOptions::default() };
    let confirm =
        channel.basic_publish(exchange.into(), routing_key.into(), options, body, properties).await.unwrap();
    within("the broker's confirmation", confirm).await.unwrap()
}

pub(crate) async fn consumer(channel: &Channel, queue: &str) -> Consumer {
    let options = BasicConsumeOptions::default();
    let consumer = channel.basic_consume(queue.into(), "".into(), options, FieldTable::default());
    consumer.await.unwrap()
}

/// The next message of a consumer.
pub(crate) async fn next(consumer: &mut Consumer) -> Delivery {
    let delivery = within("the next message", consumer.next()).await;
    delivery.unwrap().unwrap()
}

/// Headers, as another program would send them.
pub(crate) fn table<'a>(headers: impl IntoIterator<Item = (&'a str, AMQPValue)>) -> FieldTable {
    let mut table = FieldTable::default();
    for (key, value) in headers {
        table.insert(key.into(), value);
    }
    table
}

/// Text, of the type that every client uses for it.
pub(crate) fn text(text: &str) -> AMQPValue {
    AMQPValue::LongString(text.into())
}
