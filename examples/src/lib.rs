//! What several programs here share and none of them is about: where spans go, and addresses fit to be shown.

#![allow(clippy::print_stderr, reason = "a program says in the terminal why it ends")]

pub mod screen;

use std::env;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::anyhow;
use lapin::uri::AMQPUri;
use lapin::{Connection, ConnectionProperties};
use opentelemetry::trace::TracerProvider as _;
use opentelemetry_otlp::{MetricExporter, Protocol, SpanExporter, WithExportConfig as _};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::trace::SdkTracerProvider;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;

/// How long RabbitMQ may take to answer before it counts as absent.
const CONNECT_LIMIT: Duration = Duration::from_secs(5);

/// The variables that OpenTelemetry gives the address of a collector in.
const OTLP_VARIABLES: [&str; 2] = ["OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT"];

/// The same for metrics.
const OTLP_METRICS_VARIABLES: [&str; 2] =
    ["OTEL_EXPORTER_OTLP_METRICS_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT"];

/// Sends `tracing` spans to OpenTelemetry as those of `service`; keep the provider and shut it down at the end.
///
/// # Errors
///
/// Where `OTEL_EXPORTER_OTLP_ENDPOINT` cannot be used as an address.
pub fn trace_as(service: &'static str) -> anyhow::Result<SdkTracerProvider> {
    let resource = Resource::builder().with_service_name(service).build();
    let mut provider = SdkTracerProvider::builder().with_resource(resource);
    // Without a collector the spans end nowhere, and their ids travel all the same.
    if otlp_endpoint().is_some() {
        provider = provider.with_batch_exporter(otlp_exporter()?);
    }
    let provider = provider.build();
    let layer = tracing_opentelemetry::layer().with_tracer(provider.tracer(service));
    tracing_subscriber::registry().with(layer).init();
    Ok(provider)
}

/// Ends a program: an error is one plain line, where returning it from `main` shows a backtrace to many.
pub fn exit_code(result: anyhow::Result<()>) -> ExitCode {
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{}", one_line(&error));
            ExitCode::FAILURE
        }
    }
}

/// Returns an error with its causes, each said once: many clients repeat the cause in their own text.
pub fn one_line(error: &anyhow::Error) -> String {
    error.chain().fold(String::new(), |said, cause| {
        let cause = cause.to_string();
        match said.as_str() {
            "" => cause,
            _ if said.contains(&cause) => said,
            _ => format!("{said}: {cause}"),
        }
    })
}

/// Returns where spans are to be sent, if anywhere.
pub fn otlp_endpoint() -> Option<String> {
    OTLP_VARIABLES.into_iter().find_map(variable)
}

/// Creates an exporter for [`otlp_endpoint`]: OTLP over HTTP, as protobuf.
///
/// # Errors
///
/// Where the address cannot be used, with the address.
pub fn otlp_exporter() -> anyhow::Result<SpanExporter> {
    // It reads the variables itself and knows which one takes `/v1/traces` behind it.
    let exporter = SpanExporter::builder().with_http().with_protocol(Protocol::HttpBinary).build()?;
    Ok(exporter)
}

/// Returns where metrics are to be sent, if anywhere.
pub fn otlp_metrics_endpoint() -> Option<String> {
    OTLP_METRICS_VARIABLES.into_iter().find_map(variable)
}

/// Creates an exporter for [`otlp_metrics_endpoint`], as [`otlp_exporter`] does for spans.
///
/// # Errors
///
/// Where the address cannot be used, with the address.
pub fn otlp_metrics_exporter() -> anyhow::Result<MetricExporter> {
    Ok(MetricExporter::builder().with_http().with_protocol(Protocol::HttpBinary).build()?)
}

/// Connects to RabbitMQ, within five seconds.
///
/// # Errors
///
/// Where nothing usable answers there: one line with the address and never the password.
pub async fn connect(amqp_url: &str) -> anyhow::Result<Connection> {
    let shown = without_password(amqp_url);
    // The parser's own words can hold the password.
    let uri: AMQPUri = amqp_url
        .parse()
        .map_err(|_| anyhow!("AMQP_URL={shown} is no address like amqp://user:password@host:5672/%2f"))?;
    let connecting = Connection::connect_uri(uri, ConnectionProperties::default());
    match tokio::time::timeout(CONNECT_LIMIT, connecting).await {
        Ok(connected) => connected.map_err(|error| anyhow!("no RabbitMQ at AMQP_URL={shown}: {error}")),
        Err(_) => {
            Err(anyhow!("no RabbitMQ at AMQP_URL={shown}: no answer within {} s", CONNECT_LIMIT.as_secs()))
        }
    }
}

/// Returns an environment variable that is set to something.
pub fn variable(name: &str) -> Option<String> {
    env::var(name).ok().filter(|value| !value.trim().is_empty())
}

/// Returns an address without user and password, for a terminal.
pub fn without_password(address: &str) -> String {
    let (scheme, rest) = match address.split_once("://") {
        Some((scheme, rest)) => (format!("{scheme}://"), rest),
        None => (String::new(), address),
    };
    let host = rest.rsplit_once('@').map_or(rest, |(_, host)| host);
    format!("{scheme}{host}")
}

#[cfg(test)]
mod tests {
    use super::without_password;

    #[test]
    fn a_password_is_not_shown() {
        assert_eq!(without_password("amqp://guest:se@ret@host:5672/%2f"), "amqp://host:5672/%2f");
        assert_eq!(without_password("amqp://host"), "amqp://host");
        assert_eq!(without_password("user:secret@host"), "host");
        assert_eq!(without_password("nonsense"), "nonsense");
    }
}
