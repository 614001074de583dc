//! The span that is current where a message is processed.

use carrier_amqp::instrumentation::Ambient;
use opentelemetry::context::FutureExt as _;
use opentelemetry::trace::TraceContextExt as _;

use super::{Program, ack, inside};

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

fn relations(program: &Program) -> Vec<String> {
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
    assert_eq!(relations(&program), ["parent send QUEUE", "link send QUEUE", "link loop"]);
}

#[tokio::test]
async fn it_can_be_the_parent_where_that_is_wanted() {
    let program = Program::with(|builder| builder.ambient(Ambient::Parent)).await;
    inside_a_loop(&program).await;
    assert_eq!(relations(&program), ["parent loop", "link send QUEUE"]);
}

#[tokio::test]
async fn it_can_be_ignored() {
    let program = Program::with(|builder| builder.ambient(Ambient::Ignore)).await;
    inside_a_loop(&program).await;
    assert_eq!(relations(&program), ["parent send QUEUE", "link send QUEUE"]);
}
