//! Headers nested a thousand deep.
//!
//! RabbitMQ takes them and passes them on. lapin 4.12 (amq-protocol-types 10.6) reads them by recursion, on a thread with
//! the standard library's stack: of its 2 MiB each level takes 10 KiB in a debug build and 2 KiB in a release build.
//! Where it does not suffice the process is aborted, and since the broker then gives the message to the next consumer,
//! that one as well. No carrier can help, since it comes after; `RUST_MIN_STACK` does.
//!
//! So these consumers run in processes of their own.

use std::env;
use std::process::{Command, Output};

use carrier_amqp::inject;
use carrier_amqp::testing::{assert_carries, assert_carries_nothing};
use carrier_tests::telemetry::sampled_context;
use carrier_tests::{rabbitmq, unique_name};
use lapin::options::{BasicAckOptions, QueueDeclareOptions, QueueDeleteOptions};
use lapin::types::AMQPValue;
use lapin::{BasicProperties, Channel};
use opentelemetry::Context;

use crate::raw;
use crate::support::{carrying, channel, consumer, next, publish, table};

/// The queue that the consumer in a process of its own is for.
const QUEUE: &str = "CARRIER_NESTING_QUEUE";

/// Room for a thousand levels in any build.
const LARGER_STACK: &str = "67108864";

/// A queue that outlives a consumer's connection; it goes a minute after its last use.
async fn queue() -> (Channel, String) {
    let channel = channel().await;
    let name = unique_name("nesting");
    let durable = QueueDeclareOptions { durable: true, ..QueueDeclareOptions::default() };
    let expires = table([("x-expires", AMQPValue::LongInt(60_000))]);
    let declared = channel.queue_declare(name.as_str().into(), durable, expires);
    declared.await.unwrap();
    (channel, name)
}

async fn delete(channel: &Channel, queue: &str) {
    let deleted = channel.queue_delete(queue.into(), QueueDeleteOptions::default());
    deleted.await.unwrap();
}

/// Runs [`consumer_in_a_process_of_its_own`] there.
async fn consume(queue: &str, stack: Option<&str>) -> Output {
    let mut command = Command::new(env::current_exe().unwrap());
    let child = "nesting::consumer_in_a_process_of_its_own";
    command
        .args([child, "--exact", "--ignored", "--nocapture"])
        .env("AMQP_URL", rabbitmq().await.url())
        .env(QUEUE, queue)
        .env_remove("RUST_MIN_STACK")
        .envs(stack.map(|bytes| ("RUST_MIN_STACK", bytes)));
    let child = tokio::task::spawn_blocking(move || command.output());
    child.await.unwrap().unwrap()
}

/// The nested message, and after it one with a context, are received and injected into.
#[tokio::test]
#[ignore = "started by other tests, in a process of its own"]
async fn consumer_in_a_process_of_its_own() {
    let Ok(queue) = env::var(QUEUE) else {
        return;
    };
    let channel = channel().await;
    let mut consumer = consumer(&channel, &queue).await;

    let nested = next(&mut consumer).await;
    assert_carries_nothing(&nested);
    let mut properties: BasicProperties = nested.properties.clone();
    inject(&sampled_context(), &mut properties);
    assert_carries(&properties, &sampled_context());
    inject(&Context::new(), &mut properties);
    nested.ack(BasicAckOptions::default()).await.unwrap();

    assert_carries(&next(&mut consumer).await, &sampled_context());
}

async fn assert_read_with_a_larger_stack(name: &[u8]) {
    let (channel, queue) = queue().await;
    raw::publish(&queue, vec![(name, raw::nested_arrays(1_000))]).await;
    publish(&channel, "", &queue, carrying(&sampled_context()), b"").await;
    let output = consume(&queue, Some(LARGER_STACK)).await;
    assert!(output.status.success(), "{output:?}");
    let passed = String::from_utf8_lossy(&output.stdout);
    assert!(passed.contains("1 passed"), "{passed}");
    delete(&channel, &queue).await;
}

#[tokio::test]
async fn a_traceparent_nested_a_thousand_deep_is_no_context_with_a_larger_stack() {
    assert_read_with_a_larger_stack(b"traceparent").await;
}

#[tokio::test]
async fn a_users_header_nested_a_thousand_deep_is_injected_beside_with_a_larger_stack() {
    assert_read_with_a_larger_stack(b"user").await;
}

/// A failure of this test is good news: lapin has got a limit, and the documentation that warns of this can go.
#[tokio::test]
async fn headers_nested_five_thousand_deep_abort_every_lapin_consumer() {
    let (channel, queue) = queue().await;
    raw::publish(&queue, vec![(b"traceparent", raw::nested_arrays(5_000))]).await;
    for _ in 0..2 {
        let output = consume(&queue, None).await;
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(said.contains("overflowed its stack"), "{said}");
        assert_eq!(output.status.code(), None, "ended by a signal");
    }
    delete(&channel, &queue).await;
}
