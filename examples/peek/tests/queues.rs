//! Queues for `peek` to look into, and which of them it does.

use std::time::Duration;

use carrier_tests::{rabbitmq, unique_name};
use futures::StreamExt as _;
use lapin::message::Delivery;
use lapin::options::{
    BasicConsumeOptions, BasicGetOptions, BasicPublishOptions, ConfirmSelectOptions, QueueDeclareOptions,
};
use lapin::types::{AMQPValue, FieldTable};
use lapin::{BasicProperties, Channel};
use serde_json::json;

use crate::common::Ended;
use crate::{objects, peek};

pub(crate) struct Queue {
    pub(crate) channel: Channel,
    pub(crate) name: String,
}

impl Queue {
    pub(crate) async fn classic() -> Self {
        Self::declare(&[]).await
    }

    pub(crate) async fn quorum() -> Self {
        Self::declare(&[("x-queue-type", text("quorum"))]).await
    }

    pub(crate) async fn declare(arguments: &[(&str, AMQPValue)]) -> Self {
        let durable = QueueDeclareOptions { durable: true, ..QueueDeclareOptions::default() };
        Self::declare_with(durable, arguments).await
    }

    /// Not exclusive, since `peek` has a connection of its own; it expires if it is not used.
    async fn declare_with(options: QueueDeclareOptions, arguments: &[(&str, AMQPValue)]) -> Self {
        let channel = rabbitmq().await.channel().await;
        channel.confirm_select(ConfirmSelectOptions::default()).await.unwrap();
        let name = unique_name("peek");
        let mut arguments = table(arguments);
        let is_stream = arguments.inner().get("x-queue-type") == Some(&text("stream"));
        if !is_stream {
            arguments.insert("x-expires".into(), AMQPValue::LongInt(120_000));
        }
        channel.queue_declare(name.as_str().into(), options, arguments).await.unwrap();
        Self { channel, name }
    }

    pub(crate) async fn publish(&self, headers: FieldTable, body: &str) {
        self.publish_properties(BasicProperties::default().with_headers(headers), body).await;
    }

    pub(crate) async fn publish_properties(&self, properties: BasicProperties, body: &str) {
        let (options, name) = (BasicPublishOptions::default(), self.name.as_str());
        let confirm =
            self.channel.basic_publish("".into(), name.into(), options, body.as_bytes(), properties);
        confirm.await.unwrap().await.unwrap();
    }

    /// A message without headers to another exchange.
    pub(crate) async fn publish_to(&self, exchange: &str, routing_key: &str, body: &str) {
        let (options, properties) = (BasicPublishOptions::default(), BasicProperties::default());
        let publish = self.channel.basic_publish(
            exchange.into(),
            routing_key.into(),
            options,
            body.as_bytes(),
            properties,
        );
        publish.await.unwrap().await.unwrap();
    }

    /// Messages without headers, with their numbers in them.
    pub(crate) async fn publish_many(&self, count: u32) {
        let mut confirms = Vec::new();
        for number in 0..count {
            let (options, properties) = (BasicPublishOptions::default(), BasicProperties::default());
            let body = number.to_string();
            let publish = self.channel.basic_publish(
                "".into(),
                self.name.as_str().into(),
                options,
                body.as_bytes(),
                properties,
            );
            confirms.push(publish.await.unwrap());
        }
        for confirm in confirms {
            confirm.await.unwrap();
        }
    }

    pub(crate) async fn peek(&self, arguments: &[&str]) -> Ended {
        let arguments = [&["amqp", self.name.as_str()], arguments].concat();
        peek(&arguments, ("AMQP_URL", rabbitmq().await.url()))
    }

    /// Takes the next message, which is not acknowledged.
    pub(crate) async fn next(&self) -> Delivery {
        self.until(|ready| ready > 0).await;
        let message = self.channel.basic_get(self.name.as_str().into(), BasicGetOptions::default());
        message.await.unwrap().unwrap().delivery
    }

    /// Takes all messages out.
    pub(crate) async fn drain(&self) -> Vec<String> {
        let mut bodies = Vec::new();
        let take = BasicGetOptions { no_ack: true };
        while let Some(message) = self.channel.basic_get(self.name.as_str().into(), take).await.unwrap() {
            bodies.push(String::from_utf8(message.delivery.data.clone()).unwrap());
        }
        bodies
    }

    /// Takes all messages out, which have to be those of [`Queue::publish_many`], and this many.
    pub(crate) async fn assert_in_order(&self, count: u32, case: &str) {
        let numbers: Vec<_> = (0..count).map(|number| number.to_string()).collect();
        self.until(|ready| ready == count).await;
        // One consumer is quicker than many `get`s, above all with a quorum queue.
        let options = BasicConsumeOptions { no_ack: true, ..BasicConsumeOptions::default() };
        let consumer =
            self.channel.basic_consume(self.name.as_str().into(), "".into(), options, FieldTable::default());
        let consumer = consumer.await.unwrap().take(numbers.len());
        let messages: Vec<_> =
            consumer.map(|message| String::from_utf8(message.unwrap().data).unwrap()).collect().await;
        let moved = messages.iter().zip(&numbers).position(|(message, number)| message != number);
        let from_there = moved.map(|from| &messages[from..messages.len().min(from + 20)]);
        assert_eq!(from_there, None, "{case}: another order");
    }

