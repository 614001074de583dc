//! Exchanges of every kind route a message with a context as they would without.

use carrier_amqp::inject;
use carrier_amqp::testing::assert_carries;
use carrier_tests::telemetry::sampled_context;
use carrier_tests::unique_name;
use lapin::options::{ExchangeDeclareOptions, QueueBindOptions};
use lapin::types::FieldTable;
use lapin::{BasicProperties, Confirmation, ExchangeKind};

use crate::support::{Queue, carrying, publish, table, text};

/// A queue bound to an exchange of this kind, and the exchange's name.
async fn bound(kind: ExchangeKind, routing_key: &str, arguments: FieldTable) -> (Queue, String) {
    let queue = Queue::new().await;
    let exchange = unique_name("exchange");
    let goes_with_its_queue =
        ExchangeDeclareOptions { auto_delete: true, ..ExchangeDeclareOptions::default() };
    queue
        .channel
        .exchange_declare(exchange.as_str().into(), kind, goes_with_its_queue, FieldTable::default())
        .await
        .unwrap();
    queue
        .channel
        .queue_bind(
            queue.name.as_str().into(),
            exchange.as_str().into(),
            routing_key.into(),
            QueueBindOptions::default(),
            arguments,
        )
        .await
        .unwrap();
    (queue, exchange)
}

async fn arrives(queue: &Queue, exchange: &str, routing_key: &str, properties: BasicProperties) {
    let confirmation = publish(&queue.channel, exchange, routing_key, properties, b"").await;
    assert_eq!(confirmation, Confirmation::Ack(None));
    let delivery = queue.receive().await;
    assert_eq!(delivery.exchange.as_str(), exchange);
    assert_carries(&delivery, &sampled_context());
}

#[tokio::test]
async fn a_direct_exchange_passes_the_context() {
    let (queue, exchange) = bound(ExchangeKind::Direct, "orders", FieldTable::default()).await;
    arrives(&queue, &exchange, "orders", carrying(&sampled_context())).await;
}

#[tokio::test]
async fn a_fanout_exchange_passes_the_context() {
    let (queue, exchange) = bound(ExchangeKind::Fanout, "", FieldTable::default()).await;
    arrives(&queue, &exchange, "", carrying(&sampled_context())).await;
}

#[tokio::test]
async fn a_topic_exchange_passes_the_context() {
    let (queue, exchange) = bound(ExchangeKind::Topic, "orders.*.eu", FieldTable::default()).await;
    arrives(&queue, &exchange, "orders.new.eu", carrying(&sampled_context())).await;
}

#[tokio::test]
async fn a_headers_exchange_that_wants_all_headers_still_matches_beside_ours() {
    for wants in ["all", "all-with-x"] {
        let arguments = table([("x-match", text(wants)), ("region", text("eu")), ("x-team", text("a"))]);
        let (queue, exchange) = bound(ExchangeKind::Headers, "", arguments).await;
        let mut headers = table([("region", text("eu")), ("x-team", text("a"))]);
        inject(&sampled_context(), &mut headers);
        let properties = BasicProperties::default().with_headers(headers);
        arrives(&queue, &exchange, "", properties).await;
    }
}

#[tokio::test]
async fn our_headers_alone_match_no_headers_exchange() {
    for wants in ["all", "any", "all-with-x", "any-with-x"] {
        let arguments = table([("x-match", text(wants)), ("region", text("eu"))]);
        let (queue, exchange) = bound(ExchangeKind::Headers, "", arguments).await;
        let properties = carrying(&sampled_context());
        let confirmation = publish(&queue.channel, &exchange, "", properties, b"").await;
        assert!(matches!(confirmation, Confirmation::Ack(Some(_))), "{wants}: {confirmation:?}");
    }
}
