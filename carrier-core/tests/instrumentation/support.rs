//! Messages, contexts, samplers and futures that the tests have in common.

use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context as Task, Poll, Waker};

use carrier_core::instrumentation::{Destination, Incoming};
use opentelemetry::trace::{
    Link, SpanContext, SpanKind, TraceContextExt as _, TraceFlags, TraceId, TraceState,
};
use opentelemetry::{Context, KeyValue};
use opentelemetry_sdk::trace::{SamplingDecision, SamplingResult, ShouldSample};

use crate::seen::{Attributes, Linked, linked, sorted};

/// A list, so that a header can be there twice.
pub(crate) type Headers = Vec<(String, String)>;

pub(crate) fn headers(pairs: &[(&str, &str)]) -> Headers {
    pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
}

pub(crate) fn traceparent(trace: u128, span: u64, flags: u8) -> String {
    format!("00-{trace:032x}-{span:016x}-{flags:02x}")
}

/// A message that a sampled span has sent: trace 7, span 8.
pub(crate) fn sent() -> Headers {
    headers(&[("traceparent", &traceparent(7, 8, 1))])
}

pub(crate) fn orders() -> Destination {
    Destination::new("orders")
}

pub(crate) fn from_orders() -> Incoming {
    Incoming::new(orders())
}

/// A span in another process, as a context.
pub(crate) fn remote(trace: u128, span: u64, flags: TraceFlags) -> Context {
    let span = SpanContext::new(trace.into(), span.into(), flags, true, TraceState::NONE);
    Context::new().with_remote_span_context(span)
}

/// What a sampler was asked with.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Asked {
    pub(crate) name: String,
    pub(crate) kind: SpanKind,
    pub(crate) attributes: Attributes,
    pub(crate) links: Vec<Linked>,
}

/// A sampler that remembers, and decides as it is told.
#[derive(Debug, Clone)]
pub(crate) struct Asking(SamplingDecision, Arc<Mutex<Vec<Asked>>>);

impl Asking {
    pub(crate) fn and(decision: SamplingDecision) -> Self {
        Self(decision, Arc::default())
    }

    pub(crate) fn asked(&self) -> Vec<Asked> {
        self.1.lock().unwrap().clone()
    }
}

impl ShouldSample for Asking {
    fn should_sample(
        &self,
        _: Option<&Context>,
        _: TraceId,
        name: &str,
        kind: &SpanKind,
        attributes: &[KeyValue],
        links: &[Link],
    ) -> SamplingResult {
        let asked = Asked {
            name: name.to_owned(),
            kind: kind.clone(),
            attributes: sorted(attributes),
            links: linked(links),
        };
        self.1.lock().unwrap().push(asked);
        SamplingResult { decision: self.0.clone(), attributes: Vec::new(), trace_state: TraceState::NONE }
    }
}

/// Polls once.
pub(crate) fn poll<F: Future + ?Sized>(future: Pin<&mut F>) -> Poll<F::Output> {
    future.poll(&mut Task::from_waker(Waker::noop()))
}

/// Polls until it is ready; nothing here waits for anything but its next poll.
pub(crate) fn block_on<F: Future>(future: F) -> F::Output {
    let mut future = std::pin::pin!(future);
    loop {
        if let Poll::Ready(output) = poll(future.as_mut()) {
            return output;
        }
    }
}

/// Is ready at the second poll.
pub(crate) fn yielded() -> impl Future<Output = ()> {
    let mut is_second = false;
    std::future::poll_fn(move |_| match std::mem::replace(&mut is_second, true) {
        true => Poll::Ready(()),
        false => Poll::Pending,
    })
}

pub(crate) fn current_span() -> SpanContext {
    Context::map_current(|cx| cx.span().span_context().clone())
}
