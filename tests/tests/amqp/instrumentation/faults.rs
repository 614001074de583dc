//! A broker that stops: while a confirmation is awaited, and while a message is processed.

use carrier_amqp::Instrumentation;
use carrier_amqp::instrumentation::Channel;
use carrier_tests::telemetry::Recorder;
use carrier_tests::{OwnRabbitMq, RabbitMq, unique_name};
use futures::future::{join, join_all};
use lapin::BasicProperties;
use lapin::options::{BasicGetOptions, ConfirmSelectOptions, QueueDeclareOptions};
use lapin::types::FieldTable;
use opentelemetry::trace::Status;

use super::{ack, confirmed, mandatory};
use crate::support::{consumer, next, register_propagator, within};

/// A broker and a program of one test's own, and a queue that outlives the broker.
struct Own {
    broker: OwnRabbitMq,
    recorder: Recorder,
    amqp: Instrumentation,
    channel: Channel,
    queue: String,
}

impl Own {
    async fn new() -> Self {
        register_propagator();
        let (broker, recorder) = (RabbitMq::start_own().await, Recorder::new());
        let amqp = Instrumentation::builder().tracer_provider(recorder.provider().clone()).build();
        let channel = amqp.channel(broker.channel().await);
        channel.confirm_select(ConfirmSelectOptions::default()).await.unwrap();
        let queue = unique_name("durable");
        let options = QueueDeclareOptions { durable: true, ..QueueDeclareOptions::default() };
        channel.queue_declare(queue.as_str().into(), options, FieldTable::default()).await.unwrap();
        Self { broker, recorder, amqp, channel, queue }
    }
}

#[tokio::test]
async fn a_broker_that_stops_fails_what_is_under_way_and_gives_the_message_out_again() {
    let Own { broker: own, recorder, amqp, channel, queue } = Own::new().await;
    let persistent = || BasicProperties::default().with_delivery_mode(2);
    confirmed(&channel, "", &queue, persistent()).await;
    let mut deliveries = consumer(&channel, &queue).await;
    let delivery = amqp.process(&queue, next(&mut deliveries).await);
    recorder.reset();

    own.stop().await;
    let publish =
        channel.basic_publish("".into(), queue.as_str().into(), mandatory(), b"18", persistent()).await;
    let sent = match publish {
        Ok(confirm) => within("the end of the connection", confirm).await.map(drop),
        Err(error) => Err(error),
    };
    sent.unwrap_err();
    let settled = within("lapin's answer", delivery.ack(ack())).await;
    assert!(!matches!(settled, Ok(true)), "{settled:?}");
    drop(delivery);

    let failed = |name: &str| {
        let span = recorder.span(&format!("{name} {queue}"));
        let error = span.attributes.iter().find(|pair| pair.key.as_str() == "error.type").unwrap();
        assert!(matches!(span.status, Status::Error { .. }), "{:?}", span.status);
        error.value.to_string()
    };
    failed("send");
    assert_eq!(failed("process"), "channel_closed");
    assert_eq!(recorder.spans().len(), 2);

    own.start().await;
    let again = own.channel().await;
    let got = again.basic_get(queue.as_str().into(), BasicGetOptions { no_ack: true }).await.unwrap();
    assert!(got.unwrap().redelivered);
}

#[tokio::test]
async fn a_broker_that_stops_before_it_confirms_fails_the_span_with_the_confirmation() {
    let Own { broker: own, recorder, channel, queue, .. } = Own::new().await;
    // Out of memory, the broker reads at most one more message of a connection.
    own.exec(["rabbitmqctl", "set_vm_memory_high_watermark", "0"]).await;
    let publish = async || {
        let properties = BasicProperties::default().with_delivery_mode(2);
        let confirm = channel.basic_publish("".into(), queue.as_str().into(), mandatory(), b"17", properties);
        confirm.await?.await
    };
    let all = join_all((0..10).map(|_| publish()));
    // The messages are on their way when the second future is polled.
    let (answers, ()) = within("the end of the connection", join(all, own.kill())).await;
    let lost = answers.iter().filter(|answer| answer.is_err()).count();
    let spans = recorder.spans();
    let failed = spans.iter().filter(|span| matches!(span.status, Status::Error { .. })).count();
    assert_eq!((spans.len(), failed), (10, lost));
    assert!(lost >= 9, "only {lost} were lost");
}
