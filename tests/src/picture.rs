//! Whole spans and metrics as text, so that a test compares all that was exported and not an attribute here and there.

use std::collections::{BTreeMap, HashMap};
use std::fmt::Write as _;

use opentelemetry::KeyValue;
use opentelemetry::trace::{SpanId, SpanKind, Status};
use opentelemetry_sdk::trace::SpanData;

use crate::telemetry::Point;

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

/// Metrics as text: name and unit, and each set of attributes with how many values it has, or its sum for a counter.
///
/// ```text
/// messaging.process.duration in s
///   1 [messaging.operation.name = process, messaging.system = rabbitmq]
/// ```
pub fn metrics(points: &[Point]) -> String {
    let mut metrics: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for point in points {
        let attributes: Vec<_> =
            point.attributes.iter().map(|(key, value)| format!("{key} = {value}")).collect();
        let lines = metrics.entry(format!("{} in {}", point.metric, point.unit)).or_default();
        lines.push(format!("  {} [{}]", point.count, attributes.join(", ")));
    }
    metrics.into_iter().fold(String::new(), |text, (metric, mut lines)| {
        lines.sort();
        text + &metric + "\n" + &lines.join("\n") + "\n"
    })
}
