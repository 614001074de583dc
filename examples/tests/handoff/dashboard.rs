//! The dashboard and the alert rules ask for metrics and labels that exist.

use std::collections::{BTreeMap, BTreeSet};

use opentelemetry_proto::tonic::common::v1::KeyValue;
use opentelemetry_proto::tonic::metrics::v1::Metric;
use opentelemetry_proto::tonic::metrics::v1::metric::Data;
use serde_json::Value;

use crate::collector::{Arrived, Collector};
use crate::handoff_with_beside;

const DASHBOARD: &str = include_str!("../../../docs/operations/dashboard.json");
const ALERTS: &str = include_str!("../../../docs/operations/alerts.yaml");

/// Labels that Prometheus adds: the bucket of a histogram, and the name of the service.
const ADDED: [&str; 2] = ["le", "job"];

/// Words of PromQL that are neither a metric nor a label.
const WORDS: [&str; 14] = [
    "sum",
    "max",
    "topk",
    "rate",
    "delta",
    "histogram_quantile",
    "by",
    "and",
    "on",
    "ignoring",
    "group_left",
    "or",
    "unless",
    "without",
];

/// The series of a metric as Prometheus names them, with their labels.
fn series(metric: &Metric) -> (Vec<String>, BTreeSet<String>) {
    let unit = match metric.unit.as_str() {
        "s" => "_seconds",
        "By" => "_bytes",
        _ => "",
    };
    let name = format!("{}{unit}", metric.name.replace('.', "_"));
    let labels = |attributes: &[KeyValue]| {
        attributes.iter().map(|attribute| attribute.key.replace('.', "_")).collect::<Vec<_>>()
    };
    match metric.data.as_ref() {
        Some(Data::Histogram(histogram)) => {
            let names = ["_bucket", "_sum", "_count"].map(|part| format!("{name}{part}"));
            (
                names.to_vec(),
                histogram.data_points.iter().flat_map(|point| labels(&point.attributes)).collect(),
            )
        }
        Some(Data::Sum(sum)) => {
            let name = if sum.is_monotonic { format!("{name}_total") } else { name };
            (vec![name], sum.data_points.iter().flat_map(|point| labels(&point.attributes)).collect())
        }
        Some(Data::Gauge(gauge)) => {
            (vec![name], gauge.data_points.iter().flat_map(|point| labels(&point.attributes)).collect())
        }
        other => panic!("{name} is {other:?}"),
    }
}

/// The expressions of both files.
fn expressions() -> Vec<String> {
    let dashboard: Value = serde_json::from_str(DASHBOARD).unwrap();
    let panels = dashboard["panels"].as_array().unwrap().iter();
    let targets = panels.flat_map(|panel| panel["targets"].as_array().cloned().unwrap_or_default());
    let mut all: Vec<String> = targets.map(|target| target["expr"].as_str().unwrap().to_owned()).collect();
    let mut lines = ALERTS.lines().peekable();
    while let Some(line) = lines.next() {
        let Some(expression) = line.trim().strip_prefix("expr: ") else { continue };
        let mut expression = expression.trim_start_matches('|').to_owned();
        while let Some(more) = lines.next_if(|next| next.starts_with("          ")) {
            expression.push_str(more);
        }
        all.push(expression);
    }
    all
}

/// The names in an expression: metrics, and the labels that it uses for each of them.
fn names(expression: &str) -> Vec<String> {
    let mut without_text = String::new();
    for (place, part) in expression.split('"').enumerate() {
        without_text.push_str(if place % 2 == 0 { part } else { " " });
    }
    let is_name = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '$' || c == '[';
    let words = without_text.split(|c: char| !is_name(c)).filter(|word| !word.is_empty());
    let words = words.filter(|word| word.starts_with(|c: char| c.is_ascii_lowercase()));
    // `[5m]` is a duration, and so is what is left of `[$__rate_interval]`.
    let words = words.map(|word| word.split('[').next().unwrap_or_default());
    words.filter(|word| !WORDS.contains(word)).map(str::to_owned).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn every_metric_and_label_of_the_dashboard_and_the_alerts_is_exported() {
    let amqp_url = carrier_tests::rabbitmq().await.url().to_owned();
    let (collector, endpoint) = Collector::listen().await;
    for arguments in [&[][..], &["--fail"], &["--break", "kafka"]] {
        let variables =
            vec![("AMQP_URL", amqp_url.clone()), ("OTEL_EXPORTER_OTLP_ENDPOINT", endpoint.clone())];
        let ended = handoff_with_beside(arguments, variables).await;
        assert_ne!(ended.code, Some(2), "{ended:?}");
    }
    let mut exported: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for Arrived { it, .. } in collector.metrics() {
        let (names, labels) = series(&it);
        for name in names {
            exported.entry(name).or_default().extend(labels.clone());
        }
    }
    let expressions = expressions();
    assert!(expressions.len() > 25, "{expressions:#?}");
    for expression in &expressions {
        let (metrics, labels): (Vec<_>, Vec<_>) = names(expression)
            .into_iter()
            .partition(|name| name.starts_with("carrier_") && !is_label(name) || is_metric(name));
        assert!(!metrics.is_empty(), "{expression}");
        for metric in &metrics {
            let Some(known) = exported.get(metric) else {
                panic!("{metric} is not exported: {expression}\n{:#?}", exported.keys())
            };
            // The demo's destinations have templates, and its messages are sent without a failure.
            let is_elsewhere = |label: &str| {
                let others = ["messaging_destination_name", "error_type"];
                others.contains(&label) && metric.starts_with("messaging_") || label == others[0]
            };
            let is_known =
                |label: &str| ADDED.contains(&label) || known.contains(label) || is_elsewhere(label);
            let unknown: Vec<_> = labels.iter().filter(|label| !is_known(label)).collect();
            assert!(unknown.is_empty(), "{metric} has no {unknown:?}: {expression}");
        }
    }
    let failed = &exported["messaging_process_duration_seconds_count"];
    assert!(failed.contains("error_type"), "{failed:?}");
}

fn is_metric(name: &str) -> bool {
    ["_bucket", "_count", "_sum", "_total", "_seconds"].iter().any(|end| name.ends_with(end))
}

fn is_label(name: &str) -> bool {
    ["carrier_context_status", "carrier_kafka_client_name", "carrier_kafka_broker_name"].contains(&name)
}
