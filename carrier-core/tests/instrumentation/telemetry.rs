//! An SDK with exporters in memory, ids that count, and an eye on every span that is started.

use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex};
use std::time::SystemTime;

use carrier_core::instrumentation::{Instrumentation, InstrumentationBuilder};
use carrier_core::{Propagation, w3c};
use opentelemetry::trace::{Span, SpanContext, SpanId, Status, TraceId, Tracer, TracerProvider};
use opentelemetry::{Context, InstrumentationScope, KeyValue};
use opentelemetry_sdk::metrics::{InMemoryMetricExporter, PeriodicReader, SdkMeterProvider};
use opentelemetry_sdk::trace::{
    IdGenerator, InMemorySpanExporter, Sampler, SdkTracer, SdkTracerProvider, ShouldSample, SpanData,
};

#[cfg(feature = "tracing-spans")]
use tracing_subscriber::layer::SubscriberExt as _;

use crate::measured::Measured;
use crate::seen::Seen;

/// Whether the instrumentation's spans are created through `tracing`. The same tests are compiled twice.
pub(crate) fn is_through_tracing() -> bool {
    env!("CARGO_CRATE_NAME") == "through_tracing"
}

/// The metric and the span report the same duration. Through `tracing`, the layer reads the clock for the start as well.
pub(crate) fn assert_same_duration(measured: f64, of_span: f64) {
    match is_through_tracing() {
        true => assert!((of_span..of_span + 1.0).contains(&measured), "{measured} {of_span}"),
        false => assert_eq!(measured, of_span),
    }
}

/// The first trace of ours; spans count from 1.
pub(crate) const TRACE: u128 = 100;

#[derive(Debug, Default)]
struct Counting {
    traces: AtomicU64,
    spans: AtomicU64,
}

impl IdGenerator for Counting {
    fn new_trace_id(&self) -> TraceId {
        TraceId::from(TRACE + u128::from(self.traces.fetch_add(1, Relaxed)))
    }

    fn new_span_id(&self) -> SpanId {
        SpanId::from(1 + self.spans.fetch_add(1, Relaxed))
    }
}

pub(crate) struct Telemetry {
    pub(crate) provider: SdkTracerProvider,
    spans: InMemorySpanExporter,
    meter: SdkMeterProvider,
    metrics: InMemoryMetricExporter,
    ends: Ends,
    /// The thread's `tracing` subscriber, until this is dropped.
    #[cfg(feature = "tracing-spans")]
    _subscriber: Option<tracing::subscriber::DefaultGuard>,
}

/// How often each recorded span was ended by a call: an SDK says nothing of a second one, or of a span that it ended itself.
type Ends = Arc<Mutex<HashMap<SpanId, usize>>>;

impl Telemetry {
    /// With the SDK's default sampler, which follows the parent.
    pub(crate) fn new() -> Self {
        Self::sampled_by(Sampler::ParentBased(Box::new(Sampler::AlwaysOn)))
    }

    pub(crate) fn sampled_by(sampler: impl ShouldSample + 'static) -> Self {
        Self::with(sampler, Counting::default())
    }

    pub(crate) fn with(sampler: impl ShouldSample + 'static, ids: impl IdGenerator + 'static) -> Self {
        let (spans, metrics) = (InMemorySpanExporter::default(), InMemoryMetricExporter::default());
        let provider = SdkTracerProvider::builder().with_sampler(sampler).with_id_generator(ids);
        let (provider, ends) = (provider.with_simple_exporter(spans.clone()).build(), Ends::default());
        Self {
            #[cfg(feature = "tracing-spans")]
            _subscriber: is_through_tracing().then(|| {
                let layer = layer(watched(&provider, &ends));
                tracing::subscriber::set_default(tracing_subscriber::registry().with(layer))
            }),
            provider,
            spans,
            meter: SdkMeterProvider::builder()
                .with_reader(PeriodicReader::builder(metrics.clone()).build())
                .build(),
            metrics,
            ends,
        }
    }

    /// A system called `test`, with W3C's propagator.
    pub(crate) fn builder(&self) -> InstrumentationBuilder {
        self.builder_of("test")
    }

    pub(crate) fn builder_of(&self, system: impl Into<Cow<'static, str>>) -> InstrumentationBuilder {
        let builder = Instrumentation::builder(system);
        #[cfg(feature = "tracing-spans")]
        let builder = builder.tracing_spans(is_through_tracing());
        builder
            .tracer_provider(Watched(self.provider.clone(), Arc::clone(&self.ends)))
            .meter_provider(self.meter.clone())
            .propagation(propagation())
    }

    pub(crate) fn instrumentation(&self) -> Instrumentation {
        self.builder().build()
    }

    /// A tracer for a layer of a test's own.
    #[cfg(feature = "tracing-spans")]
    #[allow(dead_code, reason = "only one of the two test programs has such tests")]
    pub(crate) fn tracer(&self) -> WatchedTracer {
        watched(&self.provider, &self.ends)
    }

