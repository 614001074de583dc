//! How the sender's span and the current one relate to the process span.

use std::time::Duration;

use carrier_amqp::instrumentation::{Ambient, Relation};
use carrier_core::{Propagation, Trust};
use carrier_tests::telemetry::sampled_context;
use lapin::BasicProperties;
use lapin::options::BasicNackOptions;
use opentelemetry::baggage::BaggageExt as _;
use opentelemetry::context::FutureExt as _;
use opentelemetry::trace::{SpanId, TraceContextExt as _};
use opentelemetry_sdk::trace::SpanData;

use super::support::{Program, ack, inside};
use crate::support::{carrying, next};

/// Publishes, processes and acknowledges one message.
async fn once(program: &Program) -> (SpanData, SpanData) {
    program.publish().await;
    let delivery = program.amqp.process(&program.queue.name, program.received().await);
    delivery.run(async { delivery.ack(ack()).await }).await.unwrap();
    (program.span("send"), program.span("process"))
}

fn is_linked(from: &SpanData, to: &SpanData) -> bool {
    from.links.links.iter().any(|link| link.span_context.span_id() == to.span_context.span_id())
}

#[tokio::test]
async fn a_link_starts_a_trace_of_its_own_that_is_sampled_anew() {
    let program = Program::with(|builder| builder.relation(Relation::Link)).await;
    let (sent, processed) = once(&program).await;
    assert_ne!(processed.span_context.trace_id(), sent.span_context.trace_id());
    assert_eq!(processed.parent_span_id, SpanId::INVALID);
    assert!(is_linked(&processed, &sent) && processed.span_context.is_sampled());
}

#[tokio::test]
async fn no_relation_is_no_parent_and_no_link() {
    let program = Program::with(|builder| builder.relation(Relation::Ignore)).await;
    let (sent, processed) = once(&program).await;
    assert_ne!(processed.span_context.trace_id(), sent.span_context.trace_id());
    assert!(processed.links.links.is_empty());
}

#[tokio::test]
async fn a_fresh_message_is_a_child_and_a_redelivered_one_links() {
    let fresh = Relation::parent_while_fresh(Duration::from_secs(3_600));
    let program = Program::with(|builder| builder.relation(fresh)).await;
    program.publish().await;
    let mut consumer = program.queue.consumer().await;
    let first = program.amqp.process(&program.queue.name, next(&mut consumer).await);
    let requeue = BasicNackOptions { requeue: true, ..BasicNackOptions::default() };
    first.nack(requeue).await.unwrap();
    drop(first);
    let sent = program.span("send");
    assert_eq!(program.span("process").parent_span_id, sent.span_context.span_id());
    program.recorder.reset();

    let again = program.amqp.process(&program.queue.name, next(&mut consumer).await);
    again.ack(ack()).await.unwrap();
    drop(again);
    let processed = program.span("process");
    assert_eq!(processed.parent_span_id, SpanId::INVALID);
    assert!(is_linked(&processed, &sent));
}

#[tokio::test]
async fn a_message_that_is_old_by_its_timestamp_links() {
    let fresh = Relation::parent_while_fresh(Duration::from_secs(3_600));
    let program = Program::with(|builder| builder.relation(fresh)).await;
    let day_ago = std::time::SystemTime::now() - Duration::from_secs(86_400);
    let seconds = day_ago.duration_since(std::time::UNIX_EPOCH).unwrap().as_secs();
    program.publish_with(BasicProperties::default().with_timestamp(seconds)).await;
    let delivery = program.amqp.process(&program.queue.name, program.received().await);
    delivery.ack(ack()).await.unwrap();
    drop(delivery);
    let (sent, processed) = (program.span("send"), program.span("process"));
    assert_ne!(processed.span_context.trace_id(), sent.span_context.trace_id());
    assert!(is_linked(&processed, &sent));
    let waited = processed.attributes.iter().find(|pair| pair.key.as_str() == "carrier.queue.duration");
    let opentelemetry::Value::F64(waited) = waited.unwrap().value else { panic!("{waited:?}") };
    assert!((86_400.0..86_500.0).contains(&waited), "{waited}");
}