    /// Waits until so many messages are ready as `enough` says.
    pub(crate) async fn until(&self, enough: impl Fn(u32) -> bool) {
        let passive = QueueDeclareOptions { passive: true, ..QueueDeclareOptions::default() };
        for _ in 0..1_000 {
            let declared =
                self.channel.queue_declare(self.name.as_str().into(), passive, FieldTable::default()).await;
            if enough(declared.unwrap().message_count()) {
                return;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        panic!("{} does not get there", self.name);
    }
}

pub(crate) fn table(headers: &[(&str, AMQPValue)]) -> FieldTable {
    let mut table = FieldTable::default();
    for (name, value) in headers {
        table.insert((*name).into(), value.clone());
    }
    table
}

pub(crate) fn text(text: &str) -> AMQPValue {
    AMQPValue::LongString(text.into())
}

/// Arguments that every type but the stream may have.
fn dead_letters() -> Vec<(&'static str, AMQPValue)> {
    vec![
        ("x-dead-letter-exchange", text("")),
        ("x-dead-letter-routing-key", text("it's 'of type' here")),
        ("x-message-ttl", AMQPValue::LongInt(600_000)),
        ("x-max-length", AMQPValue::LongLongInt(1_000)),
        ("x-single-active-consumer", AMQPValue::Boolean(false)),
    ]
}

#[tokio::test(flavor = "multi_thread")]
async fn a_quorum_queue_is_looked_into_with_yes_only() {
    let limit = vec![("x-delivery-limit", AMQPValue::LongInt(50)), ("x-queue-type", text("quorum"))];
    for queue in [Queue::quorum().await, Queue::declare(&[dead_letters(), limit].concat()).await] {
        queue.publish(FieldTable::default(), "1").await;
        for arguments in [&[][..], &["--json"]] {
            let refused = queue.peek(arguments).await;
            refused.assert_refuses(1, "--yes");
            assert!(refused.stdout.is_empty() && refused.stderr.contains("is a quorum queue"), "{refused:?}");
        }
        // The refusals were no deliveries, and the first look is one.
        for count in [json!(null), json!(1)] {
            let found = objects(&queue.peek(&["--json", "--yes"]).await);
            assert_eq!((found.len(), &found[0]["delivery_count"]), (1, &count));
        }
        assert_eq!(queue.drain().await, ["1"]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn other_queues_are_looked_into_whatever_arguments_they_have() {
    let classic = vec![
        ("x-max-priority", AMQPValue::ShortShortUInt(5)),
        ("x-queue-mode", text("lazy")),
        ("x-queue-type", text("classic")),
    ];
    let goes_by_itself =
        QueueDeclareOptions { durable: true, auto_delete: true, ..QueueDeclareOptions::default() };
    let transient = QueueDeclareOptions { auto_delete: true, ..QueueDeclareOptions::default() };
    for queue in [
        Queue::classic().await,
        Queue::declare(&[dead_letters(), classic].concat()).await,
        Queue::declare_with(goes_by_itself, &[]).await,
        Queue::declare_with(transient, &[]).await,
    ] {
        queue.publish(FieldTable::default(), "1").await;
        let ended = queue.peek(&[]).await;
        assert!(ended.code == Some(0) && ended.stdout.contains("(classic): 1 of 1"), "{ended:?}");
        assert_eq!(queue.drain().await, ["1"]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_queue_that_hides_its_type_counts_as_a_quorum_queue() {
    // The answer has 255 bytes at most, so this value is cut off, and with it what could be asked next.
    let long = "k".repeat(240);
    let hidden = [("x-dead-letter-exchange", text("")), ("x-dead-letter-routing-key", text(&long))];
    let queue = Queue::declare(&hidden).await;
    queue.publish(FieldTable::default(), "1").await;
    queue.peek(&[]).await.assert_refuses(1, "may be a quorum queue");
    let ended = queue.peek(&["--yes"]).await;
    assert!(ended.code == Some(0) && ended.stdout.contains("if it is a classic queue"), "{ended:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_queue_with_a_single_active_consumer_is_looked_into_until_another_consumer_is_active() {
    let single = ("x-single-active-consumer", AMQPValue::Boolean(true));
    let queue = Queue::declare(&[("x-queue-type", text("quorum")), single]).await;
    queue.publish_many(2).await;
    assert_eq!(objects(&queue.peek(&["--json", "--yes"]).await).len(), 2);
    queue.until(|ready| ready == 2).await;

    queue.channel.basic_qos(1, Default::default()).await.unwrap();
    let consume = queue.channel.basic_consume(
        queue.name.as_str().into(),
        "".into(),
        Default::default(),
        FieldTable::default(),
    );
    let _active = consume.await.unwrap();
    queue.until(|ready| ready == 1).await;
    queue.peek(&["--yes"]).await.assert_refuses(1, "does another consumer use the queue alone?");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_is_refused() {
    let queue = Queue::declare(&[("x-queue-type", text("stream"))]).await;
    for arguments in [&[][..], &["--yes"]] {
        queue.peek(arguments).await.assert_refuses(1, "is a stream");
    }
    queue.channel.queue_delete(queue.name.as_str().into(), Default::default()).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn an_empty_queue_is_said_and_a_missing_one_stays_missing() {
    let queue = Queue::classic().await;
    let ended = queue.peek(&[]).await;
    assert!(ended.code == Some(0) && ended.stdout.contains("is empty"), "{ended:?}");
    let ended = queue.peek(&["--json"]).await;
    assert!(ended.stdout.is_empty() && ended.stderr.contains("is empty"), "{ended:?}");

    let url = rabbitmq().await.url();
    let missing = unique_name("missing");
    for _ in 0..2 {
        peek(&["amqp", &missing, "--yes"], ("AMQP_URL", url)).assert_refuses(1, &missing);
    }
    peek(&["amqp", &"q".repeat(256)], ("AMQP_URL", url)).assert_refuses(1, "no name of a queue");
}
