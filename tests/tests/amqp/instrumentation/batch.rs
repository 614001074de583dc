//! A batch that is processed as one: a link to each message's sender, whatever some of them have in their headers.

use carrier_tests::telemetry::sampled_context;
use futures::FutureExt as _;
use futures::future::BoxFuture;
use lapin::message::Delivery;
use lapin::options::{BasicAckOptions, BasicQosOptions};
use lapin::types::AMQPValue;
use lapin::{BasicProperties, Confirmation};
use opentelemetry::baggage::BaggageExt as _;
use opentelemetry::trace::{SpanId, TraceContextExt as _};

use super::support::Program;
use crate::support::{next, table, text};

async fn received(program: &Program, count: usize) -> Vec<Delivery> {
    let mut consumer = program.queue.consumer().await;
    let mut batch = Vec::with_capacity(count);
    for _ in 0..count {
        batch.push(next(&mut consumer).await);
    }
    batch
}

#[tokio::test]
async fn a_batch_is_one_span_with_a_link_per_message() {
    let program = Program::new().await;
    program.publish_with(BasicProperties::default().with_message_id("m1".into())).await;
    program.publish().await;
    let messages = received(&program, 2).await;
    let batch = program.amqp.process_batch(&program.queue.name, &messages);
    batch
        .run(async {
            let all = BasicAckOptions { multiple: true };
            messages.last().unwrap().ack(all).await.map(drop)
        })
        .await
        .unwrap();
    let spans =
        carrier_tests::picture::spans(&program.recorder.spans()).replace(&program.queue.name, "QUEUE");
    let expected = "
consumer process QUEUE
  link send QUEUE [messaging.message.id = m1, messaging.rabbitmq.message.delivery_tag = 1]
  link send QUEUE [messaging.rabbitmq.message.delivery_tag = 2]
  messaging.batch.message_count = 2
  messaging.destination.name = QUEUE
  messaging.operation.name = process
  messaging.operation.type = process
  messaging.rabbitmq.destination.routing_key = QUEUE
  messaging.system = rabbitmq";
    assert!(spans.trim_end().ends_with(expected), "{spans}");
    let process = program.span("process");
    assert_eq!(process.parent_span_id, SpanId::INVALID);
    let sent: Vec<_> =
        program.recorder.spans().into_iter().filter(|span| span.name.starts_with("send")).collect();
    for (link, sent) in process.links.links.iter().zip(sent) {
        assert_eq!(link.span_context.span_id(), sent.span_context.span_id());
    }
}

#[tokio::test]
async fn each_messages_own_context_is_at_hand() {
    let program = Program::new().await;
    program.queue.publish_context(&sampled_context()).await;
    program.queue.publish(BasicProperties::default(), b"").await;
    let messages = received(&program, 2).await;
    let batch = program.amqp.process_batch(&program.queue.name, &messages);
    let [first, second] = batch.contexts() else { panic!("{:?}", batch.contexts()) };
    assert_eq!(first.span().span_context().span_id(), sampled_context().span().span_context().span_id());
    assert_eq!(first.baggage().get("tenant").map(ToString::to_string).as_deref(), Some("blue"));
    assert!(!second.has_active_span() && second.baggage().is_empty());
}

#[tokio::test]
async fn ten_poisoned_messages_in_a_thousand_do_no_harm() {
    const MESSAGES: usize = 1_000;
    let program = Program::new().await;
    program.queue.channel.basic_qos(0, BasicQosOptions::default()).await.unwrap();
    let poison = || {
        [
            text("00-0-0-00"),
            AMQPValue::LongString(vec![0xff; 55].into()),
            AMQPValue::Void,
            AMQPValue::LongInt(7),
            AMQPValue::FieldTable(table([("traceparent", text("00"))])),
        ]
    };
    let mut confirms = Vec::<BoxFuture<'_, lapin::Result<Confirmation>>>::new();
    for number in 0..MESSAGES {
        let channel = program.channel();
        let queue = program.queue.name.as_str();
        let confirm = if number % 100 == 50 {
            let headers = table([("traceparent", poison()[number / 100 % 5].clone())]);
            let properties = BasicProperties::default().with_headers(headers);
            let plain = program.queue.channel.basic_publish(
                "".into(),
                queue.into(),
                Default::default(),
                b"",
                properties,
            );
            plain.await.unwrap().boxed()
        } else {
            let properties = BasicProperties::default();
            let publish = channel.basic_publish("".into(), queue.into(), Default::default(), b"", properties);
            publish.await.unwrap().boxed()
        };
        confirms.push(confirm);
    }
    for confirm in confirms {
        assert!(confirm.await.unwrap().is_ack());
    }
    let messages = received(&program, MESSAGES).await;
    program.recorder.reset();

    let batch = program.amqp.process_batch(&program.queue.name, &messages);
    let contexts = batch.contexts().iter().filter(|cx| cx.has_active_span()).count();
    assert_eq!((batch.contexts().len(), contexts), (MESSAGES, MESSAGES - 10));
    batch.run(async {}).await;

    let process = program.span("process");
    assert_eq!((process.links.links.len(), process.links.dropped_count), (128, 0));
    let says = |key: &str| {
        let found = process.attributes.iter().find(|pair| pair.key.as_str() == key);
        found.map(|pair| pair.value.to_string())
    };
    assert_eq!(says("messaging.batch.message_count").as_deref(), Some("1000"));
    assert_eq!(says("carrier.batch.unlinked_message_count").as_deref(), Some("862"));
}

#[tokio::test]
async fn the_bound_on_links_can_be_chosen() {
    let program = Program::with(|builder| builder.max_links(1)).await;
    for _ in 0..3 {
        program.publish().await;
    }
    let messages = received(&program, 3).await;
    drop(program.amqp.process_batch(&program.queue.name, &messages));
    assert_eq!(program.span("process").links.links.len(), 1);
}
