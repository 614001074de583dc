//! The collector that the environment names. Without the feature `otlp` nothing can be sent to it.

#[cfg(feature = "otlp")]
use opentelemetry_otlp::{MetricExporter, Protocol, SpanExporter, WithExportConfig as _};
#[cfg(not(feature = "otlp"))]
use opentelemetry_sdk::{
    metrics::InMemoryMetricExporter as MetricExporter, trace::InMemorySpanExporter as SpanExporter,
};

use crate::variable;

/// The variables that OpenTelemetry gives the address of a collector in.
const OTLP_VARIABLES: [&str; 2] = ["OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT"];

/// The same for metrics.
const OTLP_METRICS_VARIABLES: [&str; 2] =
    ["OTEL_EXPORTER_OTLP_METRICS_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT"];

#[cfg(not(feature = "otlp"))]
const LEFT_OUT: &str = "this program is built without the feature `otlp`";

/// Returns where spans are to be sent, if anywhere.
pub fn otlp_endpoint() -> Option<String> {
    OTLP_VARIABLES.into_iter().find_map(variable)
}

/// Creates an exporter for [`otlp_endpoint`]: OTLP over HTTP, as protobuf.
///
/// # Errors
///
/// Where the address cannot be used, with the address; without the feature `otlp` always.
pub fn otlp_exporter() -> anyhow::Result<SpanExporter> {
    // It reads the variables itself and knows which one takes `/v1/traces` behind it.
    #[cfg(feature = "otlp")]
    return Ok(SpanExporter::builder().with_http().with_protocol(Protocol::HttpBinary).build()?);
    #[cfg(not(feature = "otlp"))]
    anyhow::bail!(LEFT_OUT)
}

/// Returns where metrics are to be sent, if anywhere.
pub fn otlp_metrics_endpoint() -> Option<String> {
    OTLP_METRICS_VARIABLES.into_iter().find_map(variable)
}

/// Creates an exporter for [`otlp_metrics_endpoint`], as [`otlp_exporter`] does for spans.
///
/// # Errors
///
/// As [`otlp_exporter`].
pub fn otlp_metrics_exporter() -> anyhow::Result<MetricExporter> {
    #[cfg(feature = "otlp")]
    return Ok(MetricExporter::builder().with_http().with_protocol(Protocol::HttpBinary).build()?);
    #[cfg(not(feature = "otlp"))]
    anyhow::bail!(LEFT_OUT)
}
