//! What a collector was sent as text, so that a test compares all that came over the wire.

use std::collections::HashMap;
use std::fmt::Write as _;

use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::common::v1::{InstrumentationScope, KeyValue};
use opentelemetry_proto::tonic::metrics::v1::metric::Data;
use opentelemetry_proto::tonic::metrics::v1::number_data_point::Value as Number;
use opentelemetry_proto::tonic::metrics::v1::{AggregationTemporality, Metric};
use opentelemetry_proto::tonic::resource::v1::Resource;
use opentelemetry_proto::tonic::trace::v1::Span;
use opentelemetry_proto::tonic::trace::v1::span::SpanKind;
use opentelemetry_proto::tonic::trace::v1::status::StatusCode;

use crate::collector::Arrived;

/// Each metric with its service, unit, scope, kind and points, sorted.
pub fn metrics(metrics: &[Arrived<Metric>]) -> String {
    let mut texts: Vec<String> = metrics
        .iter()
        .map(|Arrived { service, scope, it }| {
            format!("{service}: {} in {}\n  {scope}\n{}", it.name, it.unit, data(it.data.as_ref()))
        })
        .collect();
    texts.sort();
    texts.concat()
}

/// Each span with its service, kind, name, scope, parent, links, attributes and status; ids as the spans they belong to.
pub fn spans(spans: &[Arrived<Span>]) -> String {
    let key = |trace: &[u8], span: &[u8]| (trace.to_owned(), span.to_owned());
    let names: HashMap<_, _> = spans
        .iter()
        .map(|Arrived { service, it: span, .. }| {
            (key(&span.trace_id, &span.span_id), format!("{} of {service}", span.name))
        })
        .collect();
    let name = |trace: &[u8], span: &[u8], flags: u32| {
        let name = names.get(&key(trace, span)).map_or("one elsewhere", String::as_str);
        // Both flags: that it is known, and that it is so (OTLP, `SpanFlags`).
        if flags & 0x300 == 0x300 { format!("{name}, remote") } else { name.to_owned() }
    };
    let mut text = String::new();
    for Arrived { service, scope, it: span } in spans {
        let kind = SpanKind::try_from(span.kind).unwrap().as_str_name().trim_start_matches("SPAN_KIND_");
        let _ = writeln!(text, "{service}: {} {}\n  {scope}", kind.to_lowercase(), span.name);
        if !span.parent_span_id.is_empty() {
            let _ = writeln!(text, "  parent {}", name(&span.trace_id, &span.parent_span_id, span.flags));
        }
        for link in &span.links {
            let attributes = if link.attributes.is_empty() { "" } else { ", with attributes" };
            let to = name(&link.trace_id, &link.span_id, link.flags);
            let _ = writeln!(text, "  link {to}{attributes}");
        }
        write_all(&mut text, "  ", &span.attributes);
        let status = span.status.clone().unwrap_or_default();
        let code = StatusCode::try_from(status.code).unwrap();
        if code != StatusCode::Unset {
            let _ = writeln!(text, "  status {} {}", code.as_str_name(), status.message);
        }
    }
    text
}

pub fn service(resource: Option<Resource>) -> String {
    let attributes = resource.unwrap().attributes;
    let name = attributes.into_iter().find(|pair| pair.key == "service.name").unwrap();
    shown(&name)
}

pub fn scope(scope: Option<InstrumentationScope>, schema_url: &str) -> String {
    let scope = scope.unwrap();
    format!("scope {} {} {schema_url}", scope.name, scope.version).trim_end().to_owned()
}

fn write_all(text: &mut String, indent: &str, attributes: &[KeyValue]) {
    let shown = attributes.iter().map(|pair| format!("{indent}{} = {}\n", pair.key, shown(pair)));
    let mut lines: Vec<String> = shown.collect();
    lines.sort();
    text.push_str(&lines.concat());
}

/// A value; of a name that each run makes up what is the same in all, and nothing of a time.
fn shown(pair: &KeyValue) -> String {
    match pair.value.clone().unwrap().value.unwrap() {
        Value::StringValue(text) => {
            let made_up = ["carrier-handoff-orders-", "carrier-handoff-parcels-"];
            let begin = made_up.into_iter().find(|begin| text.starts_with(begin));
            begin.map_or(text.clone(), |begin| format!("{begin}*"))
        }
        Value::IntValue(number) => number.to_string(),
        Value::BoolValue(flag) => flag.to_string(),
        Value::DoubleValue(_) => "*".to_owned(),
        other => panic!("{}: a value of a kind that nobody sets here: {other:?}", pair.key),
    }
}

fn data(data: Option<&Data>) -> String {
    let mut text = String::new();
    match data {
        Some(Data::Histogram(histogram)) => {
            assert_cumulative(histogram.aggregation_temporality);
            for point in &histogram.data_points {
                let bounds: Vec<String> = point.explicit_bounds.iter().map(f64::to_string).collect();
                let _ = writeln!(text, "  bounds {}\n  {} of", bounds.join(" "), point.count);
                write_all(&mut text, "    ", &point.attributes);
            }
        }
        Some(Data::Sum(sum)) => {
            assert!(sum.is_monotonic);
            assert_cumulative(sum.aggregation_temporality);
            for point in &sum.data_points {
                let Some(Number::AsInt(count)) = point.value else { panic!("no integer: {point:?}") };
                let _ = writeln!(text, "  counted {count} of");
                write_all(&mut text, "    ", &point.attributes);
            }
        }
        other => panic!("a metric of a kind that nobody records here: {other:?}"),
    }
    text
}

fn assert_cumulative(temporality: i32) {
    let temporality = AggregationTemporality::try_from(temporality).unwrap();
    assert_eq!(temporality, AggregationTemporality::Cumulative);
}

/// A number with a fraction on a span.
#[track_caller]
pub fn double(span: &Span, key: &str) -> f64 {
    let pair = span.attributes.iter().find(|pair| pair.key == key).unwrap();
    match pair.value.clone().unwrap().value {
        Some(Value::DoubleValue(number)) => number,
        other => panic!("{key} is no double: {other:?}"),
    }
}