    /// The spans that ended since the last call, each of them by one call and not when it was dropped.
    pub(crate) fn ended(&self) -> Vec<SpanData> {
        let ended = self.spans.get_finished_spans().unwrap();
        self.spans.reset();
        let mut ends = self.ends.lock().unwrap();
        for span in ended.iter().filter(|span| span.instrumentation_scope.name() != OUTER) {
            let times = ends.remove(&span.span_context.span_id());
            assert_eq!(times, Some(1), "{} was ended so many times", span.name);
        }
        ended
    }

    pub(crate) fn seen(&self) -> Vec<Seen> {
        self.ended().iter().map(Seen::of).collect()
    }

    pub(crate) fn measured(&self) -> Vec<Measured> {
        self.meter.force_flush().unwrap();
        let mut flushed = self.metrics.get_finished_metrics().unwrap();
        flushed.pop().map(|metrics| Measured::all_of(&metrics)).unwrap_or_default()
    }

    /// What was measured by one instrument.
    pub(crate) fn measured_by(&self, name: &str) -> Vec<Measured> {
        self.measured().into_iter().filter(|measured| measured.name == name).collect()
    }

    /// Makes these the providers of the process; gives back the spans, and what was measured, without a look at how they end.
    pub(crate) fn register(&self) -> (InMemorySpanExporter, impl Fn() -> Vec<Measured>) {
        opentelemetry::global::set_tracer_provider(self.provider.clone());
        opentelemetry::global::set_meter_provider(self.meter.clone());
        (self.spans.clone(), || self.measured())
    }

    /// A span of the program's own, for the current context.
    pub(crate) fn outer(&self) -> Context {
        use opentelemetry::trace::TraceContextExt as _;
        Context::new().with_span(self.provider.tracer(OUTER).start("outer"))
    }
}

const OUTER: &str = "the program's";

pub(crate) fn propagation() -> Propagation {
    Propagation::builder().propagator(w3c()).build()
}

/// A tracer for a layer: the scope of the layer's spans is that of its tracer.
#[cfg(feature = "tracing-spans")]
fn watched(provider: &SdkTracerProvider, ends: &Ends) -> WatchedTracer {
    let scope = InstrumentationScope::builder("carrier-core").with_version(env!("CARGO_PKG_VERSION"));
    let scope = scope.with_schema_url("https://opentelemetry.io/schemas/1.44.0").build();
    WatchedTracer(provider.tracer_with_scope(scope), Arc::clone(ends))
}

/// A layer without the attributes that it adds by default.
#[cfg(feature = "tracing-spans")]
pub(crate) fn layer<S, T>(tracer: T) -> tracing_opentelemetry::OpenTelemetryLayer<S, T>
where
    S: tracing::Subscriber + for<'a> tracing_subscriber::registry::LookupSpan<'a>,
    T: Tracer + 'static,
    T::Span: Send + Sync,
{
    tracing_opentelemetry::layer().with_tracer(tracer).with_threads(false).with_target(false)
}

/// The SDK's tracers, with spans that count how often they are ended.
pub(crate) struct Watched(SdkTracerProvider, Ends);

impl TracerProvider for Watched {
    type Tracer = WatchedTracer;

    fn tracer_with_scope(&self, scope: InstrumentationScope) -> WatchedTracer {
        WatchedTracer(self.0.tracer_with_scope(scope), Arc::clone(&self.1))
    }
}

pub(crate) struct WatchedTracer(SdkTracer, Ends);

impl Tracer for WatchedTracer {
    type Span = WatchedSpan;

    fn build_with_context(
        &self,
        builder: opentelemetry::trace::SpanBuilder,
        parent: &Context,
    ) -> WatchedSpan {
        WatchedSpan(self.0.build_with_context(builder, parent), Arc::clone(&self.1))
    }
}

pub(crate) struct WatchedSpan(opentelemetry_sdk::trace::Span, Ends);

impl Span for WatchedSpan {
    fn add_event_with_timestamp<T>(&mut self, name: T, timestamp: SystemTime, attributes: Vec<KeyValue>)
    where
        T: Into<Cow<'static, str>>,
    {
        self.0.add_event_with_timestamp(name, timestamp, attributes);
    }

    fn span_context(&self) -> &SpanContext {
        self.0.span_context()
    }

    fn is_recording(&self) -> bool {
        self.0.is_recording()
    }

    fn set_attribute(&mut self, attribute: KeyValue) {
        self.0.set_attribute(attribute);
    }

    fn set_status(&mut self, status: Status) {
        self.0.set_status(status);
    }

    fn update_name<T>(&mut self, new_name: T)
    where
        T: Into<Cow<'static, str>>,
    {
        self.0.update_name(new_name);
    }

    fn add_link(&mut self, span_context: SpanContext, attributes: Vec<KeyValue>) {
        self.0.add_link(span_context, attributes);
    }

    fn end_with_timestamp(&mut self, timestamp: SystemTime) {
        // On close, tracing-opentelemetry ends a span that we ended. The SDK ignores that.
        if is_through_tracing() && !self.0.is_recording() {
            return;
        }
        *self.1.lock().unwrap().entry(self.span_context().span_id()).or_default() += 1;
        self.0.end_with_timestamp(timestamp);
    }
}
