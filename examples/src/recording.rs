//! The spans of a program, kept to be shown and checked when it is done.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use opentelemetry::trace::{SpanId, TraceId};
use opentelemetry::{Context, Value};
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::trace::{Span, SpanData, SpanProcessor};

/// Keeps every span that ends, and knows which ones have not.
#[derive(Clone, Debug, Default)]
pub struct Recording(Arc<Mutex<Kept>>);

#[derive(Debug, Default)]
struct Kept {
    ended: Vec<SpanData>,
    /// How often each span that was started has ended.
    ends: HashMap<SpanId, usize>,
}

impl Recording {
    /// Returns the spans that have ended, in the order they began.
    pub fn spans(&self) -> Vec<SpanData> {
        let mut spans = self.kept().ended.clone();
        spans.sort_by_key(|span| span.start_time);
        spans
    }

    /// Returns how many spans were started, and how many of them have not ended exactly once.
    pub fn count(&self) -> (usize, usize) {
        let kept = self.kept();
        (kept.ends.len(), kept.ends.values().filter(|ends| **ends != 1).count())
    }

    fn kept(&self) -> std::sync::MutexGuard<'_, Kept> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl SpanProcessor for Recording {
    fn on_start(&self, span: &mut Span, _: &Context) {
        use opentelemetry::trace::Span as _;
        self.kept().ends.insert(span.span_context().span_id(), 0);
    }

    fn on_end(&self, span: SpanData) {
        let mut kept = self.kept();
        *kept.ends.entry(span.span_context.span_id()).or_default() += 1;
        kept.ended.push(span);
    }

    fn force_flush(&self) -> OTelSdkResult {
        Ok(())
    }

    fn shutdown_with_timeout(&self, _: Duration) -> OTelSdkResult {
        Ok(())
    }
}

/// Returns an attribute of a span.
pub fn attribute<'a>(span: &'a SpanData, key: &str) -> Option<&'a Value> {
    span.attributes.iter().find(|pair| pair.key.as_str() == key).map(|pair| &pair.value)
}

/// Returns the spans of one trace, each behind its parent, and how deep each is below the trace's first one.
pub fn tree(spans: &[SpanData], trace: TraceId) -> Vec<(usize, &SpanData)> {
    let of_trace: Vec<_> = spans.iter().filter(|span| span.span_context.trace_id() == trace).collect();
    let is_there = |id: SpanId| of_trace.iter().any(|span| span.span_context.span_id() == id);
    let mut rows = Vec::new();
    for root in of_trace.iter().filter(|span| !is_there(span.parent_span_id)) {
        add(&mut rows, &of_trace, root, 0);
    }
    rows
}

fn add<'a>(rows: &mut Vec<(usize, &'a SpanData)>, spans: &[&'a SpanData], span: &'a SpanData, depth: usize) {
    rows.push((depth, span));
    let id = span.span_context.span_id();
    for child in spans.iter().filter(|child| child.parent_span_id == id) {
        add(rows, spans, child, depth + 1);
    }
}

/// Returns a span's name behind the branch that it hangs on.
pub fn branch(depth: usize, span: &SpanData) -> String {
    match depth {
        0 => span.name.to_string(),
        _ => format!("{}└ {}", "  ".repeat(depth - 1), span.name),
    }
}

/// Returns the traces that spans belong to, each once, in the order of the spans.
pub fn traces<'a>(spans: impl IntoIterator<Item = &'a SpanData>) -> Vec<TraceId> {
    let mut traces = Vec::new();
    for span in spans {
        let trace = span.span_context.trace_id();
        if !traces.contains(&trace) {
            traces.push(trace);
        }
    }
    traces
}
