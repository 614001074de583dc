//! A broker that stops: while a confirmation is awaited, and while a message is processed.

use std::time::Duration;

use carrier_amqp::Instrumentation;
use carrier_amqp::instrumentation::Channel;
use carrier_tests::telemetry::Recorder;
use carrier_tests::{OwnRabbitMq, RabbitMq, unique_name};
use futures::future::{join, join_all};
use lapin::options::{BasicGetOptions, ConfirmSelectOptions, QueueDeclareOptions};
use lapin::types::FieldTable;
use lapin::{BasicProperties, Connection, ConnectionProperties};
use opentelemetry::trace::Status;
use opentelemetry_sdk::trace::SpanData;
use tokio::task::JoinSet;
use tokio::time::timeout;

use super::support::{ack, confirmed, mandatory};
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
    let mut deliveries = consumer(channel.as_inner(), &queue).await;
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

/// A settlement that is on its way when the broker dies may never have an answer, above all if lapin waits for a new
/// connection.
#[tokio::test]
async fn a_settlement_without_an_answer_was_not_sent_if_the_broker_is_gone() {
    const MESSAGES: u64 = 400;
    let Own { broker: own, recorder, amqp, channel, queue } = Own::new().await;
    let recover = ConnectionProperties::default().enable_auto_recover();
    let recovering = Connection::connect(own.url(), recover).await.unwrap();
    let receiving = recovering.create_channel().await.unwrap();
    let persistent = BasicProperties::default().with_delivery_mode(2);
    for _ in 0..MESSAGES {
        confirmed(&channel, "", &queue, persistent.clone()).await;
    }
    let mut deliveries = consumer(&receiving, &queue).await;
    let mut settling = JoinSet::new();
    for number in 0..MESSAGES {
        let delivery = amqp.process(&queue, next(&mut deliveries).await);
        settling.spawn(async move {
            delivery.run(async {}).await;
            tokio::time::sleep(Duration::from_millis(5 * number)).await;
            let limit = Duration::from_secs(5);
            let (answer, settlement) = match number % 3 {
                0 => (timeout(limit, delivery.ack(ack())).await, "acked"),
                1 => (timeout(limit, delivery.nack(Default::default())).await, "nacked"),
                _ => (timeout(limit, delivery.reject(Default::default())).await, "rejected"),
            };
            let is_answered = answer.is_ok();
            let expected = if matches!(answer, Ok(Ok(true))) { settlement } else { "channel_closed" };
            (delivery.delivery_tag, is_answered, expected)
        });
    }
    own.kill().await;
    let outcomes = within("all settlements", settling.join_all()).await;
    let unanswered = outcomes.iter().filter(|(_, is_answered, _)| !is_answered).count();
    let lost = outcomes.iter().filter(|(_, _, expected)| *expected == "channel_closed").count();
    assert!(lost > 0, "the broker outlived all settlements");

    let says = |span: &SpanData, key: &str| {
        span.attributes.iter().find(|pair| pair.key.as_str() == key).map(|pair| pair.value.to_string())
    };
    let spans = recorder.spans();
    for (tag, _, expected) in &outcomes {
        let is_this = |span: &&SpanData| {
            span.name.starts_with("process")
                && says(span, "messaging.rabbitmq.message.delivery_tag") == Some(tag.to_string())
        };
        let [span] = spans.iter().filter(is_this).collect::<Vec<_>>()[..] else { panic!("message {tag}") };
        let settlement = says(span, "carrier.settlement");
        assert_eq!(settlement.as_deref(), Some(*expected), "{unanswered} had no answer");
        assert_eq!(matches!(span.status, Status::Error { .. }), *expected != "acked");
    }

    own.start().await;
    let again = own.channel().await;
    let counted = again.queue_declare(
        queue.as_str().into(),
        QueueDeclareOptions { passive: true, ..QueueDeclareOptions::default() },
        FieldTable::default(),
    );
    let left = usize::try_from(counted.await.unwrap().message_count()).unwrap();
    assert!(left >= lost, "{left} of {lost} are there again");
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
