//! What the semantic conventions say of a span or a metric: every one that a test looks at is compared with the table.

use std::sync::LazyLock;

use opentelemetry::trace::{SpanKind, Status};
use opentelemetry::{KeyValue, Value};
use opentelemetry_sdk::trace::SpanData;

use super::meters::Point;

static TABLE: LazyLock<Table> = LazyLock::new(|| Table::read(include_str!("conventions.txt")));

/// The namespaces in which each name is in the table. Other names are a test's own.
const NAMESPACES: [&str; 5] = ["messaging.", "carrier.", "server.", "network.", "error."];

/// The prefix of names with an open end.
const CAPTURED: &str = "carrier.message.header.";

struct Table {
    attributes: Vec<Attribute>,
    metrics: Vec<Metric>,
}

struct Attribute {
    name: &'static str,
    kind: &'static str,
    is_required: bool,
    operations: &'static str,
    is_on_metrics: bool,
}

struct Metric {
    name: &'static str,
    unit: &'static str,
    has_operation: bool,
    has_type: bool,
}

impl Table {
    fn read(text: &'static str) -> Self {
        let mut table = Self { attributes: Vec::new(), metrics: Vec::new() };
        for line in text.lines().filter(|line| !line.is_empty() && !line.starts_with('#')) {
            let columns: Vec<&str> = line.split('|').map(str::trim).collect();
            match columns[..] {
                ["attribute", name, kind, level, operations, on_metrics] => {
                    table.attributes.push(Attribute {
                        name,
                        kind,
                        is_required: level == "required",
                        operations,
                        is_on_metrics: on_metrics == "yes",
                    })
                }
                ["metric", name, unit, operation, of_type] => table.metrics.push(Metric {
                    name,
                    unit,
                    has_operation: operation == "yes",
                    has_type: of_type == "yes",
                }),
                _ => panic!("not a line of the table: {line}"),
            }
        }
        table
    }

    fn attribute(&self, name: &str) -> Option<&Attribute> {
        self.attributes.iter().find(|attribute| attribute.name == name)
    }
}

impl Attribute {
    fn allows(&self, value: &Value) -> bool {
        match (self.kind, value) {
            ("string", Value::String(_))
            | ("int", Value::I64(_))
            | ("double", Value::F64(_))
            | ("boolean", Value::Bool(_)) => true,
            (members, Value::String(text)) => {
                let members = members.strip_prefix('{').and_then(|members| members.strip_suffix('}'));
                members.is_some_and(|members| members.split(", ").any(|member| member == text.as_str()))
            }
            _ => false,
        }
    }

    fn is_on(&self, operation: &str) -> bool {
        self.operations == "all" || self.operations.split(' ').any(|one| one == operation)
    }
}

/// Where a span of ours differs from the conventions.
pub(super) fn of_span(span: &SpanData) -> Vec<String> {
    if !["carrier-core", "carrier-amqp", "carrier-kafka"].contains(&span.instrumentation_scope.name()) {
        return Vec::new();
    }
    let text = |name: &str| text(&span.attributes, name);
    let operation = text("messaging.operation.type").unwrap_or_default();
    let mut wrong = attributes(&span.attributes, |attribute| attribute.is_on(operation));
    let required =
        TABLE.attributes.iter().filter(|attribute| attribute.is_required && attribute.is_on(operation));
    wrong.extend(required.filter(|it| text(it.name).is_none()).map(|it| format!("{} is missing", it.name)));
    if matches!(span.status, Status::Error { .. }) != text("error.type").is_some() {
        wrong.push(format!("error.type does not fit {:?}", span.status));
    }
    let kinds: &[SpanKind] = match operation {
        "send" => &[SpanKind::Producer, SpanKind::Client],
        "receive" | "settle" => &[SpanKind::Client],
        "process" => &[SpanKind::Consumer],
        _ => &[],
    };
    if !kinds.contains(&span.span_kind) {
        wrong.push(format!("{:?} is not the kind of {operation:?}", span.span_kind));
    }
    let name = text("messaging.operation.name").unwrap_or_default();
    if span.name != name && !span.name.starts_with(&format!("{name} ")) {
        wrong.push(format!("{:?} does not begin with the operation's name", span.name));
    }
    if span.instrumentation_scope.schema_url() != Some("https://opentelemetry.io/schemas/1.44.0") {
        wrong.push(format!("the schema is {:?}", span.instrumentation_scope.schema_url()));
    }
    for link in span.links.iter() {
        wrong.extend(attributes(&link.attributes, |_| true));
    }
    wrong
}

