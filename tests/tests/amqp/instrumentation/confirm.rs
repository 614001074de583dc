//! The confirmation of a published message, and what happens without one.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::Poll;
use std::time::Duration;

use carrier_tests::telemetry::{Recorder, assert_same_duration};
use carrier_tests::{rabbitmq, unique_name};
use futures::FutureExt as _;
use lapin::options::QueueDeclareOptions;
use lapin::types::AMQPValue;
use lapin::{BasicProperties, Confirmation};
use opentelemetry::trace::Status;
use opentelemetry::{Context, KeyValue};
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::trace::{SdkTracerProvider, Span, SpanData, SpanProcessor};

use super::support::{Program, confirmed, is_through_tracing, mandatory};
use crate::support::{table, text, within};

#[tokio::test]
async fn without_confirm_mode_the_span_ends_when_the_publish_returns() {
    let program = Program::new().await;
    let channel = program.amqp.channel(rabbitmq().await.channel().await);
    let publish = channel.basic_publish(
        "".into(),
        program.queue.name.as_str().into(),
        mandatory(),
        b"17",
        BasicProperties::default(),
    );
    let confirm = publish.await.unwrap();
    assert_eq!(program.end_of("send"), [""; 0]);
    assert_eq!(confirm.await.unwrap(), Confirmation::NotRequested);
    assert_eq!(program.recorder.spans().len(), 1);
}

