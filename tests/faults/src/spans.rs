//! Counts spans and keeps none: memory must not grow with the telemetry of the run itself.

use std::collections::{BTreeMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use opentelemetry::Context;
use opentelemetry::trace::{Span as _, SpanId};
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::trace::{Span, SpanData, SpanProcessor};

/// How often each `error.type` was seen, by operation.
pub(crate) type Errors = BTreeMap<String, u64>;

/// The spans of one fault.
#[derive(Clone, Debug, Default)]
pub(crate) struct Spans(Arc<Mutex<Count>>);

#[derive(Clone, Debug, Default)]
pub(crate) struct Count {
    open: HashSet<SpanId>,
    pub(crate) started: u64,
    pub(crate) ended: u64,
    /// Ends of a span that was not open, and starts of one that was.
    pub(crate) out_of_turn: u64,
    /// Send spans that ended.
    pub(crate) sends: u64,
    pub(crate) errors: Errors,
}

impl Count {
    pub(crate) fn open(&self) -> usize {
        self.open.len()
    }

    pub(crate) fn each_ended_once(&self) -> bool {
        self.open.is_empty() && self.out_of_turn == 0 && self.started == self.ended
    }
}

impl Spans {
    fn lock(&self) -> MutexGuard<'_, Count> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn count(&self) -> Count {
        self.lock().clone()
    }
}

impl SpanProcessor for Spans {
    fn on_start(&self, span: &mut Span, _: &Context) {
        let mut count = self.lock();
        count.started += 1;
        let is_new = count.open.insert(span.span_context().span_id());
        count.out_of_turn += u64::from(!is_new);
    }

    fn on_end(&self, span: SpanData) {
        let value = |key: &str| {
            let pair = span.attributes.iter().find(|pair| pair.key.as_str() == key);
            pair.map(|pair| pair.value.to_string())
        };
        let operation = value("messaging.operation.name").unwrap_or_default();
        let error = value("error.type");
        let mut count = self.lock();
        count.ended += 1;
        count.sends += u64::from(operation == "send");
        let was_open = count.open.remove(&span.span_context.span_id());
        count.out_of_turn += u64::from(!was_open);
        if let Some(error) = error {
            *count.errors.entry(format!("{operation}: {error}")).or_default() += 1;
        }
    }

    fn force_flush(&self) -> OTelSdkResult {
        Ok(())
    }

    fn shutdown_with_timeout(&self, _: Duration) -> OTelSdkResult {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use opentelemetry::KeyValue;
    use opentelemetry::trace::{Tracer as _, TracerProvider as _};
    use opentelemetry_sdk::trace::SdkTracerProvider;

    use super::*;

    #[test]
    fn a_span_that_is_open_is_not_ended_once() {
        let spans = Spans::default();
        let provider = SdkTracerProvider::builder().with_span_processor(spans.clone()).build();
        let mut span = provider.tracer("").start("send orders");
        assert!(!spans.count().each_ended_once());
        span.set_attribute(KeyValue::new("messaging.operation.name", "send"));
        span.set_attribute(KeyValue::new("error.type", "nack"));
        drop(span);
        let count = spans.count();
        assert!(count.each_ended_once());
        assert_eq!((count.sends, count.errors), (1, Errors::from([("send: nack".to_owned(), 1)])));
    }

    #[test]
    fn an_end_without_a_start_is_out_of_turn() {
        let spans = Spans::default();
        let late = SdkTracerProvider::builder().with_span_processor(spans.clone()).build();
        let span = late.tracer("").start("send orders");
        spans.lock().open.clear();
        drop(span);
        assert!(!spans.count().each_ended_once());
    }
}
