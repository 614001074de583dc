//! Dead letters of RabbitMQ that are moved back: none is lost, and each stays in its trace.

use std::collections::BTreeMap;
use std::process::{Child, Command, Stdio};

use carrier_tests::telemetry::{Recorder, TRACEPARENT};
use carrier_tests::{rabbitmq, unique_name};
use lapin::options::{BasicRejectOptions, QueueBindOptions};
use lapin::types::{AMQPValue, FieldTable};
use lapin::{BasicProperties, ExchangeKind};
use opentelemetry::Context;
use opentelemetry::trace::{Span as _, TraceContextExt as _, Tracer as _};

use crate::common::Ended;
use crate::peek;
use crate::queues::{Queue, table, text};
use crate::stall::Stall;

/// A queue, and the queue of its dead letters.
async fn with_dead_letters() -> (Queue, Queue) {
    let dead = Queue::classic().await;
    (Queue::declare(&dead_letters_to(&dead)).await, dead)
}

fn dead_letters_to(dead: &Queue) -> [(&'static str, AMQPValue); 2] {
    [("x-dead-letter-exchange", text("")), ("x-dead-letter-routing-key", text(&dead.name))]
}

/// Rejects the next message, which dies.
async fn reject(queue: &Queue, dead: &Queue) {
    queue.next().await.reject(BasicRejectOptions::default()).await.unwrap();
    dead.until(|ready| ready == 1).await;
}

async fn run(arguments: &[&str]) -> Ended {
    peek(&[&["move", "amqp"], arguments].concat(), ("AMQP_URL", rabbitmq().await.url()))
}

async fn back(from: &Queue, to: &Queue, more: &[&str]) -> Ended {
    run(&[&["--from", &from.name, "--to", &to.name], more].concat()).await
}

#[track_caller]
fn assert_says(ended: &Ended, expected: &str) {
    assert!(ended.code == Some(0) && ended.stdout.contains(expected), "{expected}: {ended:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dead_letter_that_is_moved_back_and_handled_again_stays_in_its_trace() {
    let (orders, dead) = with_dead_letters().await;
    let recorder = Recorder::new();
    let tracer = recorder.tracer();
    let sending = Context::new().with_span(tracer.start_with_context("send", &Context::new()));
    let mut headers = FieldTable::default();
    let propagation = carrier_core::Propagation::builder().propagator(carrier_core::w3c()).build();
    carrier_amqp::inject_with(&propagation, &sending, &mut headers);
    orders.publish(headers, "17").await;
    sending.span().end();

    reject(&orders, &dead).await;
    assert_says(&back(&dead, &orders, &[]).await, "moved 1 message of 1");
    let message = orders.next().await;
    assert_eq!(message.data, b"17");
    tracer.start_with_context("handle", &carrier_amqp::extract_with(&propagation, &message)).end();

    let (send, handle) = (recorder.span("send"), recorder.span("handle"));
    assert_eq!(handle.span_context.trace_id(), send.span_context.trace_id());
    assert_eq!(handle.parent_span_id, send.span_context.span_id());
    assert_eq!(dead.drain().await, [""; 0]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_moved_message_keeps_its_headers_properties_and_body() {
    let (orders, dead) = with_dead_letters().await;
    let mut headers = table(&[
        ("TraceParent", text(TRACEPARENT)),
        ("traceparent", text("00-0")),
        ("BAGGAGE", AMQPValue::LongString(vec![0xff].into())),
        ("Tenant", AMQPValue::Void),
        ("retries", AMQPValue::ShortShortInt(-3)),
    ]);
    headers.insert("x-death-wish".into(), AMQPValue::FieldTable(table(&[("x", AMQPValue::Boolean(true))])));
    let properties = BasicProperties::default()
        .with_content_type("application/json".into())
        .with_content_encoding("gzip".into())
        .with_headers(headers)
        .with_delivery_mode(2)
        .with_priority(3)
        .with_correlation_id("correlation".into())
        .with_reply_to("replies".into())
        .with_message_id("message".into())
        .with_timestamp(1_700_000_000)
        .with_type("order".into())
        .with_user_id("guest".into())
        .with_app_id("shop".into())
        .with_cluster_id("cluster".into());
    orders.publish_properties(properties.clone(), "\u{0}\u{ff}").await;

    reject(&orders, &dead).await;
    assert_says(&back(&dead, &orders, &[]).await, "moved 1 message of 1");
    let message = orders.next().await;
    assert_eq!((message.properties.clone(), &message.data[..]), (properties, "\u{0}\u{ff}".as_bytes()));
    assert!(!message.redelivered);
}

/// The headers of a message that died, after it was moved.
async fn headers_after(more: &[&str]) -> BTreeMap<String, AMQPValue> {
    let quorum = Queue::quorum().await;
    let dead = Queue::declare(&[("x-queue-type", text("quorum")), dead_letters_to(&quorum)[0].clone()]).await;
    let orders = Queue::declare(&dead_letters_to(&dead)).await;
    let copies = AMQPValue::FieldArray(vec![text("nowhere")].into());
    orders.publish(table(&[("CC", copies), ("mine", text("kept"))]), "1").await;
    reject(&orders, &dead).await;
    // It has a delivery count then.
    dead.next().await.reject(BasicRejectOptions { requeue: true }).await.unwrap();
    dead.until(|ready| ready == 1).await;
    assert_says(&back(&dead, &orders, more).await, "moved 1 message of 1");
    let headers = orders.next().await.properties.headers().clone().unwrap_or_default();
    headers.inner().iter().map(|(name, value)| (name.to_string(), value.clone())).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_rabbitmq_recorded_about_the_death_is_left_out_unless_it_is_wanted() {
    let headers = headers_after(&[]).await;
    assert_eq!(headers.into_keys().collect::<Vec<_>>(), ["mine"]);
    let headers = headers_after(&["--keep-deaths"]).await;
    for name in ["mine", "x-death", "x-first-death-queue", "x-first-death-reason"] {
        assert!(headers.contains_key(name), "{name}: {headers:?}");
    }
    for name in ["CC", "x-delivery-count", "x-acquired-count"] {
        assert!(!headers.contains_key(name), "{name}: {headers:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_exchange_gets_the_routing_key_of_the_first_death() {
    let (orders, dead) = with_dead_letters().await;
    let exchange = unique_name("exchange");
    let declared = orders.channel.exchange_declare(
        exchange.as_str().into(),
        ExchangeKind::Topic,
        Default::default(),
        FieldTable::default(),
    );
    declared.await.unwrap();
    let bound = orders.channel.queue_bind(
        orders.name.as_str().into(),
        exchange.as_str().into(),
        "order.*".into(),
        QueueBindOptions::default(),
        FieldTable::default(),
    );
    bound.await.unwrap();
    orders.publish_to(&exchange, "order.new", "17").await;
    reject(&orders, &dead).await;

    let arguments = ["--from", &dead.name, "--to-exchange", &exchange];
    assert_says(&run(&arguments).await, "moved 1 message of 1");
    let message = orders.next().await;
    assert_eq!((message.exchange.as_str(), message.routing_key.as_str()), (exchange.as_str(), "order.new"));

    // This one did not die: its own key is used, and leads nowhere.
    dead.publish(FieldTable::default(), "18").await;
    run(&arguments).await.assert_refuses(1, "to no queue");
    assert_eq!(dead.drain().await, ["18"]);
    orders.channel.exchange_delete(exchange.as_str().into(), Default::default()).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_letter_that_cannot_be_moved_stays() {
    let dead = Queue::classic().await;
    dead.publish_many(3).await;
    let full = [("x-max-length", AMQPValue::LongInt(1)), ("x-overflow", text("reject-publish"))];
    let full = Queue::declare(&full).await;
    let ended = back(&dead, &full, &[]).await;
    ended.assert_refuses(1, "1 message moved, the others are where they were");
    assert!(ended.stderr.contains("is a queue full?"), "{ended:?}");
    dead.until(|ready| ready == 2).await;

    let missing = unique_name("missing");
    run(&["--from", &dead.name, "--to", &missing]).await.assert_refuses(1, &missing);
    run(&["--from", &dead.name, "--to-exchange", &missing]).await.assert_refuses(1, &missing);
    run(&["--from", &missing, "--to", &dead.name]).await.assert_refuses(1, &missing);
    run(&["--from", &dead.name, "--to", &dead.name]).await.assert_refuses(2, "the same");
    assert_eq!(
        (dead.drain().await, full.drain().await),
        (vec!["1".to_owned(), "2".to_owned()], vec!["0".to_owned()])
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dry_run_changes_nothing_and_a_number_is_a_limit() {
    let (orders, dead) = (Queue::classic().await, Queue::classic().await);
    dead.publish_many(5).await;
    assert_says(&back(&dead, &orders, &["--dry-run"]).await, "would move 5 messages of 5");
    assert_says(&back(&dead, &orders, &["--dry-run", "-n", "2"]).await, "would move 2 messages of 5");
    assert_says(&back(&dead, &orders, &["-n", "2"]).await, "moved 2 messages of 5");
    assert!(!dead.next().await.redelivered);
    assert_eq!(orders.drain().await, ["0", "1"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn letters_that_die_again_at_once_are_moved_once() {
    let dead = Queue::classic().await;
    let ttl = [("x-message-ttl", AMQPValue::LongInt(0))];
    let orders = Queue::declare(&[&dead_letters_to(&dead)[..], &ttl].concat()).await;
    dead.publish_many(20).await;
    assert_says(&back(&dead, &orders, &[]).await, "moved 20 messages of 20");
    dead.until(|ready| ready == 20).await;
    dead.assert_in_order(20, "after they died again").await;
}

fn start(stall: &Stall, from: &Queue, to: &Queue) -> Child {
    let mut command = Command::new(env!("CARGO_BIN_EXE_carrier-peek"));
    command.args(["move", "amqp", "--from", &from.name, "--to", &to.name]).env("AMQP_URL", &stall.url);
    command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_move_that_is_stopped_loses_no_message() {
    const COUNT: u32 = 200;
    // Some tens of messages.
    const ANSWERS: u64 = 10_000;
    for (signal, code, twice) in [("-INT", Some(130), 0), ("-KILL", None, 1)] {
        for (kind, from, to) in [
            ("classic", Queue::classic().await, Queue::classic().await),
            ("quorum", Queue::quorum().await, Queue::quorum().await),
        ] {
            let case = format!("{kind} queues, {signal}");
            from.publish_many(COUNT).await;
            let stall = Stall::after(ANSWERS).await;
            let mut child = start(&stall, &from, &to);
            stall.reached().await;
            to.until(|ready| (30..COUNT - 30).contains(&ready)).await;
            Command::new("kill").args([signal, child.id().to_string().as_str()]).status().unwrap();
            stall.go_on();
            let ended = tokio::task::block_in_place(|| child.wait()).unwrap();
            assert_eq!(ended.code(), code, "{case}");

            // The rest can be moved afterwards.
            assert_eq!(back(&from, &to, &[]).await.code, Some(0), "{case}");
            from.until(|ready| ready == 0).await;
            let mut messages: Vec<u32> = to.drain().await.iter().map(|body| body.parse().unwrap()).collect();
            let copies = messages.len();
            assert!(messages.is_sorted(), "{case}: {messages:?}");
            messages.dedup();
            assert_eq!(messages, (0..COUNT).collect::<Vec<_>>(), "{case}");
            assert!(copies - messages.len() <= twice, "{case}: {copies} copies");
        }
    }
}
