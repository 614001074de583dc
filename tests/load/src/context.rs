//! The telemetry of a service that exports nothing: what remains is the cost of sending.

use carrier_measure::{PARENT, UNSAMPLED};
use opentelemetry::ContextGuard;
use opentelemetry_sdk::metrics::{InMemoryMetricExporter, SdkMeterProvider};
use opentelemetry_sdk::testing::trace::NoopSpanExporter;
use opentelemetry_sdk::trace::SdkTracerProvider;

/// Sets the program up as the README does.
pub(crate) fn install() {
    // A variant that ran before in this process has installed the same.
    let _ = carrier_core::Propagation::w3c().install();
}

/// Makes a parent current for this thread, such as the span of a request in which messages are sent. The SDK's default
/// sampler follows it.
pub(crate) fn enter(variant: &str) -> ContextGuard {
    let parent = if is_recorded(variant) { PARENT } else { UNSAMPLED };
    carrier_measure::extract_one(parent.as_bytes()).unwrap_or_default().attach()
}

pub(crate) fn is_recorded(variant: &str) -> bool {
    !variant.contains("dropped") && !variant.contains("skipped")
}

/// Whether the instrumentation is measured: `level2-recorded`, `level2-dropped`, `level2-skipped`, the same with `-metrics`.
pub(crate) fn is_level2(variant: &str) -> bool {
    variant.starts_with("level2-")
}

/// An SDK with its defaults. Spans are exported to nowhere, or not at all.
pub(crate) fn tracer_provider(variant: &str) -> SdkTracerProvider {
    let builder = SdkTracerProvider::builder();
    if variant.contains("exported") { builder.with_batch_exporter(NoopSpanExporter::new()) } else { builder }
        .build()
}

/// An SDK that aggregates.
pub(crate) fn meter_provider() -> SdkMeterProvider {
    SdkMeterProvider::builder().with_periodic_exporter(InMemoryMetricExporter::default()).build()
}

/// Builds an adapter's instrumentation: both builders have the same methods.
macro_rules! instrumentation {
    ($builder:expr, $variant:expr) => {
        $builder
            .tracer_provider(crate::context::tracer_provider($variant))
            .meter_provider(crate::context::meter_provider())
            .metrics($variant.ends_with("-metrics"))
            .skip_unsampled($variant.contains("skipped"))
            .build()
    };
}

pub(crate) use instrumentation;
