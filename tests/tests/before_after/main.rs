//! The README's two diffs are the difference of programs that compile, and that do the same with and without spans.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod kafka_after;
mod kafka_before;
mod lapin_after;
mod lapin_before;

use std::time::Duration;

use carrier_tests::telemetry::Recorder;
use carrier_tests::{kafka, rabbitmq, unique_name};
use lapin::options::QueueDeclareOptions;
use lapin::types::FieldTable;
use opentelemetry::Context;
use opentelemetry::trace::TraceContextExt as _;
use rdkafka::ClientConfig;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

/// What both programs do with an order: say in which context it was worked on.
pub(crate) struct Worked(UnboundedSender<Context>);

impl Worked {
    pub(crate) async fn with(&self, order: &[u8]) {
        assert_eq!(order, b"three lamps");
        self.0.send(Context::current()).unwrap();
        // Whoever waits for it ends the program now.
        tokio::task::yield_now().await;
    }
}

/// The n-th diff of the README, as the two texts that it is the difference of.
fn diff(number: usize) -> (String, String) {
    let readme = include_str!("../../../README.md");
    let block = readme.split("```diff\n").nth(number + 1).unwrap().split("```").next().unwrap();
    let side = |other: char| {
        let lines = block.lines().filter(|line| !line.starts_with(other));
        lines.map(|line| line.get(1..).unwrap_or_default().to_owned() + "\n").collect::<String>()
    };
    (side('+'), side('-'))
}

/// A program without its head, from the function that the README shows.
fn program(source: &str) -> String {
    source[source.find("pub(crate) async fn").unwrap()..].to_owned()
}

#[test]
fn the_readmes_diffs_are_those_of_the_programs() {
    let programs = [
        (include_str!("lapin_before.rs"), include_str!("lapin_after.rs")),
        (include_str!("kafka_before.rs"), include_str!("kafka_after.rs")),
    ];
    for (number, (before, after)) in programs.into_iter().enumerate() {
        assert_eq!(diff(number), (program(before), program(after)));
    }
}

/// Runs a program that would go on for ever until it has worked, and gives the context in which it did.
async fn until_worked<E: std::fmt::Debug>(
    program: impl Future<Output = Result<(), E>>,
    worked: &mut UnboundedReceiver<Context>,
) -> Context {
    let limit = tokio::time::sleep(Duration::from_secs(60));
    tokio::select! {
        ended = program => panic!("it ended by itself: {ended:?}"),
        cx = worked.recv() => cx.unwrap(),
        () = limit => panic!("nothing was processed within a minute"),
    }
}

#[tokio::test]
async fn what_worked_before_works_after_and_in_the_senders_trace() {
    let recorder = Recorder::new();
    opentelemetry::global::set_tracer_provider(recorder.provider().clone());
    opentelemetry::global::set_text_map_propagator(carrier_core::w3c());

    let (rabbitmq, queues) = (rabbitmq().await, [unique_name("before"), unique_name("after")]);
    let channel = rabbitmq.channel().await;
    for queue in &queues {
        let options = QueueDeclareOptions { durable: true, auto_delete: true, ..Default::default() };
        channel.queue_declare(queue.as_str().into(), options, FieldTable::default()).await.unwrap();
    }
    let (told, mut worked) = unbounded_channel();
    let told = Worked(told);
    let before = until_worked(lapin_before::run(rabbitmq.url(), &queues[0], &told), &mut worked).await;
    assert!(!before.has_active_span());
    let after = until_worked(lapin_after::run(rabbitmq.url(), &queues[1], &told), &mut worked).await;
    let sent = recorder.span(&format!("send {}", queues[1]));
    assert_eq!(after.span().span_context().trace_id(), sent.span_context.trace_id());

    let (kafka, topics) = (kafka().await, [unique_name("before"), unique_name("after")]);
    for topic in &topics {
        kafka.create_topic(topic, 1).await;
    }
    let config = |group: &str| {
        let mut config = ClientConfig::new();
        config.set("bootstrap.servers", kafka.brokers()).set("group.id", unique_name(group));
        config.set("auto.offset.reset", "earliest").clone()
    };
    let before = until_worked(kafka_before::run(&config("before"), &topics[0], &told), &mut worked).await;
    assert!(!before.has_active_span());
    let after = until_worked(kafka_after::run(&config("after"), &topics[1], &told), &mut worked).await;
    let sent = recorder.span(&format!("send {}", topics[1]));
    assert_eq!(after.span().span_context().trace_id(), sent.span_context.trace_id());
}
