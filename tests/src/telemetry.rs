//! Spans and metrics that a test can look at, and a context worth carrying.

mod conventions;
mod meters;
mod open;
mod whole;

use opentelemetry::baggage::BaggageExt as _;
use opentelemetry::trace::{
    SpanContext, SpanId, TraceContextExt as _, TraceFlags, TraceId, TraceState, TracerProvider as _,
};
use opentelemetry::{Context, KeyValue};
use opentelemetry_sdk::trace::{
    InMemorySpanExporter, Sampler, SdkTracer, SdkTracerProvider, ShouldSample, SpanData,
};
use tracing_subscriber::layer::SubscriberExt as _;

pub use self::meters::{Meters, Point};
use self::open::OpenSpans;
pub use self::whole::{Attributes, MEASURED, Whole};

/// The trace of [`sampled_context`].
pub const TRACE_ID: TraceId = TraceId::from_bytes(0x0af7651916cd43dd8448eb211c80319c_u128.to_be_bytes());

/// The span of [`sampled_context`].
pub const SPAN_ID: SpanId = SpanId::from_bytes(0xb7ad6b7169203331_u64.to_be_bytes());

/// [`sampled_context`] as a traceparent header.
pub const TRACEPARENT: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

/// [`sampled_context`] as a tracestate header.
pub const TRACESTATE: &str = "rojo=00f067aa0ba902b7,congo=t61rcWkgMzE";

/// [`sampled_context`] as a baggage header.
pub const BAGGAGE: &str = "tenant=blue";

/// Returns a context with the sampled, remote parent [`TRACE_ID`]/[`SPAN_ID`], [`TRACESTATE`] and [`BAGGAGE`].
pub fn sampled_context() -> Context {
    let parent = SpanContext::new(
        TRACE_ID,
        SPAN_ID,
        TraceFlags::SAMPLED,
        true,
        // The constant is a valid list; an empty one would fail the first comparison.
        TRACESTATE.parse::<TraceState>().unwrap_or_default(),
    );
    Context::new().with_remote_span_context(parent).with_baggage([KeyValue::new("tenant", "blue")])
}

/// Compares the durations that a metric and a span report. Through `tracing`, the layer reads the clock for the start again.
///
/// # Panics
///
/// Where they differ by more.
pub fn assert_same_duration(measured: f64, of_span: f64, is_through_tracing: bool) {
    match is_through_tracing {
        true => assert!((of_span..of_span + 1.0).contains(&measured), "{measured} {of_span}"),
        false => assert_eq!(measured, of_span),
    }
}

/// A tracer provider of one test's own that keeps every finished span.
#[derive(Clone, Debug)]
pub struct Recorder {
    provider: SdkTracerProvider,
    exporter: InMemorySpanExporter,
    open: OpenSpans,
}

impl Default for Recorder {
    fn default() -> Self {
        Self::new()
    }
}

impl Recorder {
    /// Creates a provider that samples everything; nothing global is touched.
    pub fn new() -> Self {
        Self::sampling(Sampler::AlwaysOn)
    }

    /// Creates a provider with a sampler; nothing global is touched.
    pub fn sampling(sampler: impl ShouldSample + 'static) -> Self {
        let (exporter, open) = (InMemorySpanExporter::default(), OpenSpans::default());
        let provider = SdkTracerProvider::builder()
            .with_sampler(sampler)
            .with_simple_exporter(exporter.clone())
            // Told last: a span that is not open any more has been exported.
            .with_span_processor(open.clone())
            .build();
        Self { provider, exporter, open }
    }

    /// Takes a provider with exporters of its own: its spans are not seen here.
    pub fn of(provider: SdkTracerProvider) -> Self {
        Self { provider, exporter: InMemorySpanExporter::default(), open: OpenSpans::default() }
    }

    /// Returns how many spans were started and have not ended.
    pub fn open_spans(&self) -> usize {
        self.open.count()
    }

    /// Returns the provider, for code that takes one.
    pub fn provider(&self) -> &SdkTracerProvider {
        &self.provider
    }

    /// Returns a tracer whose spans are recorded here.
    pub fn tracer(&self) -> SdkTracer {
        self.provider.tracer("carrier-tests")
    }

    /// Returns a `tracing` subscriber whose spans are recorded here, without the attributes that its layer adds by default.
    ///
    /// For `tracing::subscriber::set_default` or `with_default`.
    pub fn subscriber(&self) -> impl tracing::Subscriber + Send + Sync + 'static {
        let layer = tracing_opentelemetry::layer().with_tracer(self.tracer());
        let layer = layer.with_location(false).with_threads(false).with_target(false);
        tracing_subscriber::registry().with(layer)
    }

    /// Returns the spans that have ended so far, in the order they ended.
    ///
    /// # Panics
    ///
    /// If the provider was shut down in disorder, or a span of ours differs from the semantic conventions.
    pub fn spans(&self) -> Vec<SpanData> {
        let spans = match self.exporter.get_finished_spans() {
            Ok(spans) => spans,
            Err(error) => panic!("the recorded spans cannot be read: {error}"),
        };
        for span in &spans {
            let wrong = conventions::of_span(span);
            assert!(wrong.is_empty(), "{wrong:?}: {span:#?}");
        }
        spans
    }

    /// Returns the one ended span with this name.
    ///
    /// # Panics
    ///
    /// Where there is none or more than one, with the names that there are.
    pub fn span(&self, name: &str) -> SpanData {
        let spans = self.spans();
        let mut named: Vec<&SpanData> = spans.iter().filter(|span| span.name == name).collect();
        match (named.pop(), named.is_empty()) {
            (Some(span), true) => span.clone(),
            _ => {
                let names: Vec<&str> = spans.iter().map(|span| span.name.as_ref()).collect();
                panic!("not exactly one span is called {name:?}; ended so far: {names:?}")
            }
        }
    }

    /// Forgets the spans that have ended so far.
    pub fn reset(&self) {
        self.exporter.reset();
    }
}
