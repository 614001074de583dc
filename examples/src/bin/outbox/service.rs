//! A service: a name, and a tracer of its own.

use opentelemetry::Context;
use opentelemetry::trace::{SpanKind, TraceContextExt as _, Tracer as _, TracerProvider as _};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::trace::{Sampler, SdkTracerProvider};

pub(crate) struct Service(SdkTracerProvider);

impl Service {
    pub(crate) fn new(name: &'static str) -> anyhow::Result<Self> {
        let resource = Resource::builder().with_service_name(name).build();
        // Whatever OTEL_TRACES_SAMPLER says: there is something to be shown.
        let mut provider =
            SdkTracerProvider::builder().with_resource(resource).with_sampler(Sampler::AlwaysOn);
        // Without a collector the spans end nowhere, and their ids travel all the same.
        if carrier_examples::otlp_endpoint().is_some() {
            provider = provider.with_batch_exporter(carrier_examples::otlp_exporter()?);
        }
        Ok(Self(provider.build()))
    }

    /// Begins a span below `parent` and returns the context in which it is the current one.
    pub(crate) fn begin(&self, name: &'static str, kind: SpanKind, parent: &Context) -> Context {
        let tracer = self.0.tracer("outbox");
        parent.with_span(tracer.span_builder(name).with_kind(kind).start_with_context(&tracer, parent))
    }

    /// Sends what is left to the collector.
    pub(crate) fn end(self) -> anyhow::Result<()> {
        Ok(self.0.shutdown()?)
    }
}
