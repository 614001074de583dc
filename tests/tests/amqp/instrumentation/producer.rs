//! A message that is published: its span, and how it ends.

use carrier_amqp::extract;
use carrier_amqp::lapin::uri::AMQPUri;
use carrier_tests::{rabbitmq, unique_name};
use lapin::options::QueueDeclareOptions;
use lapin::types::AMQPValue;
use lapin::{BasicProperties, Confirmation};
use opentelemetry::context::FutureExt as _;
use opentelemetry::trace::TraceContextExt as _;

use super::support::{Program, ack, confirmed, inside, mandatory};
use crate::support::{table, text};

#[tokio::test]
async fn the_message_carries_the_context_of_its_span_and_the_users_headers() {
    let program = Program::new().await;
    program.publish_with(BasicProperties::default().with_headers(table([("user", text("kept"))]))).await;
    let delivery = program.received().await;
    let sent = program.span("send").span_context;
    assert_eq!(extract(&delivery).span().span_context().span_id(), sent.span_id());
    assert_eq!(delivery.properties.headers().as_ref().unwrap().inner().get("user"), Some(&text("kept")));
}

#[tokio::test]
async fn the_parent_is_the_context_that_is_current_when_the_message_is_published() {
    let program = Program::new().await;
    let around = inside(&program.recorder, "around");
    program.publish().with_context(around.clone()).await;
    around.span().end();
    let (around, sent) = (program.recorder.span("around"), program.span("send"));
    assert_eq!(sent.parent_span_id, around.span_context.span_id());
}

#[tokio::test]
async fn a_queue_that_is_full_refuses_a_message() {
    let program = Program::new().await;
    let full = unique_name("full");
    let limits = table([("x-max-length", AMQPValue::LongInt(1)), ("x-overflow", text("reject-publish"))]);
    let exclusive = QueueDeclareOptions { exclusive: true, ..QueueDeclareOptions::default() };
    program.queue.channel.queue_declare(full.as_str().into(), exclusive, limits).await.unwrap();
    let channel = program.channel();
    assert_eq!(confirmed(channel, "", &full, BasicProperties::default()).await, Confirmation::Ack(None));
    program.recorder.reset();

    assert_eq!(confirmed(channel, "", &full, BasicProperties::default()).await, Confirmation::Nack(None));

    let spans = carrier_tests::picture::spans(&program.recorder.spans()).replace(&full, "FULL");
    let expected = "
producer send FULL
  error.type = nack
  messaging.destination.name = FULL
  messaging.message.body.size = 2
  messaging.operation.name = send
  messaging.operation.type = send
  messaging.rabbitmq.destination.routing_key = FULL
  messaging.system = rabbitmq
  status error: the broker did not take the message
";
    assert_eq!(spans.trim(), expected.trim());
}

#[tokio::test]
async fn server_and_client_are_those_that_the_builder_was_given() {
    let uri: AMQPUri = rabbitmq().await.url().parse().unwrap();
    let program = Program::with(|builder| builder.uri(&uri).client_id("billing-7")).await;
    program.publish().await;
    let spans = carrier_tests::picture::spans(&program.recorder.spans());
    for expected in [
        "  messaging.client.id = billing-7".to_owned(),
        format!("  server.address = {}", uri.authority.host),
        format!("  server.port = {}", uri.authority.port),
    ] {
        assert!(spans.lines().any(|line| line == expected), "{expected} is missing in\n{spans}");
    }
}

#[tokio::test]
async fn a_template_names_the_span() {
    let program = Program::with(|builder| {
        builder.destination_template(|route| (route.exchange.is_empty()).then(|| "queue-{id}".into()))
    })
    .await;
    program.publish().await;
    let sent = program.recorder.span("send queue-{id}");
    let template = sent.attributes.iter().find(|pair| pair.key.as_str() == "messaging.destination.template");
    assert_eq!(template.unwrap().value.as_str(), "queue-{id}");
}

#[test]
fn every_future_is_send() {
    fn is_send<T: Send>(_: &T) {}
    fn publish(channel: &carrier_amqp::instrumentation::Channel) {
        is_send(&channel.basic_publish("".into(), "".into(), mandatory(), b"", BasicProperties::default()));
        is_send(&channel.basic_get("".into(), Default::default()));
    }
    fn process(delivery: &carrier_amqp::instrumentation::Processing<lapin::message::Delivery>) {
        is_send(&delivery.run(async { delivery.ack(ack()).await }));
        is_send(&delivery.nack(Default::default()));
    }
    fn confirm<T: Send + Unpin>() {}
    confirm::<carrier_amqp::instrumentation::PublisherConfirm>();
    let _: [fn(_); 1] = [publish];
    let _: [fn(_); 1] = [process];
}
