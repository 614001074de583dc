//! The telemetry of a service that exports nothing: what remains is what sending costs.

use std::time::Duration;

use opentelemetry::trace::{SpanContext, TraceContextExt as _, TraceFlags};
use opentelemetry::{Context, ContextGuard};
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::metrics::data::ResourceMetrics;
use opentelemetry_sdk::metrics::exporter::PushMetricExporter;
use opentelemetry_sdk::metrics::{SdkMeterProvider, Temporality};
use opentelemetry_sdk::trace::SdkTracerProvider;

/// The `traceparent` of the sampled parent, ready to be written.
pub(crate) const READY: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

/// Makes a parent current for this thread: that of a request, for instance, in which messages are sent.
pub(crate) fn enter(is_sampled: bool) -> ContextGuard {
    let (trace, span) = (0x0af7651916cd43dd8448eb211c80319c_u128, 0xb7ad6b7169203331_u64);
    let flags = TraceFlags::default().with_sampled(is_sampled);
    let parent = SpanContext::new(trace.into(), span.into(), flags, true, Default::default());
    Context::new().with_remote_span_context(parent).attach()
}

/// What of level 2 is measured.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Level2 {
    /// The SDK's default sampler follows the parent, so this is the parent's flag.
    pub(crate) is_recorded: bool,
    pub(crate) has_metrics: bool,
    pub(crate) skips_unsampled: bool,
}

impl Level2 {
    /// `level2-recorded`, `level2-dropped`, the same with `-metrics` behind it, `level2-skipped`.
    pub(crate) fn named(variant: &str) -> Option<Self> {
        let rest = variant.strip_prefix("level2-")?;
        let (what, has_metrics) = match rest.strip_suffix("-metrics") {
            Some(what) => (what, true),
            None => (rest, false),
        };
        let (is_recorded, skips_unsampled) = match what {
            "recorded" => (true, false),
            "dropped" => (false, false),
            "skipped" => (false, true),
            _ => return None,
        };
        Some(Self { is_recorded, has_metrics, skips_unsampled })
    }
}

/// An SDK with its defaults, and nobody who wants the spans.
pub(crate) fn tracer_provider() -> SdkTracerProvider {
    SdkTracerProvider::builder().build()
}

/// An SDK that aggregates, and collects for nobody.
pub(crate) fn meter_provider() -> SdkMeterProvider {
    SdkMeterProvider::builder().with_periodic_exporter(Discard).build()
}

/// Takes metrics and does nothing with them.
struct Discard;

impl PushMetricExporter for Discard {
    async fn export(&self, _: &ResourceMetrics) -> OTelSdkResult {
        Ok(())
    }

    fn force_flush(&self) -> OTelSdkResult {
        Ok(())
    }

    fn shutdown_with_timeout(&self, _: Duration) -> OTelSdkResult {
        Ok(())
    }

    fn temporality(&self) -> Temporality {
        Temporality::Cumulative
    }
}

/// Builds an adapter's instrumentation, whose builders have the same methods.
macro_rules! instrumentation {
    ($builder:expr, $choice:expr) => {{
        let (builder, choice): (_, crate::context::Level2) = ($builder, $choice);
        builder
            .tracer_provider(crate::context::tracer_provider())
            .meter_provider(crate::context::meter_provider())
            .metrics(choice.has_metrics)
            .skip_unsampled(choice.skips_unsampled)
            .build()
    }};
}

pub(crate) use instrumentation;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_variant_of_level_2_says_what_is_measured() {
        let level2 = |is_recorded, has_metrics, skips_unsampled| {
            Some(Level2 { is_recorded, has_metrics, skips_unsampled })
        };
        assert_eq!(Level2::named("level2-recorded"), level2(true, false, false));
        assert_eq!(Level2::named("level2-dropped-metrics"), level2(false, true, false));
        assert_eq!(Level2::named("level2-skipped"), level2(false, false, true));
        assert_eq!([Level2::named("level1"), Level2::named("level2-")], [None, None]);
    }
}
