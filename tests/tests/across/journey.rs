//! An order on its way: HTTP, Kafka, RabbitMQ, Kafka.

use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::http::HeaderMap;
use axum::routing::post;
use carrier_tests::{kafka, rabbitmq, unique_name};
use futures::StreamExt as _;
use lapin::message::Delivery;
use lapin::options::{BasicAckOptions, BasicConsumeOptions, BasicPublishOptions};
use lapin::types::FieldTable;
use lapin::{BasicProperties, Channel};
use opentelemetry::Context;
use opentelemetry::baggage::{BaggageExt as _, KeyValueMetadata};
use opentelemetry::context::FutureExt as _;
use opentelemetry::trace::{SpanContext, TraceContextExt as _, TraceState};
use rdkafka::Message as _;
use rdkafka::message::BorrowedMessage;
use rdkafka::producer::{FutureProducer, FutureRecord};
use tokio::net::TcpListener;

use crate::service::{LIMIT, Service, within};

const ORDER: &str = "order 17";

/// What is left of an order when it has arrived.
pub(crate) struct Arrived {
    /// The services in the order that the message went through them.
    pub(crate) services: [Service; 5],
    /// What the last one found in its message.
    pub(crate) context: Context,
    pub(crate) payload: String,
}

/// Takes orders over HTTP and produces them to Kafka.
#[derive(Clone)]
struct Shop {
    service: Service,
    producer: FutureProducer,
    topic: String,
}

/// The caller of the first service: tracestate of a vendor, and a member of baggage with metadata.
fn caller() -> Context {
    let state = TraceState::from_key_value([("vendor", "1")]).unwrap();
    let span = SpanContext::new(
        0x0af7_6519_16cd_43dd_8448_eb21_1c80_319c_u128.into(),
        0xb7ad_6b71_6920_3331_u64.into(),
        opentelemetry::TraceFlags::SAMPLED,
        true,
        state,
    );
    Context::new().with_remote_span_context(span).with_baggage([KeyValueMetadata::new(
        "tenant",
        "blue, 100 %",
        "ttl=30",
    )])
}

pub(crate) async fn journey() -> Arrived {
    static ONCE: std::sync::Once = std::sync::Once::new();
    ONCE.call_once(|| opentelemetry::global::set_text_map_propagator(carrier_core::w3c()));
    let services: [Service; 5] = Default::default();
    let [gateway, shop, billing, shipping, mail] = &services;
    let kafka = kafka().await;
    let (orders, parcels) = (unique_name("orders"), unique_name("parcels"));
    kafka.create_topic(&orders, 1).await;
    kafka.create_topic(&parcels, 1).await;
    let channel = rabbitmq().await.channel().await;
    let invoices = rabbitmq().await.declare_queue(&channel).await;
    let producer = kafka.producer();

    let address =
        serve(Shop { service: shop.clone(), producer: producer.clone(), topic: orders.clone() }).await;
    request(gateway, &address).with_context(caller()).await;

    let consumer = kafka.consumer(&orders).await;
    let order = within("the order", consumer.recv()).await.unwrap();
    let cx = carrier_kafka::extract(&order);
    bill(billing, &order, &channel, &invoices).with_context(cx).await;

    let invoice = next(&channel, &invoices).await;
    let cx = carrier_amqp::extract(&invoice);
    ship(shipping, &invoice, &producer, &parcels).with_context(cx).await;
    invoice.ack(BasicAckOptions::default()).await.unwrap();

    let consumer = kafka.consumer(&parcels).await;
    let parcel = within("the parcel", consumer.recv()).await.unwrap();
    let cx = carrier_kafka::extract(&parcel);
    let context = notify(mail).with_context(cx).await;
    Arrived { services, context, payload: String::from_utf8(parcel.payload().unwrap().to_vec()).unwrap() }
}

/// Serves the shop on a port of its own until the test's runtime ends.
async fn serve(shop: Shop) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let router = Router::new().route("/orders", post(order)).with_state(Arc::new(shop));
    tokio::spawn(async move { axum::serve(listener, router).await });
    format!("http://{address}/orders")
}

async fn request(gateway: &Service, url: &str) {
    let client = reqwest::Client::builder().no_proxy().timeout(LIMIT).build().unwrap();
    let sent = gateway.work(async |cx| {
        let mut headers = HeaderMap::new();
        carrier_core::http::inject(cx, &mut headers);
        client.post(url).headers(headers).body(ORDER).send().await
    });
    sent.await.unwrap().error_for_status().unwrap();
}

async fn order(State(shop): State<Arc<Shop>>, headers: HeaderMap, body: String) {
    let taken = shop.service.work(async |cx| {
        // What a service adds travels with what it was given.
        let mut baggage: Vec<KeyValueMetadata> = cx
            .baggage()
            .iter()
            .map(|(key, (value, metadata))| {
                KeyValueMetadata::new(key.clone(), value.clone(), metadata.clone())
            })
            .collect();
        baggage.push(KeyValueMetadata::new("order", "17", ""));
        let mut record = FutureRecord::<(), str>::to(&shop.topic).payload(&body);
        carrier_kafka::inject(&cx.with_baggage(baggage), &mut record);
        shop.producer.send(record, LIMIT).await.unwrap();
    });
    taken.with_context(carrier_core::http::extract(&headers)).await;
}

async fn bill(billing: &Service, order: &BorrowedMessage<'_>, channel: &Channel, queue: &str) {
    let billed = billing.work(async |cx| {
        let mut properties = BasicProperties::default();
        carrier_amqp::inject(cx, &mut properties);
        let body = order.payload().unwrap();
        let options = BasicPublishOptions::default();
        let published = channel.basic_publish("".into(), queue.into(), options, body, properties);
        published.await.unwrap().await.unwrap();
    });
    billed.await;
}

async fn next(channel: &Channel, queue: &str) -> Delivery {
    let (options, arguments) = (BasicConsumeOptions::default(), FieldTable::default());
    let consumer = channel.basic_consume(queue.into(), "".into(), options, arguments);
    let mut consumer = consumer.await.unwrap();
    within("the invoice", consumer.next()).await.unwrap().unwrap()
}

async fn ship(shipping: &Service, invoice: &Delivery, producer: &FutureProducer, topic: &str) {
    let shipped = shipping.work(async |cx| {
        let mut record = FutureRecord::<(), [u8]>::to(topic).payload(&invoice.data);
        carrier_kafka::inject(cx, &mut record);
        producer.send(record, LIMIT).await.unwrap();
    });
    shipped.await;
}

async fn notify(mail: &Service) -> Context {
    mail.work(async |_| Context::current()).await
}
