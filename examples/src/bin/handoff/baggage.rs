//! Baggage as an attribute of each span, whoever starts it.

use std::time::Duration;

use opentelemetry::baggage::BaggageExt as _;
use opentelemetry::trace::Span as _;
use opentelemetry::{Context, KeyValue};
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::trace::{Span, SpanData, SpanProcessor};

/// Copies the tenant: baggage travels beside the span and is no part of it.
#[derive(Debug)]
pub(crate) struct Tenant;

impl SpanProcessor for Tenant {
    fn on_start(&self, span: &mut Span, cx: &Context) {
        if let Some(tenant) = cx.baggage().get("tenant") {
            span.set_attribute(KeyValue::new("tenant", tenant.clone()));
        }
    }

    fn on_end(&self, _: SpanData) {}

    fn force_flush(&self) -> OTelSdkResult {
        Ok(())
    }

    fn shutdown_with_timeout(&self, _: Duration) -> OTelSdkResult {
        Ok(())
    }
}
