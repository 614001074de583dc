//! A service: a name, and a tracer of its own.

use anyhow::Context as _;
use opentelemetry::baggage::BaggageExt as _;
use opentelemetry::trace::{SpanKind, TraceContextExt as _, Tracer as _, TracerProvider as _};
use opentelemetry::{Context, KeyValue};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::trace::{
    InMemorySpanExporter, Sampler, SdkTracerProvider, SpanData, SpanExporter as _,
};

#[derive(Clone)]
pub(crate) struct Service {
    pub(crate) name: &'static str,
    provider: SdkTracerProvider,
    finished: InMemorySpanExporter,
}

/// A span that has ended, and whose it is.
#[derive(Clone)]
pub(crate) struct Step {
    pub(crate) service: &'static str,
    pub(crate) span: SpanData,
}

impl Service {
    pub(crate) fn new(name: &'static str) -> Self {
        let finished = InMemorySpanExporter::default();
        let provider = SdkTracerProvider::builder()
            .with_resource(resource(name))
            // Whatever OTEL_TRACES_SAMPLER says: a picture without spans would show nothing.
            .with_sampler(Sampler::AlwaysOn)
            .with_simple_exporter(finished.clone())
            .build();
        Self { name, provider, finished }
    }

    /// Begins a span below `parent` and returns the context in which it is the current one.
    pub(crate) fn begin(&self, name: &'static str, kind: SpanKind, parent: &Context) -> Context {
        let tracer = self.provider.tracer("handoff");
        let mut span = tracer.span_builder(name).with_kind(kind);
        // Baggage travels beside the span and is no part of it, so what should be seen there is copied.
        if let Some(tenant) = parent.baggage().get("tenant") {
            span = span.with_attributes([KeyValue::new("tenant", tenant.clone())]);
        }
        parent.with_span(span.start_with_context(&tracer, parent))
    }

    /// Returns the spans that have ended.
    pub(crate) fn steps(&self) -> anyhow::Result<Vec<Step>> {
        let spans = self.finished.get_finished_spans().context("the spans are lost")?;
        let service = self.name;
        Ok(spans.into_iter().map(|span| Step { service, span }).collect())
    }

    /// Sends the spans that have ended to a collector, and waits for its answer.
    pub(crate) fn export(&self) -> anyhow::Result<usize> {
        let spans = self.finished.get_finished_spans()?;
        if spans.is_empty() {
            return Ok(0);
        }
        let mut exporter = carrier_examples::otlp_exporter()?;
        exporter.set_resource(&resource(self.name));
        let count = spans.len();
        futures::executor::block_on(exporter.export(spans))?;
        Ok(count)
    }
}

fn resource(name: &'static str) -> Resource {
    Resource::builder().with_service_name(name).build()
}
