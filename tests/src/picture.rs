//! Whole spans and metrics as text, so that a test compares all that was exported and not an attribute here and there.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::time::Duration;

use opentelemetry::KeyValue;
use opentelemetry::trace::{SpanId, SpanKind, Status};
use opentelemetry_sdk::metrics::data::{AggregatedMetrics, MetricData, ResourceMetrics};
use opentelemetry_sdk::metrics::{InMemoryMetricExporter, PeriodicReader, SdkMeterProvider};
use opentelemetry_sdk::trace::SpanData;

/// Spans as text, each with its kind, name, parent, links, attributes and status, in the order they began.
///
/// Ids are shown as the names of their spans; a span that is not among these is `elsewhere`. Attributes are sorted.
///
/// ```text
/// consumer process orders
///   parent send orders
///   link send orders
///   messaging.operation.name = process
///   error.type = panic
///   status error: the handler panicked
/// ```
pub fn spans(spans: &[SpanData]) -> String {
    let names: HashMap<SpanId, &str> =
        spans.iter().map(|span| (span.span_context.span_id(), span.name.as_ref())).collect();
    let mut spans: Vec<&SpanData> = spans.iter().collect();
    spans.sort_by_key(|span| span.start_time);
    spans.into_iter().map(|one| span(one, &names)).collect()
}

fn span(span: &SpanData, names: &HashMap<SpanId, &str>) -> String {
    let name = |id: SpanId| names.get(&id).copied().unwrap_or("elsewhere");
    let kind = match span.span_kind {
        SpanKind::Client => "client",
        SpanKind::Server => "server",
        SpanKind::Producer => "producer",
        SpanKind::Consumer => "consumer",
        SpanKind::Internal => "internal",
    };
    let mut text = format!("{kind} {}\n", span.name);
    if span.parent_span_id != SpanId::INVALID {
        let _ = writeln!(text, "  parent {}", name(span.parent_span_id));
    }
    for link in &span.links.links {
        let attributes = sorted(&link.attributes);
        let _ = match attributes.is_empty() {
            true => writeln!(text, "  link {}", name(link.span_context.span_id())),
            false => {
                writeln!(text, "  link {} [{}]", name(link.span_context.span_id()), attributes.join(", "))
            }
        };
    }
    for attribute in sorted(&span.attributes) {
        let _ = writeln!(text, "  {attribute}");
    }
    if let Status::Error { description } = &span.status {
        let _ = writeln!(text, "  status error: {description}");
    }
    text
}

fn sorted<'a>(attributes: impl IntoIterator<Item = &'a KeyValue>) -> Vec<String> {
    let mut lines: Vec<_> =
        attributes.into_iter().map(|pair| format!("{} = {}", pair.key, pair.value)).collect();
    lines.sort();
    lines
}

/// A meter provider of one test's own, whose metrics can be shown as text.
#[derive(Debug)]
pub struct Meters {
    provider: SdkMeterProvider,
    exporter: InMemoryMetricExporter,
}

impl Default for Meters {
    fn default() -> Self {
        Self::new()
    }
}

impl Meters {
    /// Creates a provider; nothing global is touched.
    pub fn new() -> Self {
        let exporter = InMemoryMetricExporter::default();
        // Read when a test asks, not when time has passed.
        let reader =
            PeriodicReader::builder(exporter.clone()).with_interval(Duration::from_secs(3_600)).build();
        Self { provider: SdkMeterProvider::builder().with_reader(reader).build(), exporter }
    }

    /// Returns the provider, for code that takes one.
    pub fn provider(&self) -> &SdkMeterProvider {
        &self.provider
    }

    /// Returns what was recorded so far, summed up.
    ///
    /// # Panics
    ///
    /// Where it cannot be read.
    pub fn read(&self) -> ResourceMetrics {
        self.exporter.reset();
        if let Err(error) = self.provider.force_flush() {
            panic!("the recorded metrics cannot be read: {error}");
        }
        match self.exporter.get_finished_metrics().map(|mut metrics| metrics.pop()) {
            Ok(Some(metrics)) => metrics,
            Ok(None) => panic!("no metric was recorded"),
            Err(error) => panic!("the recorded metrics cannot be read: {error}"),
        }
    }

    /// Returns metrics as text: name, unit, and each set of attributes with its count.
    ///
    /// ```text
    /// messaging.process.duration in s
    ///   1 [messaging.operation.name = process, messaging.system = rabbitmq]
    /// ```
    pub fn picture(&self) -> String {
        let metrics = self.read();
        let all = metrics.scope_metrics().flat_map(|scope| scope.metrics());
        let mut texts: Vec<_> = all
            .map(|metric| {
                let mut text = format!("{} in {}\n", metric.name(), metric.unit());
                for line in points(metric.data()) {
                    let _ = writeln!(text, "  {line}");
                }
                text
            })
            .collect();
        texts.sort();
        texts.concat()
    }
}

/// Each set of attributes with the number of values that were recorded, or their sum for a counter.
fn points(data: &AggregatedMetrics) -> Vec<String> {
    let mut lines: Vec<_> = match data {
        AggregatedMetrics::F64(MetricData::Histogram(histogram)) => histogram
            .data_points()
            .map(|point| format!("{} [{}]", point.count(), sorted(point.attributes()).join(", ")))
            .collect(),
        AggregatedMetrics::U64(MetricData::Sum(sum)) => sum
            .data_points()
            .map(|point| format!("{} [{}]", point.value(), sorted(point.attributes()).join(", ")))
            .collect(),
        other => panic!("a metric of a kind that nothing here records: {other:?}"),
    };
    lines.sort();
    lines
}
