//! How a handler ends, and what its span says of it.

use std::time::Duration;

use carrier_kafka::instrumentation::Failure;
use futures::FutureExt as _;
use opentelemetry::Context;
use opentelemetry::trace::{SpanContext, TraceContextExt as _};
use rdkafka::consumer::{CommitMode, Consumer as _};
use rdkafka::error::KafkaError;

use super::support::{GROUP, Service, processing, receive, sent, service};

/// The expected span of a handler that failed, and what is so after each of them.
async fn assert_failed(
    service: &Service,
    topic: &str,
    sender: &SpanContext,
    error_type: &str,
    description: &str,
) {
    let spans = service.recorder.spans();
    assert_eq!((spans.len(), service.recorder.open_spans()), (1, 0), "{spans:#?}");
    let seen = service.recorder.whole(&format!("process {topic}"));
    let expected = processing(topic).await.continues(sender);
    assert_eq!(seen, expected.failed(error_type, description));
    assert!(!Context::current().has_active_span(), "a context leaked");
}

#[derive(Debug, PartialEq)]
struct NoStock;

impl std::error::Error for NoStock {}

impl std::fmt::Display for NoStock {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("nothing is left")
    }
}

#[tokio::test]
async fn an_error_that_is_returned_is_the_handler_s_own_and_on_the_span() {
    let service = service().await;
    let (topic, sender, consumer) = sent(&service).await;
    let message = service.kafka.process(receive(&consumer).await);
    let result = message.run(async { Err::<(), _>(NoStock) }).await;
    assert_eq!(result, Err(NoStock));
    let error_type = std::any::type_name::<NoStock>();
    assert_failed(&service, &topic, &sender, error_type, "nothing is left").await;
}

#[tokio::test]
async fn a_panic_goes_on_and_is_on_the_span() {
    let service = service().await;
    let (topic, sender, consumer) = sent(&service).await;
    let message = service.kafka.process(receive(&consumer).await);
    let handler = async {
        tokio::task::yield_now().await;
        if true {
            std::panic::resume_unwind(Box::new("broken"));
        }
    };
    let caught = std::panic::AssertUnwindSafe(message.run(handler)).catch_unwind().await;
    assert_eq!(caught.unwrap_err().downcast_ref::<&str>(), Some(&"broken"));
    drop(message);
    assert_failed(&service, &topic, &sender, "panic", "the handler panicked").await;
}

#[tokio::test]
async fn a_handler_that_is_cancelled_half_way_says_so() {
    let service = service().await;
    let (topic, sender, consumer) = sent(&service).await;
    let message = service.kafka.process(receive(&consumer).await);
    let handler = message.run(std::future::pending::<()>());
    assert!(tokio::time::timeout(Duration::from_millis(20), handler).await.is_err());
    assert_failed(&service, &topic, &sender, "cancelled", "the handler was dropped before it was over").await;
}

#[tokio::test]
async fn a_task_that_is_aborted_with_the_message_says_so() {
    let service = service().await;
    let (topic, sender, consumer) = sent(&service).await;
    let message = receive(&consumer).await.detach();
    let kafka = service.kafka.clone();
    let (began, has_begun) = tokio::sync::oneshot::channel();
    let task = tokio::spawn(async move {
        let message = kafka.process(message);
        let work = async {
            began.send(()).unwrap();
            std::future::pending::<()>().await;
        };
        message.run(work).await;
    });
    has_begun.await.unwrap();
    task.abort();
    assert!(task.await.unwrap_err().is_cancelled());
    assert_failed(&service, &topic, &sender, "cancelled", "the handler was dropped before it was over").await;
}

#[tokio::test]
async fn a_handler_that_is_no_future_says_itself_that_it_failed() {
    let service = service().await;
    let (topic, sender, consumer) = sent(&service).await;
    let message = service.kafka.process(receive(&consumer).await);
    let current = message.context().clone().attach();
    message.fail(Failure::new("no_stock", "nothing is left"));
    drop((current, message));
    assert_failed(&service, &topic, &sender, "no_stock", "nothing is left").await;
}

#[tokio::test]
async fn a_message_that_nobody_runs_has_a_span_that_did_not_fail() {
    let service = service().await;
    let (topic, sender, consumer) = sent(&service).await;
    drop(service.kafka.process(receive(&consumer).await));
    let expected = processing(&topic).await.continues(&sender);
    assert_eq!(service.recorder.whole(&format!("process {topic}")), expected);
}

#[tokio::test]
async fn a_message_whose_handler_failed_is_where_it_would_be_without_us() {
    let service = service().await;
    let (topic, sender, first) = sent(&service).await;
    let group = carrier_tests::unique_name(GROUP);
    drop(first);
    let member = || async { super::support::broker().await.consumer_in_group(&group, &[&topic]).await };
    // The first member fails and leaves without a commit, the second gets the message again and commits it.
    for is_handled in [false, true] {
        let consumer = member().await;
        let message = service.kafka.process(receive(&consumer).await);
        let handler = async {
            if is_handled {
                consumer.commit_message(&message, CommitMode::Sync)
            } else {
                Err(KafkaError::Canceled)
            }
        };
        assert_eq!(message.run(handler).await.is_ok(), is_handled);
    }
    let last = member().await;
    let more = tokio::time::timeout(Duration::from_millis(300), last.recv()).await;
    assert!(more.is_err(), "the message came again: {more:?}");
    let spans = service.recorder.spans();
    let parents: Vec<_> = spans.iter().map(|span| span.parent_span_id).collect();
    assert_eq!(parents, [sender.span_id(); 2]);
}