#[tokio::test]
async fn one_consumer_can_be_unlike_the_others() {
    let program = Program::new().await;
    program.publish().await;
    let linking = program.amqp.with_relation(Relation::Link);
    let delivery = linking.process(&program.queue.name, program.received().await);
    delivery.ack(ack()).await.unwrap();
    drop(delivery);
    assert_eq!(program.span("process").parent_span_id, SpanId::INVALID);
}

#[tokio::test]
async fn baggage_reaches_the_handler_whatever_the_relation() {
    for relation in [Relation::Parent, Relation::Link, Relation::Ignore] {
        let program = Program::with(|builder| builder.relation(relation)).await;
        program.queue.publish_context(&sampled_context()).await;
        let delivery = program.amqp.process(&program.queue.name, program.received().await);
        let tenant = delivery.context().baggage().get("tenant").map(ToString::to_string);
        assert_eq!(tenant.as_deref(), Some("blue"));
    }
}

#[tokio::test]
async fn whom_the_propagation_does_not_trust_is_linked_or_not_known() {
    for (trust, links) in [(Trust::Link, 1), (Trust::Ignore, 0)] {
        let stranger = Propagation::builder().trust(trust).build();
        let program = Program::with(|builder| builder.propagation(stranger)).await;
        program.queue.publish(carrying(&sampled_context()), b"").await;
        let delivery = program.amqp.process(&program.queue.name, program.received().await);
        delivery.ack(ack()).await.unwrap();
        drop(delivery);
        let processed = program.span("process");
        let sender = sampled_context().span().span_context().trace_id();
        assert_ne!(processed.span_context.trace_id(), sender);
        assert_eq!(processed.links.links.len(), links, "{trust:?}");
    }
}

/// Publishes outside, and processes inside a span called `loop`.
async fn inside_a_loop(program: &Program) {
    program.publish().await;
    let around = inside(&program.recorder, "loop");
    let work = async {
        let delivery = program.amqp.process(&program.queue.name, program.received().await);
        delivery.run(async { delivery.ack(ack()).await }).await.unwrap();
    };
    work.with_context(around.clone()).await;
    around.span().end();
}

fn parent_and_links(program: &Program) -> Vec<String> {
    let spans =
        carrier_tests::picture::spans(&program.recorder.spans()).replace(&program.queue.name, "QUEUE");
    let process = spans.split("consumer process QUEUE\n").nth(1).unwrap();
    let lines = process.lines().filter(|line| line.starts_with("  parent") || line.starts_with("  link"));
    lines.map(|line| line.trim().to_owned()).collect()
}

#[tokio::test]
async fn a_loop_inside_a_span_is_linked_and_never_the_parent() {
    let program = Program::new().await;
    inside_a_loop(&program).await;
    assert_eq!(parent_and_links(&program), ["parent send QUEUE", "link loop"]);
}

#[tokio::test]
async fn with_link_parent_the_sender_is_the_parent_and_linked() {
    let program = Program::with(|builder| builder.link_parent(true)).await;
    inside_a_loop(&program).await;
    assert_eq!(parent_and_links(&program), ["parent send QUEUE", "link send QUEUE", "link loop"]);
}

#[tokio::test]
async fn it_can_be_the_parent_where_that_is_wanted() {
    let program = Program::with(|builder| builder.ambient(Ambient::Parent)).await;
    inside_a_loop(&program).await;
    assert_eq!(parent_and_links(&program), ["parent loop", "link send QUEUE"]);
}

#[tokio::test]
async fn it_can_be_ignored() {
    let program = Program::with(|builder| builder.ambient(Ambient::Ignore)).await;
    inside_a_loop(&program).await;
    assert_eq!(parent_and_links(&program), ["parent send QUEUE"]);
}
