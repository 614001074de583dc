//! lapin's own `tracing` span, which is open as long as a connection, and the filter that removes exactly this span.
//!
//! lapin's thread takes the subscriber of the whole program, so each program is a process of its own.

use std::env;
use std::process::Command;

use carrier_amqp::inject;
use carrier_tests::rabbitmq;
use carrier_tests::telemetry::Recorder;
use lapin::BasicProperties;
use opentelemetry::Context;
use tracing::instrument;
use tracing_subscriber::Layer as _;
use tracing_subscriber::filter::filter_fn;
use tracing_subscriber::layer::SubscriberExt as _;

use crate::support::{Queue, next, within};

/// Whether the child filters.
const FILTERS: &str = "CARRIER_IO_LOOP_FILTERS";

#[instrument(skip_all)]
async fn publish(queue: &Queue) {
    let mut properties = BasicProperties::default();
    inject(&Context::current(), &mut properties);
    queue.publish(properties, b"").await;
}

#[instrument(skip_all)]
async fn handle(queue: &Queue) {
    next(&mut queue.consumer().await).await;
}

#[tokio::test]
#[ignore = "started by another test, in a process of its own"]
async fn program_in_a_process_of_its_own() {
    let Ok(filters) = env::var(FILTERS) else { return };
    let recorder = Recorder::new();
    let layer = tracing_opentelemetry::layer().with_tracer(recorder.tracer());
    // The line of the set-up.
    let without_io_loop = layer.with_filter(filter_fn(move |metadata| {
        filters == "no" || metadata.name() != "io_loop" || metadata.target() != "lapin::io_loop"
    }));
    tracing::subscriber::set_global_default(tracing_subscriber::registry().with(without_io_loop)).unwrap();
    let queue = Queue::new().await;
    publish(&queue).await;
    handle(&queue).await;
    let is_open = recorder.open_spans() > 0;
    // The connection ends with its last channel.
    drop(queue);
    let ended = async {
        while recorder.open_spans() > 0 {
            tokio::task::yield_now().await;
        }
    };
    within("the end of the connection", ended).await;
    let mut names: Vec<_> = recorder.spans().into_iter().map(|span| span.name.into_owned()).collect();
    names.sort();
    eprintln!("open: {is_open}, spans: {names:?}.");
}

/// What the program says of its spans.
async fn says(filters: &str) -> String {
    let mut command = Command::new(env::current_exe().unwrap());
    command
        .args(["io_loop::program_in_a_process_of_its_own", "--exact", "--ignored", "--nocapture"])
        .env("AMQP_URL", rabbitmq().await.url())
        .env(FILTERS, filters);
    let output = tokio::task::spawn_blocking(move || command.output()).await.unwrap().unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{said}");
    said.lines().find(|line| line.starts_with("open: ")).unwrap_or(&said).to_owned()
}

#[tokio::test]
async fn the_filter_of_the_set_up_removes_lapins_endless_span_and_no_other() {
    // The check of `AMQP_URL` has opened a connection of its own, so there are two.
    let all = says("no").await;
    assert_eq!(all, r#"open: true, spans: ["handle", "io_loop", "io_loop", "publish"]."#);
    let filtered = says("yes").await;
    assert_eq!(filtered, r#"open: false, spans: ["handle", "publish"]."#);
}
