//! A message that already has a context: what the mode says, and a link.

use carrier_amqp::extract;
use carrier_core::{Existing, Propagation};
use carrier_tests::telemetry::sampled_context;
use lapin::BasicProperties;
use opentelemetry::context::FutureExt as _;
use opentelemetry::trace::{SpanKind, TraceContextExt as _};

use super::support::{Program, ack, confirmed, inside};
use crate::support::{Queue, carrying};

#[tokio::test]
async fn a_context_that_is_there_is_replaced_and_linked() {
    let program = Program::new().await;
    let sender = inside(&program.recorder, "sender");
    let request = inside(&program.recorder, "request");
    program.publish_with(carrying(&sender)).with_context(request.clone()).await;
    let delivery = program.received().await;
    sender.span().end();
    request.span().end();
    let sent = program.span("send");
    assert_eq!(extract(&delivery).span().span_context().span_id(), sent.span_context.span_id());
    assert_eq!(sent.parent_span_id, request.span().span_context().span_id());
    assert_eq!(sent.links.links[0].span_context.span_id(), sender.span().span_context().span_id());
    assert_eq!(sent.span_kind, SpanKind::Producer);
}

#[tokio::test]
async fn a_context_that_is_kept_makes_the_span_a_clients() {
    for existing in [Existing::Keep, Existing::LeaveAlone] {
        let keep = Propagation::builder().existing(existing).build();
        let program = Program::with(|builder| builder.propagation(keep)).await;
        let request = inside(&program.recorder, "request");
        program.publish_with(carrying(&sampled_context())).with_context(request).await;
        let delivery = program.received().await;
        carrier_amqp::testing::assert_carries(&delivery, &sampled_context());
        let sent = program.span("send");
        assert_eq!(sent.span_kind, SpanKind::Client);
        assert_eq!(sent.links.links[0].span_context, sampled_context().span().span_context().clone());
    }
}

#[tokio::test]
async fn a_dead_letter_that_is_published_after_the_handler_is_in_the_trace_with_old_or_new_properties() {
    let (program, dead) = (Program::new().await, Queue::new().await);
    program.publish().await;
    let delivery = program.amqp.process(&program.queue.name, program.received().await);
    assert!(delivery.run(async { Err::<(), _>("no such customer") }).await.is_err());
    let channel = program.amqp.channel(dead.channel.clone());
    confirmed(&channel, "", &dead.name, delivery.properties.clone()).await;
    let fresh = confirmed(&channel, "", &dead.name, BasicProperties::default());
    fresh.with_context(delivery.context().clone()).await;
    delivery.ack(ack()).await.unwrap();

    let (sender, process) = (program.span("send"), program.span("process"));
    let spans = program.recorder.spans();
    let letters: Vec<_> = spans.iter().filter(|span| span.name == format!("send {}", dead.name)).collect();
    let parents: Vec<_> = letters.iter().map(|span| span.parent_span_id).collect();
    assert_eq!(parents, [sender.span_context.span_id(), process.span_context.span_id()]);
    let trace = sender.span_context.trace_id();
    assert!(letters.iter().all(|span| span.span_context.trace_id() == trace && span.links.links.is_empty()));
}
