//! What several programs here share and none of them is about: brokers, where spans go, and how they are shown.

#![allow(clippy::print_stderr, reason = "a program says in the terminal why it ends")]

mod container;
pub mod kafka;
mod otlp;
pub mod rabbitmq;
pub mod recording;
pub mod screen;

use std::env;
use std::process::{self, ExitCode};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

use opentelemetry::trace::TracerProvider as _;
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::trace::{Sampler, SdkTracerProvider, TracerProviderBuilder};
use tracing_subscriber::Layer as _;
use tracing_subscriber::filter::filter_fn;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;

pub use crate::otlp::{otlp_endpoint, otlp_exporter, otlp_metrics_endpoint, otlp_metrics_exporter};
pub use crate::rabbitmq::connect;
use crate::recording::Recording;

/// Sends `tracing` spans to OpenTelemetry as those of `service`; keep the provider and shut it down at the end.
///
/// # Errors
///
/// Where `OTEL_EXPORTER_OTLP_ENDPOINT` cannot be used as an address.
pub fn trace_as(service: &'static str) -> anyhow::Result<SdkTracerProvider> {
    let provider = provider(service)?.build();
    let layer = tracing_opentelemetry::layer().with_tracer(provider.tracer(service));
    tracing_subscriber::registry().with(layer).init();
    Ok(provider)
}

/// As [`trace_as`], where every span is kept as well, and the provider is OpenTelemetry's global one: instrumentations
/// that are built from now on take it. Of `tracing`'s spans only those of the program are taken.
///
/// # Errors
///
/// As [`trace_as`].
pub fn record_as(service: &'static str) -> anyhow::Result<(SdkTracerProvider, Recording)> {
    let recording = Recording::default();
    // Whatever OTEL_TRACES_SAMPLER says: there is something to be shown.
    let provider = provider(service)?.with_sampler(Sampler::AlwaysOn);
    let provider = provider.with_span_processor(recording.clone()).build();
    opentelemetry::global::set_tracer_provider(provider.clone());
    let layer = tracing_opentelemetry::layer().with_tracer(provider.tracer(service));
    // Of this program alone: clients have spans of their own, which are not what is shown.
    let ours = filter_fn(move |metadata| metadata.target().starts_with(service));
    tracing_subscriber::registry().with(layer.with_filter(ours)).init();
    Ok((provider, recording))
}

/// The provider of [`trace_as`], which a program may change before it is built.
///
/// # Errors
///
/// As [`trace_as`].
pub fn provider(service: &'static str) -> anyhow::Result<TracerProviderBuilder> {
    let resource = Resource::builder().with_service_name(service).build();
    let provider = SdkTracerProvider::builder().with_resource(resource);
    // Without a collector the spans end nowhere, and their ids travel all the same.
    Ok(match otlp_endpoint() {
        Some(_) => provider.with_batch_exporter(otlp_exporter()?),
        None => provider,
    })
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

/// Returns an environment variable that is set to something.
pub fn variable(name: &str) -> Option<String> {
    env::var(name).ok().filter(|value| !value.trim().is_empty())
}

/// Returns `prefix` with an ending that no other run has used, for a queue, a topic or a file.
pub fn unique_name(prefix: &str) -> String {
    static COUNT: AtomicU64 = AtomicU64::new(0);
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let count = COUNT.fetch_add(1, Ordering::Relaxed);
    format!("{prefix}-{:x}-{:x}-{count}", process::id(), since.as_nanos())
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
