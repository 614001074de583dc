//! How a handler ends, and what is said of it; and that the message is where it would be without us.

use std::future::{pending, poll_fn};
use std::panic::AssertUnwindSafe;
use std::task::Poll;
use std::time::Duration;

use futures::FutureExt as _;
use lapin::message::Delivery;
use lapin::options::{BasicNackOptions, BasicRejectOptions};
use opentelemetry::trace::{SpanId, TraceContextExt as _};
use opentelemetry::{Context, KeyValue};

use super::support::{Program, ack};
use crate::support::{next, within};

#[derive(Debug)]
struct OutOfStock;

impl std::error::Error for OutOfStock {}

impl std::fmt::Display for OutOfStock {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("there are no lamps")
    }
}

#[tokio::test]
async fn an_error_that_the_handler_returns_fails_the_span_and_the_message_stays_unsettled() {
    let program = Program::new().await;
    program.publish().await;
    let delivery = program.amqp.process(&program.queue.name, program.received().await);
    let failed: Result<(), OutOfStock> = delivery.run(async { Err(OutOfStock) }).await;
    failed.unwrap_err();
    assert!(delivery.acker.usable());
    drop(delivery);
    assert_eq!(
        program.end_of("process"),
        [
            "carrier.settlement = not_settled",
            &format!("error.type = {}", std::any::type_name::<OutOfStock>()),
            "status error: there are no lamps",
        ]
    );
}

#[tokio::test]
async fn a_failed_message_that_is_given_back_says_both() {
    let program = Program::new().await;
    program.publish().await;
    let mut consumer = program.queue.consumer().await;
    let delivery = program.amqp.process(&program.queue.name, next(&mut consumer).await);
    let failed: Result<(), OutOfStock> = delivery.run(async { Err(OutOfStock) }).await;
    failed.unwrap_err();
    let requeue = BasicNackOptions { requeue: true, ..BasicNackOptions::default() };
    assert!(delivery.nack(requeue).await.unwrap());
    let end = program.end_of("process");
    assert_eq!((&*end[0], &*end[2]), ("carrier.settlement = nacked", "status error: there are no lamps"));
    assert!(next(&mut consumer).await.redelivered);
}

#[tokio::test]
async fn a_panic_fails_the_span_and_goes_on() {
    let program = Program::new().await;
    program.publish().await;
    let delivery = program.amqp.process(&program.queue.name, program.received().await);
    let handler = delivery.run(async {
        if delivery.data == b"17" {
            panic!("a lamp fell");
        }
    });
    AssertUnwindSafe(handler).catch_unwind().await.unwrap_err();
    assert!(!Context::current().has_active_span());
    drop(delivery);
    assert_eq!(
        program.end_of("process"),
        ["carrier.settlement = not_settled", "error.type = panic", "status error: the handler panicked"]
    );
}

#[tokio::test]
async fn a_handler_that_is_cancelled_half_way_fails_the_span_and_leaves_no_context() {
    let program = Program::new().await;
    program.publish().await;
    let delivery = program.amqp.process(&program.queue.name, program.received().await);
    let endless = delivery.run(pending::<()>());
    tokio::time::timeout(Duration::from_millis(10), endless).await.unwrap_err();
    assert!(!Context::current().has_active_span());
    assert_eq!(program.recorder.spans().len(), 1, "only the sender's has ended");
    drop(delivery);
    assert_eq!(
        program.end_of("process"),
        [
            "carrier.settlement = not_settled",
            "error.type = cancelled",
            "status error: the handler was dropped before it was over",
        ]
    );
}

#[tokio::test]
async fn a_nack_and_a_reject_are_told_apart_and_sent_as_they_are() {
    let program = Program::new().await;
    for _ in 0..2 {
        program.publish().await;
    }
    let mut consumer = program.queue.consumer().await;
    let nacked = program.amqp.process(&program.queue.name, next(&mut consumer).await);
    assert!(nacked.nack(BasicNackOptions::default()).await.unwrap());
    drop(nacked);
    assert_eq!(
        program.end_of("process"),
        [
            "carrier.settlement = nacked",
            "error.type = nacked",
            "status error: the message was negatively acknowledged",
        ]
    );
    program.recorder.reset();
    let rejected = program.amqp.process(&program.queue.name, next(&mut consumer).await);
    assert!(rejected.reject(BasicRejectOptions::default()).await.unwrap());
    drop(rejected);
    assert_eq!(program.end_of("process")[0], "carrier.settlement = rejected");
}

#[tokio::test]
async fn a_message_that_is_dropped_unsettled_is_no_error_and_is_given_out_again() {
    let program = Program::with_open_queue(|builder| builder).await;
    program.publish().await;
    let (first, delivery) = program.received_elsewhere().await;
    drop(delivery);
    assert_eq!(program.end_of("process"), ["carrier.settlement = not_settled"]);
    first.close(200, "done".into()).await.unwrap();
    assert!(program.received().await.redelivered);
}

#[tokio::test]
async fn a_second_acknowledgement_is_lapins_and_changes_nothing() {
    let program = Program::new().await;
    program.publish().await;
    let delivery = program.amqp.process(&program.queue.name, program.received().await);
    assert!(delivery.ack(ack()).await.unwrap());
    assert!(!delivery.ack(ack()).await.unwrap());
    assert!(!delivery.nack(BasicNackOptions::default()).await.unwrap());
    drop(delivery);
    assert_eq!(program.end_of("process"), ["carrier.settlement = acked"]);
}