/// Waits until another thread has ended the span of a dropped confirmation.
async fn ended(program: &Program) {
    let ended = async {
        while program.recorder.open_spans() > 0 {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    within("the end of the span", ended).await;
}

/// A queue that takes one message and refuses all others.
async fn full(program: &Program) -> String {
    let full = unique_name("full");
    let limits = table([("x-max-length", AMQPValue::LongInt(1)), ("x-overflow", text("reject-publish"))]);
    let exclusive = QueueDeclareOptions { exclusive: true, ..QueueDeclareOptions::default() };
    program.queue.channel.queue_declare(full.as_str().into(), exclusive, limits).await.unwrap();
    confirmed(program.channel(), "", &full, BasicProperties::default()).await;
    program.recorder.reset();
    full
}

#[tokio::test]
async fn a_confirmation_that_is_dropped_ends_the_span_with_the_brokers_answer() {
    let program = Program::new().await;
    drop(program.sent("", &program.queue.name).await.unwrap());
    ended(&program).await;
    assert_eq!(program.end_of("send"), [""; 0]);

    let full = full(&program).await;
    drop(program.sent("", &full).await.unwrap());
    ended(&program).await;
    let refused = program.recorder.span(&format!("send {full}"));
    assert!(refused.attributes.contains(&KeyValue::new("error.type", "nack")), "{refused:?}");
    let metrics = program.metrics();
    let sent = metrics.split("messaging.client.sent.messages").nth(1).unwrap();
    assert!(sent.contains("  1 [error.type = nack"), "{sent}");
}

#[tokio::test]
async fn a_message_that_is_returned_to_a_dropped_confirmation_is_in_wait_for_confirms() {
    let program = Program::new().await;
    let unroutable = unique_name("nowhere");
    for round in 0..20 {
        let confirm = program.sent("", &unroutable).await.unwrap();
        if round % 2 == 0 {
            // The answer may have arrived before the drop.
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        drop(confirm);
        let returned = within("all confirmations", program.channel().wait_for_confirms()).await.unwrap();
        assert_eq!(returned.len(), 1, "round {round}");
        assert_eq!(returned[0].reply_code, 312);
        assert_eq!(program.recorder.open_spans(), 0, "round {round}");
    }
    let spans = program.recorder.spans();
    let no_route = KeyValue::new("error.type", "no-route");
    assert_eq!(spans.iter().filter(|span| span.attributes.contains(&no_route)).count(), 20);
}

#[tokio::test]
async fn an_answer_that_arrived_before_its_channel_was_dropped_is_the_outcome() {
    let program = Program::new().await;
    let full = full(&program).await;
    for _ in 0..20 {
        let channel = program.amqp.channel(program.queue.channel.clone());
        let to = full.as_str().into();
        let publish = channel.basic_publish("".into(), to, mandatory(), b"17", BasicProperties::default());
        let confirm = publish.await.unwrap();
        within("the answer", program.queue.channel.wait_for_confirms()).await.unwrap();
        drop(confirm);
        drop(channel);
    }
    ended(&program).await;
    let (spans, nack) = (program.recorder.spans(), KeyValue::new("error.type", "nack"));
    assert_eq!(spans.iter().filter(|span| span.attributes.contains(&nack)).count(), 20);
}

#[tokio::test]
async fn a_confirmation_without_an_answer_has_an_unknown_outcome_if_its_channel_is_gone() {
    let program = Program::new().await;
    let channel = program.amqp.channel(program.queue.channel.clone());
    let name = program.queue.name.as_str();
    let confirms = (0..100).map(|_| {
        channel.basic_publish("".into(), name.into(), mandatory(), b"17", BasicProperties::default())
    });
    let confirms = futures::future::try_join_all(confirms).await.unwrap();
    drop(channel);
    drop(confirms);
    ended(&program).await;
    assert_eq!(program.recorder.spans().len(), 100);
    assert!(program.recorder.spans().iter().all(|span| span.status == Status::Unset));
}

#[tokio::test]
async fn the_span_ends_when_the_confirmation_arrives_and_not_when_it_is_awaited() {
    let program = Program::new().await;
    let confirm = program.sent("", &program.queue.name).await.unwrap();
    tokio::time::sleep(Duration::from_secs(2)).await;
    assert_eq!(within("the confirmation", confirm).await.unwrap(), Confirmation::Ack(None));
    let sent = program.span("send");
    let took = sent.end_time.duration_since(sent.start_time).unwrap();
    assert!(took < Duration::from_secs(1), "{took:?}");
    let measured = program.meters.point("messaging.client.operation.duration").sum;
    assert_same_duration(measured, took.as_secs_f64(), is_through_tracing());
}

#[tokio::test]
async fn a_confirmation_can_be_awaited_in_another_task_and_after_it_was_polled() {
    let program = Program::new().await;
    for _ in 0..50 {
        let mut confirm = program.sent("", &program.queue.name).await.unwrap();
        let first = futures::poll!(&mut confirm);
        let answer = match first {
            Poll::Ready(answer) => answer,
            Poll::Pending => within("the confirmation", tokio::spawn(confirm)).await.unwrap(),
        };
        assert_eq!(answer.unwrap(), Confirmation::Ack(None));
    }
    assert_eq!((program.recorder.open_spans(), program.recorder.spans().len()), (0, 50));
}

/// Panics at the end of each second span.
#[derive(Debug)]
struct Panics(Arc<AtomicUsize>);

impl SpanProcessor for Panics {
    fn on_start(&self, _: &mut Span, _: &Context) {}

    fn on_end(&self, _: SpanData) {
        assert_eq!(self.0.fetch_add(1, Ordering::SeqCst) % 2, 0, "the exporter fell");
    }

    fn force_flush(&self) -> OTelSdkResult {
        Ok(())
    }

    fn shutdown_with_timeout(&self, _: Duration) -> OTelSdkResult {
        Ok(())
    }
}

#[tokio::test]
async fn a_span_processor_that_panics_loses_no_span_of_another_dropped_confirmation() {
    let ends = Arc::new(AtomicUsize::new(0));
    let provider = SdkTracerProvider::builder().with_span_processor(Panics(Arc::clone(&ends))).build();
    let program = Program::recorded_by(Recorder::of(provider), |builder| builder).await;
    for number in 1..=10 {
        // A confirmation that arrives at once ends the span here.
        let sent = AssertUnwindSafe(program.sent("", &program.queue.name)).catch_unwind().await;
        drop(sent);
        let ended = async {
            while ends.load(Ordering::SeqCst) < number {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        };
        within("the end of the span", ended).await;
    }
}

#[tokio::test]
async fn a_span_processor_that_panics_loses_no_returned_message() {
    let provider = SdkTracerProvider::builder().with_span_processor(Panics(Arc::default())).build();
    let program = Program::recorded_by(Recorder::of(provider), |builder| builder).await;
    let unroutable = unique_name("nowhere");
    let mut confirms = Vec::new();
    while confirms.len() < 100 {
        // A confirmation that arrives at once ends the span here, and its message belongs to whoever sees the panic.
        confirms
            .extend(AssertUnwindSafe(program.sent("", &unroutable)).catch_unwind().await.map(Result::unwrap));
    }
    drop(confirms);
    let returned = within("all confirmations", program.channel().wait_for_confirms()).await.unwrap();
    assert!(returned.len() >= 100, "{}", returned.len());
}

#[tokio::test]
async fn a_transaction_ends_the_spans_of_its_messages() {
    let program = Program::new().await;
    let channel = program.amqp.channel(rabbitmq().await.channel().await);
    channel.tx_select().await.unwrap();
    let publish = || async {
        let to = program.queue.name.as_str().into();
        let publish = channel.basic_publish("".into(), to, mandatory(), b"17", BasicProperties::default());
        assert_eq!(publish.await.unwrap().await.unwrap(), Confirmation::NotRequested);
    };
    publish().await;
    publish().await;
    assert_eq!(program.recorder.spans().len(), 0, "the transaction is open");
    channel.tx_commit().await.unwrap();
    let spans = program.recorder.spans();
    assert!(spans.len() == 2 && spans.iter().all(|span| span.status == Status::Unset), "{spans:?}");

    program.recorder.reset();
    publish().await;
    channel.tx_rollback().await.unwrap();
    assert_eq!(
        program.end_of("send"),
        ["error.type = rolled_back", "status error: the transaction was rolled back"]
    );
    let metrics = program.metrics();
    let sent = metrics.split("messaging.client.sent.messages").nth(1).unwrap();
    assert!(sent.contains("  1 [error.type = rolled_back") && sent.contains("  2 [messaging"), "{sent}");

    // What was published before a transaction begins again may be lost: lapin recovers a channel without its transaction.
    program.recorder.reset();
    publish().await;
    channel.tx_select().await.unwrap();
    assert_eq!(program.end_of("send"), [""; 0]);
    channel.tx_commit().await.unwrap();
    let metrics = program.metrics();
    let sent = metrics.split("messaging.client.sent.messages").nth(1).unwrap();
    assert!(sent.contains("  2 [messaging") && !sent.contains("  3 [messaging"), "{sent}");

    // What is neither committed nor rolled back has no known outcome.
    program.recorder.reset();
    publish().await;
    channel.close(200, "done".into()).await.unwrap();
    assert_eq!(program.end_of("send"), [""; 0]);
}