/// Where a time series of ours differs from the conventions.
pub(super) fn of_point(point: &Point) -> Vec<String> {
    let Some(metric) = TABLE.metrics.iter().find(|metric| metric.name == point.metric) else {
        return vec!["the metric is not in the table".to_owned()];
    };
    let pairs: Vec<KeyValue> =
        point.attributes.iter().map(|(key, value)| KeyValue::new(key.clone(), value.clone())).collect();
    let mut wrong = attributes(&pairs, |attribute| attribute.is_on_metrics);
    if metric.unit != point.unit {
        wrong.push(format!("the unit is {}", point.unit));
    }
    let has = |name: &str| point.attribute(name).is_some();
    let expected = [
        ("messaging.system", true),
        ("messaging.operation.name", metric.has_operation),
        ("messaging.operation.type", metric.has_type),
        ("carrier.context.status", metric.name == "carrier.received.contexts"),
    ];
    wrong.extend(
        expected.iter().filter(|(name, is)| has(name) != *is).map(|(name, _)| format!("{name} is wrong")),
    );
    // "if and only if known to have low cardinality": one of the two names the destination.
    if has("messaging.destination.name") && has("messaging.destination.template") {
        wrong.push("a template and a name".to_owned());
    }
    wrong
}

/// Names that are not in the table, are not allowed here, have another type, or are there twice.
fn attributes(all: &[KeyValue], is_allowed: impl Fn(&Attribute) -> bool) -> Vec<String> {
    let mut wrong = Vec::new();
    for (at, KeyValue { key, value, .. }) in all.iter().enumerate() {
        let name = key.as_str();
        if all[..at].iter().any(|earlier| earlier.key == *key) {
            wrong.push(format!("{name} is there twice"));
        }
        if name.starts_with(CAPTURED) || !NAMESPACES.iter().any(|namespace| name.starts_with(namespace)) {
            continue;
        }
        match TABLE.attribute(name) {
            None => wrong.push(format!("{name} is not in the table")),
            Some(attribute) if !is_allowed(attribute) => wrong.push(format!("{name} is not allowed here")),
            Some(attribute) if !attribute.allows(value) => wrong.push(format!("{name} is {value:?}")),
            Some(_) => {}
        }
    }
    wrong
}

fn text<'a>(attributes: &'a [KeyValue], name: &str) -> Option<&'a str> {
    attributes.iter().find(|attribute| attribute.key.as_str() == name).and_then(|attribute| match &attribute
        .value
    {
        Value::String(text) => Some(text.as_str()),
        _ => None,
    })
}

#[cfg(test)]
mod tests {
    use carrier_core::instrumentation::{Destination, Failure, Instrumentation};
    use opentelemetry_sdk::trace::SpanData;

    use super::*;
    use crate::telemetry::Recorder;

    fn span(details: &[KeyValue]) -> SpanData {
        let recorder = Recorder::new();
        let builder = Instrumentation::builder("kafka").tracer_provider(recorder.provider().clone());
        let sending = builder.metrics(false).build().send(
            || Destination::new("orders"),
            &mut std::collections::HashMap::new(),
            |span| details.iter().for_each(|pair| span.set(pair.key.clone(), pair.value.clone())),
        );
        sending.ended(Err(Failure::new("broken", "it is broken")));
        let mut spans = recorder.exporter.get_finished_spans().unwrap_or_default();
        spans.remove(0)
    }

    #[test]
    fn a_span_of_ours_conforms() {
        assert_eq!(of_span(&span(&[])), [""; 0]);
        assert_eq!(of_span(&span(&[KeyValue::new("acme.tenant", 1)])), [""; 0]);
    }

    #[test]
    fn each_difference_is_told() {
        let wrong = |key: &'static str, value: Value| of_span(&span(&[KeyValue::new(key, value)])).join("; ");
        assert_eq!(
            wrong("messaging.destnation.name", "x".into()),
            "messaging.destnation.name is not in the table"
        );
        assert_eq!(
            wrong("messaging.kafka.offset", "7".into()),
            "messaging.kafka.offset is String(Static(\"7\"))"
        );
        assert_eq!(wrong("carrier.settlement", "acked".into()), "carrier.settlement is not allowed here");
        assert_eq!(wrong("messaging.system", "kafka".into()), "messaging.system is there twice");
        let mut unfinished = span(&[]);
        unfinished.attributes.retain(|pair| !["messaging.system", "error.type"].contains(&pair.key.as_str()));
        unfinished.span_kind = SpanKind::Consumer;
        unfinished.name = "sent".into();
        let told = of_span(&unfinished);
        assert_eq!(told.len(), 4, "{told:?}");
    }

    #[test]
    fn a_metric_that_differs_is_told() {
        let point = |metric: &str, unit: &str, attributes: &[(&str, &'static str)]| Point {
            metric: metric.to_owned(),
            unit: unit.to_owned(),
            attributes: attributes.iter().map(|(key, value)| ((*key).to_owned(), (*value).into())).collect(),
            count: 1,
            sum: 0.0,
            bounds: Vec::new(),
        };
        let system = ("messaging.system", "kafka");
        let operation = ("messaging.operation.name", "send");
        assert_eq!(
            of_point(&point("messaging.client.sent.messages", "{message}", &[system, operation])),
            [""; 0]
        );
        assert_eq!(of_point(&point("messaging.client.sent.message", "{message}", &[system])).len(), 1);
        assert_eq!(of_point(&point("messaging.client.sent.messages", "s", &[system])).len(), 2);
        let key = ("messaging.kafka.message.key", "17");
        assert_eq!(of_point(&point("carrier.queue.duration", "s", &[system, key])).len(), 1);
    }
}
