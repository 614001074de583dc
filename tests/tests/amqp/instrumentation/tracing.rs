//! With `tracing`: an instrumented handler is a child of the process span, a publish inside a child of that. No glue.

use carrier_amqp::instrumentation::Processing;
use lapin::BasicProperties;
use lapin::message::Delivery;
use opentelemetry::context::FutureExt as _;
use opentelemetry::trace::{SpanId, TraceContextExt as _};
use tracing::instrument;
use tracing_opentelemetry::OpenTelemetrySpanExt as _;

use super::support::{Program, ack, confirmed};
use crate::support::{Queue, next};

#[instrument(skip_all)]
async fn handle(program: &Program, delivery: &Processing<Delivery>, to: &Queue) -> lapin::Result<bool> {
    tokio::task::yield_now().await;
    confirmed(&program.amqp.channel(to.channel.clone()), "", &to.name, BasicProperties::default()).await;
    delivery.ack(ack()).await
}

#[instrument(skip_all)]
async fn consume(program: &Program, to: &Queue) {
    let mut consumer = program.queue.consumer().await;
    let delivery = program.amqp.process(&program.queue.name, next(&mut consumer).await);
    delivery.run(handle(program, &delivery, to)).await.unwrap();
}

#[tokio::test]
async fn an_instrumented_handler_and_what_it_publishes_are_in_one_trace() {
    let (program, to) = (Program::new().await, Queue::new().await);
    program.publish().await;
    let _default = tracing::subscriber::set_default(program.recorder.subscriber());
    consume(&program, &to).await;
    let (process, handle) = (program.span("process"), program.recorder.span("handle"));
    let forwarded = program.recorder.span(&format!("send {}", to.name));
    assert_eq!(handle.parent_span_id, process.span_context.span_id());
    assert_eq!(forwarded.parent_span_id, handle.span_context.span_id());
    assert_eq!(forwarded.span_context.trace_id(), program.span("send").span_context.trace_id());
}

#[tokio::test]
async fn the_span_of_an_instrumented_loop_is_linked() {
    let (program, to) = (Program::new().await, Queue::new().await);
    program.publish().await;
    let _default = tracing::subscriber::set_default(program.recorder.subscriber());
    consume(&program, &to).await;
    let (process, around) = (program.span("process"), program.recorder.span("consume"));
    assert_eq!(around.parent_span_id, SpanId::INVALID);
    assert_ne!(process.span_context.trace_id(), around.span_context.trace_id());
    let linked: Vec<_> = process.links.links.iter().map(|link| link.span_context.span_id()).collect();
    assert_eq!(linked, [around.span_context.span_id()]);
}

#[tokio::test]
async fn a_span_that_is_made_before_the_handler_runs_belongs_elsewhere() {
    let program = Program::new().await;
    program.publish().await;
    let _default = tracing::subscriber::set_default(program.recorder.subscriber());
    let delivery = program.amqp.process(&program.queue.name, program.received().await);
    let early = tracing::info_span!("early");
    let told = tracing::info_span!("told");
    told.set_parent(delivery.context().clone()).unwrap();
    delivery
        .run(async {
            early.in_scope(|| {});
            told.in_scope(|| {});
        })
        .await;
    drop((early, told));
    delivery.ack(ack()).await.unwrap();
    drop(delivery);
    let process = program.span("process");
    assert_ne!(program.recorder.span("early").span_context.trace_id(), process.span_context.trace_id());
    assert_eq!(program.recorder.span("told").parent_span_id, process.span_context.span_id());
}

#[tokio::test]
async fn a_task_that_the_handler_spawns_takes_its_context_along() {
    let program = Program::new().await;
    program.publish().await;
    let delivery = program.amqp.process(&program.queue.name, program.received().await);
    let current = || opentelemetry::Context::current().span().span_context().clone();
    delivery
        .run(async {
            let bare = tokio::spawn(async move { current() }).await.unwrap();
            assert!(!bare.is_valid());
            let with = async move { current() }.with_context(opentelemetry::Context::current());
            assert_eq!(tokio::spawn(with).await.unwrap(), current());
        })
        .await;
    delivery.ack(ack()).await.unwrap();
    drop(delivery);
}
