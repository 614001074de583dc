//! Where the spans of one message belong, and what a cancelled handler is.

use opentelemetry::trace::{SpanId, TraceId};

use rdkafka::producer::BaseRecord;

use super::*;

/// Starts and ends the span of a record, without a producer.
fn send(kafka: &Instrumentation, headers: OwnedHeaders) -> OwnedHeaders {
    let mut record = BaseRecord::<[u8], [u8]>::to("dead").headers(headers);
    kafka.send(&mut record, None).0.ended(Ok(()));
    record.headers.unwrap()
}

fn ids(cx: &Context) -> (TraceId, SpanId) {
    let span = cx.span();
    (span.span_context().trace_id(), span.span_context().span_id())
}

fn parent(span: &SpanData) -> (TraceId, SpanId) {
    (span.span_context.trace_id(), span.parent_span_id)
}

/// The span that sent to the dead-letter topic.
fn sent(recorded: &Recorded) -> SpanData {
    let spans = recorded.exporter.get_finished_spans().unwrap();
    spans.into_iter().find(|span| span.name == "send dead").unwrap()
}

#[tokio::test]
async fn a_dead_letter_that_is_sent_after_the_handler_stays_in_the_trace() {
    let (recorded, sender) = (recorded(|builder| builder), remote_context());
    let message = recorded.kafka.process(message(&sender, "orders", b"17"));
    if message.run(async { Err::<(), _>("no such customer") }).await.is_err() {
        send(&recorded.kafka, rdkafka::Message::headers(&*message).unwrap().clone());
    }
    let sent = sent(&recorded);
    assert_eq!((parent(&sent), sent.links.links.len()), (ids(&sender), 0));
}

#[tokio::test]
async fn one_with_fresh_headers_stays_in_the_trace_in_the_context_of_the_message() {
    let recorded = recorded(|builder| builder);
    let message = recorded.kafka.process(message(&remote_context(), "orders", b"17"));
    if message.run(async { Err::<(), _>("no such customer") }).await.is_err() {
        let _current = message.context().clone().attach();
        send(&recorded.kafka, OwnedHeaders::new());
    }
    assert_eq!(parent(&sent(&recorded)), ids(message.context()));
}

#[test]
fn the_current_span_that_inject_wrote_before_is_not_linked() {
    let (recorded, current) = (recorded(|builder| builder), remote_context());
    let _current = current.clone().attach();
    let mut headers = OwnedHeaders::new();
    crate::inject(&current, &mut headers);
    let headers = send(&recorded.kafka, headers);
    let span = recorded.one();
    assert_eq!((parent(&span), span.links.links.len()), (ids(&current), 0));
    assert_eq!(ids(&crate::extract(&headers)), (span.span_context.trace_id(), span.span_context.span_id()));
}

#[test]
fn the_sender_is_the_parent_and_linked_only_if_that_is_chosen() {
    for link_parent in [false, true] {
        let (recorded, sender) = (recorded(|builder| builder.link_parent(link_parent)), remote_context());
        let _ = recorded.kafka.process(message(&sender, "orders", b"17")).context();
        let process = recorded.one();
        assert_eq!((parent(&process), process.links.links.len()), (ids(&sender), usize::from(link_parent)));
    }
}

#[tokio::test]
async fn a_cancellation_is_no_failure_if_that_is_chosen() {
    for cancellation in [Cancellation::Error, Cancellation::Unset] {
        let recorded = recorded(|builder| builder.cancellation(cancellation));
        let message = recorded.kafka.process(message(&remote_context(), "orders", b"17"));
        let never = message.run(std::future::pending::<()>());
        tokio::select! { biased; () = never => {}, () = async {} => {} }
        let expected = Some("cancelled").filter(|_| cancellation == Cancellation::Error);
        assert_eq!(error_type(&recorded.one()).as_deref(), expected);
    }
}