#[tokio::test]
async fn an_acknowledgement_that_is_dropped_on_its_way_has_been_sent() {
    let program = Program::new().await;
    program.publish().await;
    let delivery = program.amqp.process(&program.queue.name, program.received().await);
    let mut acknowledging = Box::pin(delivery.ack(ack()));
    let once = poll_fn(|cx| Poll::Ready(acknowledging.as_mut().poll(cx).is_ready()));
    let _was_quick: bool = once.await;
    drop(acknowledging);
    drop(delivery);
    assert_eq!(program.end_of("process"), ["carrier.settlement = acked"]);
}

#[tokio::test]
async fn an_acknowledgement_behind_the_handler_ends_the_span() {
    let program = Program::new().await;
    program.publish().await;
    let delivery = program.amqp.process(&program.queue.name, program.received().await);
    delivery.run(async {}).await;
    assert_eq!(program.recorder.spans().len(), 1, "it is not settled yet");
    assert!(delivery.ack(ack()).await.unwrap());
    assert_eq!(program.end_of("process"), ["carrier.settlement = acked"]);
}

#[tokio::test]
async fn the_span_of_a_handler_that_goes_on_after_the_acknowledgement_ends_with_it() {
    let program = Program::new().await;
    program.publish().await;
    let delivery = program.amqp.process(&program.queue.name, program.received().await);
    delivery
        .run(async {
            delivery.ack(ack()).await.unwrap();
            assert_eq!(program.recorder.spans().len(), 1, "the handler is not over");
        })
        .await;
    assert_eq!(program.end_of("process"), ["carrier.settlement = acked"]);
}

#[tokio::test]
async fn no_context_of_one_message_is_there_for_the_next() {
    let program = Program::new().await;
    for _ in 0..3 {
        program.publish().await;
    }
    let mut consumer = program.queue.consumer().await;
    for _ in 0..3 {
        let delivery = program.amqp.process(&program.queue.name, next(&mut consumer).await);
        let inside = delivery.context().span().span_context().clone();
        let handler = async {
            tokio::task::yield_now().await;
            assert_eq!(Context::current().span().span_context(), &inside);
            Err::<(), _>(OutOfStock)
        };
        delivery.run(handler).await.unwrap_err();
        assert!(!Context::current().has_active_span());
        assert!(delivery.ack(ack()).await.unwrap());
    }
    let spans = program.recorder.spans();
    let processed: Vec<_> = spans.iter().filter(|span| span.name.starts_with("process")).collect();
    let mut traces: Vec<_> = processed.iter().map(|span| span.span_context.trace_id()).collect();
    traces.dedup();
    assert_eq!(traces.len(), 3, "each is in its sender's trace");
    assert!(
        processed.iter().all(|span| span.parent_span_id != SpanId::INVALID && span.links.links.is_empty())
    );
}

#[tokio::test]
async fn a_consumers_delegate_is_instrumented_with_the_same_line() {
    let program = Program::new().await;
    let (amqp, name) = (program.amqp.clone(), program.queue.name.clone());
    let (handled, mut events) = tokio::sync::mpsc::unbounded_channel();
    let consumer = program.queue.consumer().await;
    consumer.set_delegate(move |delivery: lapin::message::DeliveryResult| {
        let (amqp, name, handled) = (amqp.clone(), name.clone(), handled.clone());
        async move {
            let Ok(Some(delivery)) = delivery else { return };
            let delivery = amqp.process(&name, delivery);
            let _ = delivery.run(async { delivery.ack(ack()).await }).await;
            drop(delivery);
            handled.send(()).unwrap();
        }
    });
    program.publish().await;
    within("the delegate", events.recv()).await.unwrap();
    let (sent, processed) = (program.span("send"), program.span("process"));
    assert_eq!(processed.parent_span_id, sent.span_context.span_id());
}

#[tokio::test]
async fn a_delegate_that_panics_ends_its_span_and_loses_no_other() {
    const MESSAGES: usize = 10;
    let program = Program::new().await;
    let (amqp, name) = (program.amqp.clone(), program.queue.name.clone());
    let consumer = program.queue.consumer().await;
    consumer.set_delegate(move |delivery: lapin::message::DeliveryResult| {
        let (amqp, name) = (amqp.clone(), name.clone());
        async move {
            let Ok(Some(delivery)) = delivery else { return };
            let delivery = amqp.process(&name, delivery);
            let number = delivery.delivery_tag;
            delivery.run(async { assert_ne!(number % 3, 0, "a lamp fell") }).await;
            delivery.ack(ack()).await.unwrap();
        }
    });
    for _ in 0..MESSAGES {
        program.publish().await;
    }
    let all = async {
        while program.recorder.spans().len() < 2 * MESSAGES {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    within("the end of all spans", all).await;
    assert_eq!(program.recorder.open_spans(), 0);
    let panics = KeyValue::new("error.type", "panic");
    let failed =
        program.recorder.spans().into_iter().filter(|span| span.attributes.contains(&panics)).count();
    assert_eq!(failed, 3);
}

#[test]
fn a_mock_is_processed_without_a_broker() {
    let amqp = carrier_amqp::Instrumentation::builder().build();
    let delivery = Delivery::mock(1, "".into(), "orders".into(), false, b"17".to_vec());
    let delivery = amqp.process("orders", delivery);
    let acked = futures::executor::block_on(delivery.run(async { delivery.ack(ack()).await }));
    assert!(acked.unwrap());
    assert_eq!(delivery.into_parts().1.data, b"17");
}
