//! Where a context is easily lost with `tracing` and `tokio`, and what keeps it. No broker: this is all after `extract`.

use carrier_amqp::testing::{assert_carries, assert_carries_nothing, delivery};
use carrier_amqp::{extract, inject};
use carrier_tests::telemetry::{Recorder, sampled_context};
use lapin::BasicProperties;
use opentelemetry::Context;
use opentelemetry::context::FutureExt as _;
use opentelemetry::trace::{SpanId, TraceContextExt as _};
use opentelemetry_sdk::trace::SpanData;
use tracing::{Instrument as _, Span, Subscriber, info_span, instrument};
use tracing_opentelemetry::{OpenTelemetrySpanExt as _, SetParentError};
use tracing_subscriber::filter::LevelFilter;
use tracing_subscriber::layer::SubscriberExt as _;

use crate::support::register_propagator;

/// The context of a received message.
fn received() -> Context {
    register_propagator();
    extract(&delivery(&sampled_context(), b""))
}

/// A subscriber whose spans are not OpenTelemetry's current span when they are entered.
fn without_activation(recorder: &Recorder) -> impl Subscriber + Send + Sync + use<> {
    let layer = tracing_opentelemetry::layer().with_tracer(recorder.tracer());
    tracing_subscriber::registry().with(layer.with_context_activation(false))
}

/// A subscriber that takes nothing below a warning, as with `RUST_LOG=warn`.
fn warnings_only(recorder: &Recorder) -> impl Subscriber + Send + Sync + 'static {
    recorder.subscriber().with(LevelFilter::WARN)
}

fn assert_continues_the_senders_trace(span: &SpanData) {
    let sent = sampled_context();
    assert_eq!(span.span_context.trace_id(), sent.span().span_context().trace_id());
    assert_eq!(span.parent_span_id, sent.span().span_context().span_id());
}

#[instrument(skip_all)]
async fn handle() {
    tokio::task::yield_now().await;
}

#[instrument(skip_all)]
async fn publish(cx: impl Fn() -> Context) -> BasicProperties {
    let mut properties = BasicProperties::default();
    inject(&cx(), &mut properties);
    properties
}

#[tokio::test]
async fn a_span_made_before_with_context_starts_a_trace_of_its_own() {
    let recorder = Recorder::new();
    let _default = tracing::subscriber::set_default(recorder.subscriber());
    let eager = async {}.instrument(info_span!("eager"));
    eager.with_context(received()).await;
    assert_eq!(recorder.span("eager").parent_span_id, SpanId::INVALID);
}

#[tokio::test]
async fn a_span_made_before_with_context_continues_the_trace_with_set_parent() {
    let recorder = Recorder::new();
    let _default = tracing::subscriber::set_default(recorder.subscriber());
    let span = info_span!("eager");
    span.set_parent(received()).unwrap();
    async {}.instrument(span).await;
    assert_continues_the_senders_trace(&recorder.span("eager"));
}

#[tokio::test]
async fn the_parent_of_a_span_that_is_entered_cannot_be_set() {
    let recorder = Recorder::new();
    let _default = tracing::subscriber::set_default(recorder.subscriber());
    let entered = async { Span::current().set_parent(received()) };
    let result = entered.instrument(info_span!("entered")).await;
    assert!(matches!(result, Err(SetParentError::AlreadyStarted)), "{result:?}");
    assert_eq!(recorder.span("entered").parent_span_id, SpanId::INVALID);
}

#[tokio::test]
async fn below_the_level_filter_an_instrumented_function_makes_no_span() {
    let recorder = Recorder::new();
    let _default = tracing::subscriber::set_default(warnings_only(&recorder));
    publish(Context::current).with_context(received()).await;
    assert_eq!(recorder.spans(), []);
}

#[tokio::test]
async fn below_the_level_filter_the_parents_context_is_sent() {
    let recorder = Recorder::new();
    let _default = tracing::subscriber::set_default(warnings_only(&recorder));
    let properties = publish(Context::current).with_context(received()).await;
    assert_carries(&properties, &sampled_context());
}

#[tokio::test]
async fn below_the_level_filter_no_context_is_sent_where_there_is_no_parent() {
    register_propagator();
    let recorder = Recorder::new();
    let _default = tracing::subscriber::set_default(warnings_only(&recorder));
    assert_carries_nothing(&publish(Context::current).await);
}

#[tokio::test]
async fn a_bare_spawn_loses_the_context() {
    let work = async {
        let spawned = tokio::spawn(async { Context::current().has_active_span() });
        spawned.await.unwrap()
    };
    assert!(!work.with_context(received()).await);
}

#[tokio::test]
async fn a_spawn_with_context_keeps_the_context() {
    let recorder = Recorder::new();
    let _default = tracing::subscriber::set_default(recorder.subscriber());
    let spawned = tokio::spawn(handle().with_context(received()));
    spawned.await.unwrap();
    assert_continues_the_senders_trace(&recorder.span("handle"));
}

#[tokio::test]
async fn without_activation_with_context_is_enough_outside_of_any_tracing_span() {
    let recorder = Recorder::new();
    let _default = tracing::subscriber::set_default(without_activation(&recorder));
    handle().with_context(received()).await;
    assert_continues_the_senders_trace(&recorder.span("handle"));
}

#[tokio::test]
async fn without_activation_an_instrumented_loop_takes_the_handlers_span() {
    let recorder = Recorder::new();
    let _default = tracing::subscriber::set_default(without_activation(&recorder));
    let consumer_loop = handle().with_context(received());
    consumer_loop.instrument(info_span!("loop")).await;
    let (handle, around) = (recorder.span("handle"), recorder.span("loop"));
    assert_eq!(handle.parent_span_id, around.span_context.span_id());
}

#[tokio::test]
async fn without_activation_set_parent_continues_the_trace_in_an_instrumented_loop() {
    let recorder = Recorder::new();
    let _default = tracing::subscriber::set_default(without_activation(&recorder));
    let consumer_loop = async {
        let span = info_span!("handle");
        span.set_parent(received()).unwrap();
        async {}.instrument(span).await;
    };
    consumer_loop.instrument(info_span!("loop")).await;
    assert_continues_the_senders_trace(&recorder.span("handle"));
}

#[tokio::test]
async fn without_activation_the_current_context_is_not_the_tracing_span() {
    register_propagator();
    let recorder = Recorder::new();
    let _default = tracing::subscriber::set_default(without_activation(&recorder));
    assert_carries_nothing(&publish(Context::current).await);
}

#[tokio::test]
async fn without_activation_the_spans_own_context_is_sent() {
    register_propagator();
    let recorder = Recorder::new();
    let _default = tracing::subscriber::set_default(without_activation(&recorder));
    let properties = publish(|| Span::current().context()).await;
    let sent = extract(&properties).span().span_context().span_id();
    assert_eq!(sent, recorder.span("publish").span_context.span_id());
}
