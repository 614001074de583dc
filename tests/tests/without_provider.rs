//! A `tracing` layer with a provider of its own, and no global one: the handler stays in the sender's trace.
//!
//! A binary of its own, since another test may register a global provider.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use carrier_amqp::testing::delivery;
use carrier_tests::telemetry::{Recorder, sampled_context};
use opentelemetry::trace::TraceContextExt as _;
use opentelemetry_sdk::trace::SpanData;
use tracing::{Instrument as _, info_span, instrument};

#[instrument(skip_all)]
async fn handle() {
    tokio::task::yield_now().await;
}

fn assert_is_child_of_the_sender(span: &SpanData) {
    let sender = sampled_context();
    let sender = sender.span().span_context().clone();
    assert_eq!((span.span_context.trace_id(), span.parent_span_id), (sender.trace_id(), sender.span_id()));
}

#[tokio::test]
async fn an_instrumented_handler_is_a_child_of_the_sender() {
    let recorder = Recorder::new();
    let _default = tracing::subscriber::set_default(recorder.subscriber());
    let amqp = carrier_amqp::Instrumentation::builder().build();
    let processing = amqp.process("orders", delivery(&sampled_context(), b""));
    processing.run(handle()).await;
    assert_is_child_of_the_sender(&recorder.span("handle"));
}

#[tokio::test]
async fn an_instrumented_handler_in_an_instrumented_loop_is_a_child_of_the_sender() {
    let recorder = Recorder::new();
    let _default = tracing::subscriber::set_default(recorder.subscriber());
    let amqp = carrier_amqp::Instrumentation::builder().build();
    async {
        let processing = amqp.process("orders", delivery(&sampled_context(), b""));
        processing.run(handle()).await;
    }
    .instrument(info_span!("loop"))
    .await;
    assert_is_child_of_the_sender(&recorder.span("handle"));
}
