//! A service: a name, and spans and metrics of its own.

use anyhow::Context as _;
use carrier_core::instrumentation::attribute::{
    CONTEXT_STATUS, MESSAGING_DESTINATION_TEMPLATE, RECEIVED_CONTEXTS,
};
use lapin::uri::AMQPUri;
use opentelemetry::Context;
use opentelemetry::trace::{SpanKind, TraceContextExt as _, Tracer as _, TracerProvider as _};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::metrics::data::{AggregatedMetrics, MetricData, ResourceMetrics};
use opentelemetry_sdk::metrics::{InMemoryMetricExporter, SdkMeterProvider};
use opentelemetry_sdk::trace::{InMemorySpanExporter, Sampler, SdkTracerProvider, SpanData};
use rdkafka::ClientConfig;

use crate::baggage::Tenant;
use crate::brokers::{QUEUE, TOPIC};

#[derive(Clone)]
pub(crate) struct Service {
    pub(crate) name: &'static str,
    tracers: SdkTracerProvider,
    finished: InMemorySpanExporter,
    meters: SdkMeterProvider,
    measured: InMemoryMetricExporter,
}

/// A span that has ended, and whose it is.
#[derive(Clone)]
pub(crate) struct Step {
    pub(crate) service: &'static str,
    pub(crate) span: SpanData,
}

/// How many messages a service received from a queue, by what was found of their context.
#[derive(Clone)]
pub(crate) struct Received {
    pub(crate) service: &'static str,
    pub(crate) queue: String,
    pub(crate) status: String,
    pub(crate) count: u64,
}

impl Service {
    pub(crate) fn new(name: &'static str) -> Self {
        let resource = resource(name);
        let (finished, measured) = (InMemorySpanExporter::default(), InMemoryMetricExporter::default());
        let tracers = SdkTracerProvider::builder()
            .with_resource(resource.clone())
            // Whatever OTEL_TRACES_SAMPLER says: a picture without spans would show nothing.
            .with_sampler(Sampler::AlwaysOn)
            .with_span_processor(Tenant)
            .with_simple_exporter(finished.clone())
            .build();
        let meters = SdkMeterProvider::builder()
            .with_resource(resource)
            .with_periodic_exporter(measured.clone())
            .build();
        Self { name, tracers, finished, meters, measured }
    }

    /// Begins a span below `parent` and returns the context in which it is the current one: for HTTP, which has
    /// instrumentations of its own.
    pub(crate) fn begin(&self, name: &'static str, kind: SpanKind, parent: &Context) -> Context {
        let tracer = self.tracers.tracer("handoff");
        let span = tracer.span_builder(name).with_kind(kind).start_with_context(&tracer, parent);
        parent.with_span(span)
    }

    /// Spans and metrics for Kafka. A service that is a program of its own has registered its providers, and leaves out
    /// the first two lines.
    pub(crate) fn kafka(
        &self,
        config: &ClientConfig,
    ) -> carrier_kafka::instrumentation::KafkaInstrumentationBuilder {
        carrier_kafka::Instrumentation::builder()
            .tracer_provider(self.tracers.clone())
            .meter_provider(self.meters.clone())
            .config(config)
            // The topic has another name in each run: this one is for the names of spans, and for metrics.
            .destination_template(|topic| topic.starts_with(TOPIC).then(|| "orders".into()))
    }

    /// The same for RabbitMQ.
    pub(crate) fn amqp(&self, uri: &AMQPUri) -> carrier_amqp::instrumentation::AmqpInstrumentationBuilder {
        carrier_amqp::Instrumentation::builder()
            .tracer_provider(self.tracers.clone())
            .meter_provider(self.meters.clone())
            .uri(uri)
            // It is sent to the default exchange, so the routing key is the queue.
            .destination_template(|route| route.routing_key.starts_with(QUEUE).then(|| "parcels".into()))
    }

    /// Returns the spans that have ended.
    pub(crate) fn steps(&self) -> anyhow::Result<Vec<Step>> {
        let spans = self.finished.get_finished_spans().context("the spans are lost")?;
        let service = self.name;
        Ok(spans.into_iter().map(|span| Step { service, span }).collect())
    }

    /// Returns what was measured; `None` where nothing was. It blocks.
    pub(crate) fn metrics(&self) -> anyhow::Result<Option<ResourceMetrics>> {
        self.meters.force_flush()?;
        // Sums from the beginning on, so the last has all.
        Ok(self.measured.get_finished_metrics()?.pop())
    }

    /// Returns what the counter of received messages says of their contexts. It blocks.
    pub(crate) fn received(&self) -> anyhow::Result<Vec<Received>> {
        let metrics = self.metrics()?;
        let scopes = metrics.iter().flat_map(ResourceMetrics::scope_metrics);
        let counters = scopes.flat_map(|scope| scope.metrics()).filter(|it| it.name() == RECEIVED_CONTEXTS);
        let mut received = Vec::new();
        for counter in counters {
            let AggregatedMetrics::U64(MetricData::Sum(sum)) = counter.data() else { continue };
            received.extend(sum.data_points().map(|point| {
                let text = |name: &str| {
                    let found = point.attributes().find(|pair| pair.key.as_str() == name);
                    found.map(|pair| pair.value.to_string()).unwrap_or_default()
                };
                let (queue, status) = (text(MESSAGING_DESTINATION_TEMPLATE), text(CONTEXT_STATUS));
                Received { service: self.name, queue, status, count: point.value() }
            }));
        }
        Ok(received)
    }

    pub(crate) fn resource(&self) -> Resource {
        resource(self.name)
    }
}

fn resource(name: &'static str) -> Resource {
    Resource::builder().with_service_name(name).build()
}
