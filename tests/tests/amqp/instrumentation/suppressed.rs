//! Without telemetry: suppressed, without an SDK, unsampled. The context goes on.

use carrier_amqp::{Instrumentation, extract};
use carrier_tests::telemetry::{Recorder, sampled_context};
use lapin::BasicProperties;
use opentelemetry::Context;
use opentelemetry::context::FutureExt as _;
use opentelemetry::trace::noop::NoopTracerProvider;
use opentelemetry::trace::{SpanContext, SpanId, TraceContextExt as _, TraceFlags, TraceId};
use opentelemetry_sdk::trace::Sampler;

use super::support::{Program, ack, confirmed};
use crate::support::Queue;

fn trace_id(cx: &Context) -> TraceId {
    cx.span().span_context().trace_id()
}

#[tokio::test]
async fn where_telemetry_is_suppressed_nothing_is_started_and_the_context_goes_on() {
    let program = Program::new().await;
    let suppressed = sampled_context().with_telemetry_suppressed();
    let work = async {
        program.publish().await;
        let delivery = program.amqp.process(&program.queue.name, program.received().await);
        assert_eq!(trace_id(delivery.context()), trace_id(&sampled_context()));
        let inside = async { Context::current().is_telemetry_suppressed() };
        let is_suppressed = delivery.run(inside.map_to_result()).await.unwrap();
        assert!(is_suppressed);
        delivery.ack(ack()).await.unwrap();
    };
    work.with_context(suppressed).await;
    assert_eq!(program.recorder.spans().len(), 0);
}

trait MapToResult: Future + Sized {
    async fn map_to_result(self) -> Result<Self::Output, std::convert::Infallible> {
        Ok(self.await)
    }
}

impl<F: Future> MapToResult for F {}

#[tokio::test]
async fn without_an_sdk_the_senders_context_goes_through() {
    let queue = Queue::new().await;
    let amqp = Instrumentation::builder().tracer_provider(NoopTracerProvider::new()).build();
    let channel = amqp.channel(queue.channel.clone());
    let publish = confirmed(&channel, "", &queue.name, BasicProperties::default());
    publish.with_context(sampled_context()).await;
    let delivery = amqp.process(&queue.name, queue.receive().await);
    let span = |cx: &Context| cx.span().span_context().clone();
    assert_eq!(span(delivery.context()), span(&sampled_context()));
    delivery.run(async { delivery.ack(ack()).await }).await.unwrap();
}

fn unsampled() -> Context {
    let span = SpanContext::new(
        TraceId::from(7_u128),
        SpanId::from(9_u64),
        TraceFlags::default(),
        true,
        Default::default(),
    );
    Context::new().with_remote_span_context(span)
}

#[tokio::test]
async fn under_an_unsampled_parent_no_span_is_started_where_that_is_chosen() {
    for skips in [true, false] {
        let recorder = Recorder::sampling(Sampler::ParentBased(Box::new(Sampler::AlwaysOn)));
        let program = Program::recorded_by(recorder, |builder| builder.skip_unsampled(skips)).await;
        program.publish().with_context(unsampled()).await;
        let delivery = program.received().await;
        let carried = extract(&delivery).span().span_context().clone();
        assert_eq!(carried.trace_id(), TraceId::from(7_u128));
        assert_eq!(carried.span_id() == SpanId::from(9_u64), skips, "the parent's own");
        assert!(!carried.is_sampled());
        let delivery = program.amqp.process(&program.queue.name, delivery);
        delivery.run(async { delivery.ack(ack()).await }).await.unwrap();
        assert_eq!(program.recorder.spans().len(), 0);
    }
}
