//! A received message that is published again.

use carrier_amqp::instrumentation::{ATTEMPTS_HEADER, Redelivery, Relation};
use carrier_tests::picture;
use carrier_tests::telemetry::sampled_context;
use carrier_tests::unique_name;
use lapin::BasicProperties;
use lapin::message::Delivery;
use lapin::options::{BasicNackOptions, BasicRejectOptions, QueueDeclareOptions, QueueDeleteOptions};
use lapin::types::{AMQPValue, FieldArray};
use opentelemetry_sdk::trace::SpanData;

use super::support::{Program, ack, mandatory};
use crate::redelivery::dead_letters_to;
use crate::support::{Queue, consumer, next, publish, table, text};

/// Publishes a message, which fails three times and then is in the dead-letter queue. Returns it and the spans.
async fn dead_after_three_attempts(relation: Relation) -> (Program, Delivery, Vec<SpanData>) {
    let (program, dead) = (Program::with(|builder| builder.relation(relation)).await, Queue::new().await);
    program.publish_with(BasicProperties::default().with_headers(table([("user", text("kept"))]))).await;
    let mut deliveries = program.queue.consumer().await;
    for attempts in 0..3 {
        let delivery = program.amqp.process(&program.queue.name, next(&mut deliveries).await);
        delivery.run(async { Err::<(), _>("no paper") }).await.unwrap_err();
        assert_eq!(Redelivery::of(&delivery).attempts(), attempts);
        let queue = if attempts < 2 { &program.queue.name } else { &dead.name };
        let again = program.channel().publish_again(&delivery, "".into(), queue.as_str().into(), mandatory());
        again.await.unwrap().await.unwrap();
        delivery.ack(ack()).await.unwrap();
    }
    let delivery = program.amqp.process(&dead.name, dead.receive().await);
    delivery.ack(ack()).await.unwrap();
    let (process, delivery) = delivery.into_parts();
    drop(process);
    assert_eq!(program.recorder.open_spans(), 0);
    let spans = program.recorder.spans();
    let name = |span: SpanData| {
        let renamed = span.name.replace(&program.queue.name, "QUEUE").replace(&dead.name, "DEAD");
        SpanData { name: renamed.into(), ..span }
    };
    let spans = spans.into_iter().map(name).collect();
    (program, delivery, spans)
}

/// Each span with its parent and its links by place among the spans, and its attempts.
fn family(spans: &[SpanData]) -> Vec<String> {
    let mut spans: Vec<_> = spans.iter().collect();
    spans.sort_by_key(|span| span.start_time);
    let place = |id| spans.iter().position(|span| span.span_context.span_id() == id);
    let attempts = |span: &SpanData| {
        let pair = span.attributes.iter().find(|pair| pair.key.as_str() == "carrier.rabbitmq.attempts")?;
        Some(format!(" attempts {}", pair.value))
    };
    let line = |span: &&SpanData| {
        let parent = place(span.parent_span_id).map(|at| format!(" below {at}")).unwrap_or_default();
        let links = span.links.iter().filter_map(|link| place(link.span_context.span_id()));
        let links: String = links.map(|at| format!(" link {at}")).collect();
        format!("{}{parent}{links}{}", span.name, attempts(span).unwrap_or_default())
    };
    spans.iter().map(line).collect()
}

#[tokio::test]
async fn three_attempts_and_the_dead_letter_are_one_trace_with_links_to_each_failure() {
    let (program, dead, spans) = dead_after_three_attempts(Relation::Parent).await;
    let expected = [
        "send QUEUE",
        "process QUEUE below 0",
        "send QUEUE below 0 link 1",
        "process QUEUE below 2 attempts 1",
        "send QUEUE below 2 link 3",
        "process QUEUE below 4 attempts 2",
        "send DEAD below 4 link 5",
        "process DEAD below 6 attempts 3",
    ];
    assert_eq!(family(&spans), expected);
    let headers = dead.properties.headers().as_ref().unwrap().inner();
    assert_eq!(headers.get("user"), Some(&text("kept")));
    assert_eq!(headers.get(ATTEMPTS_HEADER), Some(&AMQPValue::LongLongInt(3)));
    assert_eq!(dead.data, b"17");
    let points = program.meters.points();
    let attempts = || points.iter().filter(|point| point.metric == "carrier.delivery.attempts");
    assert_eq!(attempts().map(|point| point.count).sum::<u64>(), 4);
    assert_eq!(attempts().map(|point| point.sum).sum::<f64>(), 1.0 + 2.0 + 3.0 + 4.0);
}

#[tokio::test]
async fn with_relation_link_the_message_keeps_its_trace_and_each_attempt_has_its_own() {
    let (_, _, spans) = dead_after_three_attempts(Relation::Link).await;
    let expected = [
        "send QUEUE",
        "process QUEUE link 0",
        "send QUEUE below 0 link 1",
        "process QUEUE link 2 attempts 1",
        "send QUEUE below 2 link 3",
        "process QUEUE link 4 attempts 2",
        "send DEAD below 4 link 5",
        "process DEAD link 6 attempts 3",
    ];
    assert_eq!(family(&spans), expected);
    let trace = |name: &str| {
        let spans = spans.iter().filter(|span| span.name.starts_with(name));
        let mut traces: Vec<_> = spans.map(|span| span.span_context.trace_id()).collect();
        traces.sort_by_key(|trace| trace.to_bytes());
        traces.dedup();
        traces.len()
    };
    assert_eq!((trace("send"), trace("process")), (1, 4));
}

