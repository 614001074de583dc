//! The frame of a connection limits what is added to a message, whoever reports it.

use carrier_amqp::instrumentation::AmqpInstrumentationBuilder;
use carrier_amqp::{Instrumentation, frame_budget};
use carrier_tests::telemetry::{Recorder, sampled_context};
use carrier_tests::{RabbitMq, rabbitmq};
use lapin::options::{BasicGetOptions, ConfirmSelectOptions};
use lapin::types::{AMQPValue, FieldTable};
use lapin::{BasicProperties, Confirmation, Connection};
use opentelemetry::KeyValue;
use opentelemetry::baggage::BaggageExt as _;
use opentelemetry::context::FutureExt as _;

use super::support::confirmed;
use crate::support::register_propagator;

/// The smallest frame that RabbitMQ 4.1 and later allow.
const FRAME_MAX: u32 = 8_192;

/// Publishes a message whose headers leave 1,000 bytes of a small frame, with more baggage than that, and returns the names
/// of the headers that arrive.
async fn sent(
    choose: impl FnOnce(AmqpInstrumentationBuilder, &str, &Connection) -> Instrumentation,
) -> Vec<String> {
    register_propagator();
    let url = format!("{}?frame_max={FRAME_MAX}", rabbitmq().await.url());
    let connection = RabbitMq::connect(&url).await.unwrap();
    let recorder = Recorder::new();
    let builder = Instrumentation::builder().tracer_provider(recorder.provider().clone());
    let amqp = choose(builder, &url, &connection);
    let channel = amqp.channel(connection.create_channel().await.unwrap());
    channel.confirm_select(ConfirmSelectOptions::default()).await.unwrap();
    let queue = rabbitmq().await.declare_queue(channel.as_inner()).await;
    let mut headers = FieldTable::default();
    headers.insert("user".into(), AMQPValue::LongString("u".repeat(FRAME_MAX as usize - 2_300).into()));
    let properties = BasicProperties::default().with_headers(headers);
    let members = (0..20).map(|n| KeyValue::new(format!("key-{n:02}"), "v".repeat(122)));
    let heavy = sampled_context().with_baggage(members.collect::<Vec<_>>());
    let answer = confirmed(&channel, "", &queue, properties).with_context(heavy).await;
    assert_eq!(answer, Confirmation::Ack(None));
    let got =
        channel.basic_get(queue.as_str().into(), BasicGetOptions { no_ack: true }).await.unwrap().unwrap();
    let headers = got.properties.headers().as_ref().unwrap();
    headers.inner().keys().map(|key| key.as_str().to_owned()).collect()
}

#[tokio::test]
async fn the_frame_of_a_url_a_connection_or_a_budget_is_never_exceeded() {
    let of_url = sent(|builder, url, _| builder.url(url).unwrap().build()).await;
    let of_connection = sent(|builder, _, connection| builder.connection(connection).build()).await;
    let of_budget = sent(|builder, _, _| builder.budget(frame_budget(FRAME_MAX)).build()).await;
    for names in [of_url, of_connection, of_budget] {
        assert!(names.contains(&"traceparent".to_owned()) && names.contains(&"user".to_owned()), "{names:?}");
    }
}