#[tokio::test]
async fn a_rule_sees_that_a_message_was_published_again() {
    let fresh = Relation::rule(|message| match message.redelivered() {
        true => Relation::Link,
        false => Relation::Parent,
    });
    let (_, _, spans) = dead_after_three_attempts(fresh).await;
    let expected = ["process QUEUE below 0", "process QUEUE link 2 attempts 1"];
    let family = family(&spans);
    assert_eq!([family[1].as_str(), family[3].as_str()], expected);
}

#[tokio::test]
async fn the_send_span_of_a_message_that_is_published_again_says_the_same_as_of_the_first() {
    let program = Program::new().await;
    let ids = BasicProperties::default().with_message_id("18".into()).with_correlation_id("17".into());
    program.publish_with(ids).await;
    let first = program.span("send");
    let delivery = program.amqp.process(&program.queue.name, program.received().await);
    program.recorder.reset();
    let queue = program.queue.name.as_str();
    let again = program.channel().publish_again(&delivery, "".into(), queue.into(), mandatory());
    again.await.unwrap().await.unwrap();
    let again = program.span("send");
    let text = |span: SpanData| picture::spans(&[SpanData { links: Default::default(), ..span }]);
    assert_eq!(text(again), text(first).replacen('\n', "\n  parent elsewhere\n", 1));
    delivery.ack(ack()).await.unwrap();
}

/// What RabbitMQ 4.0 does with its own headers in a message that a client publishes: it delivers them as they are, until it
/// writes its own. So a copy would report earlier attempts that are in our header as well.
#[tokio::test]
async fn the_brokers_own_headers_in_a_published_message_are_reported_until_it_writes_them_anew() {
    for kind in ["classic", "quorum"] {
        let dead = Queue::new().await;
        let name = unique_name(kind);
        let durable = QueueDeclareOptions { durable: true, ..QueueDeclareOptions::default() };
        let arguments = [("x-queue-type", text(kind)), ("x-expires", AMQPValue::LongInt(60_000))];
        let arguments = table(arguments.into_iter().chain(dead_letters_to(&dead)));
        dead.channel.queue_declare(name.as_str().into(), durable, arguments).await.unwrap();
        let death = [
            ("queue", text(&name)),
            ("reason", text("rejected")),
            ("count", AMQPValue::LongLongInt(7)),
            ("exchange", text("")),
            ("routing-keys", AMQPValue::FieldArray(FieldArray::from(vec![text(&name)]))),
            ("time", AMQPValue::Timestamp(1)),
        ];
        let deaths = FieldArray::from(vec![AMQPValue::FieldTable(table(death))]);
        let headers = table([
            ("x-death", AMQPValue::FieldArray(deaths)),
            ("x-delivery-count", AMQPValue::LongLongInt(7)),
            ("x-first-death-queue", text("first")),
        ]);
        publish(&dead.channel, "", &name, BasicProperties::default().with_headers(headers), b"").await;
        let mut deliveries = consumer(&dead.channel, &name).await;
        let counts = |delivery: &Delivery| {
            let found = Redelivery::of(delivery);
            (found.delivery_count, found.rejections, found.first_death_queue.map(str::to_owned))
        };
        let first = next(&mut deliveries).await;
        assert_eq!(counts(&first), (Some(7), 7, Some("first".to_owned())), "{kind}");
        first.nack(BasicNackOptions { requeue: true, ..BasicNackOptions::default() }).await.unwrap();
        let second = next(&mut deliveries).await;
        let delivery_count = if kind == "quorum" { 1 } else { 7 };
        assert_eq!(counts(&second), (Some(delivery_count), 7, Some("first".to_owned())), "{kind}");
        second.reject(BasicRejectOptions { requeue: false }).await.unwrap();
        let third = dead.receive().await;
        assert_eq!(counts(&third), (Some(7), 1, Some(name.clone())), "{kind}");
        dead.channel.queue_delete(name.as_str().into(), QueueDeleteOptions::default()).await.unwrap();
    }
}

#[tokio::test]
async fn attempts_that_the_broker_counts_are_added_to_those_before_the_copy() {
    let (program, dead, name) = (Program::new().await, Queue::new().await, unique_name("quorum"));
    let durable = QueueDeclareOptions { durable: true, ..QueueDeclareOptions::default() };
    let quorum = [("x-queue-type", text("quorum")), ("x-expires", AMQPValue::LongInt(60_000))];
    let arguments = table(quorum.into_iter().chain(dead_letters_to(&dead)));
    let channel = &program.queue.channel;
    channel.queue_declare(name.as_str().into(), durable, arguments).await.unwrap();
    publish(channel, "", &name, crate::support::carrying(&sampled_context()), b"").await;
    let mut deliveries = consumer(channel, &name).await;
    let requeue = BasicNackOptions { requeue: true, ..BasicNackOptions::default() };
    // Twice requeued, then published again: three attempts.
    for _ in 0..2 {
        next(&mut deliveries).await.nack(requeue).await.unwrap();
    }
    let third = program.amqp.process(&name, next(&mut deliveries).await);
    let again = program.channel().publish_again(&third, "".into(), name.as_str().into(), mandatory());
    again.await.unwrap().await.unwrap();
    third.ack(ack()).await.unwrap();
    let fourth = next(&mut deliveries).await;
    let found = Redelivery::of(&fourth);
    assert_eq!((found.earlier_attempts, found.delivery_count, found.attempts()), (Some(3), None, 3));
    fourth.nack(requeue).await.unwrap();
    assert_eq!(Redelivery::of(&next(&mut deliveries).await).attempts(), 4);
    channel.queue_delete(name.as_str().into(), QueueDeleteOptions::default()).await.unwrap();
}
