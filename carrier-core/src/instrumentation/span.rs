//! The one place where a span starts, and where span and metrics end.

use std::fmt;
use std::sync::Arc;
use std::time::{Instant, SystemTime};

use opentelemetry::trace::{Span as _, SpanBuilder, Status, TraceContextExt as _, Tracer};
use opentelemetry::{Context, Key, KeyValue, StringValue, Value};

use super::attribute;
#[cfg(feature = "tracing")]
use super::event::MissingProvider;
use super::links::Links;
#[cfg(feature = "tracing")]
use super::links::is_same;
use super::metrics::{Measurement, Metrics, QueueTime, StartTime};
use super::operation::{Client, Destination, Operation};
use super::outcome::Failure;

/// Where the telemetry of all operations goes.
#[derive(Debug, Clone)]
pub(super) struct Telemetry {
    pub(super) tracer: Arc<dyn AnyTracer>,
    pub(super) metrics: Option<Arc<Metrics>>,
    pub(super) client: Arc<Client>,
    pub(super) skip_unsampled: bool,
    pub(super) link_parent: bool,
    #[cfg(feature = "tracing")]
    pub(super) missing_provider: MissingProvider,
}

impl Telemetry {
    /// The start time, which only metrics need: without it, the SDK reads the clock.
    pub(super) fn start_time(&self) -> Option<StartTime> {
        self.metrics.as_ref().map(|_| StartTime::now())
    }

    /// Whether no span is started below this parent.
    pub(super) fn is_skipped(&self, parent: &Context) -> bool {
        let span = parent.span();
        let span = span.span_context();
        self.skip_unsampled && span.is_valid() && !span.is_sampled()
    }
}

/// An operation in progress: its span and its metrics.
///
/// Kept small because it is moved often. Metric data is boxed; the owner holds the `Context` that contains the span.
#[derive(Debug)]
pub(super) struct OperationSpan {
    is_recording: bool,
    has_partition: bool,
    measurement: Option<Box<Measurement>>,
}

impl OperationSpan {
    /// Starts a span below `parent`, and returns the context of the operation.
    ///
    /// Returns `None` if the span is not recorded and nothing is measured: then there is nothing to end.
    pub(super) fn start(
        telemetry: &Telemetry,
        operation: Operation,
        destination: impl FnOnce() -> Destination,
        start: Option<StartTime>,
        parent: &Context,
        links: impl FnOnce(&Destination, &mut Links),
        details: impl FnOnce(&mut Details<'_>),
    ) -> (Context, Option<Self>) {
        let is_skipped = telemetry.is_skipped(parent);
        if is_skipped && telemetry.metrics.is_none() {
            return (parent.clone(), None);
        }
        let destination = destination();
        let has_partition = destination.partition.is_some();
        let measurement = telemetry.metrics.as_ref().zip(start).map(|(metrics, start)| {
            let (metrics, client) = (Arc::clone(metrics), Arc::clone(&telemetry.client));
            let (operation, destination) = (operation.clone(), destination.clone());
            Box::new(Measurement { metrics, client, operation, destination, start })
        });
        if is_skipped {
            return (parent.clone(), Some(Self { is_recording: false, has_partition, measurement }));
        }
        let mut to = Links::below(parent, telemetry.link_parent);
        links(&destination, &mut to);
        let (context, is_recording) =
            start_span(telemetry, operation, destination, start, parent, to, details);
        let is_observed = is_recording || measurement.is_some();
        (context, is_observed.then_some(Self { is_recording, has_partition, measurement }))
    }

    /// Adds attributes that became known after the start, if the span is recorded.
    pub(super) fn details(&self, context: &Context, details: impl FnOnce(&mut Details<'_>)) {
        if self.is_recording {
            let span = context.span();
            details(&mut Details(&mut |attribute| span.set_attribute(attribute)));
        }
    }

    /// Sets the partition on the span and on the metrics, unless it is known already.
    pub(super) fn partition(&mut self, context: &Context, id: StringValue) {
        // An SDK would keep both values.
        if std::mem::replace(&mut self.has_partition, true) {
            return;
        }
        let key = attribute::MESSAGING_DESTINATION_PARTITION_ID;
        self.details(context, |span| span.set(key, id.clone()));
        if let Some(measurement) = &mut self.measurement {
            measurement.partition(id);
        }
    }

    /// Counts messages as consumed, and records how long each was in the queue.
    pub(super) fn consumed(&self, messages: u64, queue_times: &[QueueTime]) {
        if let Some(measurement) = &self.measurement {
            measurement.consumed(messages, queue_times);
        }
    }

    /// Ends the span now. Nothing is counted or measured, because the outcome is unknown.
    pub(super) fn abandon(self, context: &Context) {
        if self.is_recording {
            context.span().end();
        }
    }

    /// Ends the span and records the duration, now or at an earlier time. Both have the same end time and failure.
    pub(super) fn end(self, context: &Context, failure: Option<Failure>, ended: Option<Instant>) {
        let measured = self.measurement.map(|measurement| measurement.end(failure.as_ref(), ended));
        if !self.is_recording {
            return;
        }
        let span = context.span();
        if let Some(failure) = failure {
            span.set_attribute(failure.attribute());
            span.set_status(Status::Error { description: failure.into_description() });
        }
        match measured.or_else(|| ended.and_then(wall_clock)) {
            Some(ended) => span.end_with_timestamp(ended),
            None => span.end(),
        }
    }
}

fn wall_clock(time: Instant) -> Option<SystemTime> {
    SystemTime::now().checked_sub(time.elapsed())
}

/// Starts a span, and returns its context and whether it is recorded.
fn start_span(
    telemetry: &Telemetry,
    operation: Operation,
    destination: Destination,
    start: Option<StartTime>,
    parent: &Context,
    links: Links,
    details: impl FnOnce(&mut Details<'_>),
) -> (Context, bool) {
    let client = &*telemetry.client;
    let (is_temporary, is_anonymous) = (destination.is_temporary, destination.is_anonymous);
    let name = destination.span_name(&operation.name, client.server.as_ref());
    let builder = SpanBuilder {
        span_kind: Some(operation.span_kind.clone()),
        name,
        start_time: start.map(|start| start.at),
        attributes: Some(sampler_attributes(client, operation, destination)),
        links: Some(links.into_vec()),
        ..SpanBuilder::default()
    };
    let mut details = Some(details);
    let started = telemetry.tracer.start(builder, parent, &mut |span| {
        if let Some(id) = &client.client_id {
            span.set(attribute::MESSAGING_CLIENT_ID, id.clone());
        }
        if is_temporary {
            span.set(attribute::MESSAGING_DESTINATION_TEMPORARY, true);
        }
        if is_anonymous {
            span.set(attribute::MESSAGING_DESTINATION_ANONYMOUS, true);
        }
        if let Some(details) = details.take() {
            details(span);
        }
    });
    // An SDK gives a span that is not sampled its own id.
    #[cfg(feature = "tracing")]
    if !started.1 && is_same(started.0.span().span_context(), parent.span().span_context()) {
        telemetry.missing_provider.report();
    }
    started
}

/// The attributes that a sampler may read ("SHOULD be provided at span creation time").
fn sampler_attributes(client: &Client, operation: Operation, destination: Destination) -> Vec<KeyValue> {
    // Room for these and a few details. Not more: a producer may have a hundred thousand spans in progress.
    let of_server = client.server.as_ref().map_or(0, |server| 1 + usize::from(server.port.is_some()));
    let mut attributes = Vec::with_capacity(of_server + 9);
    client.attributes(operation.kind, &mut attributes);
    attributes.push(KeyValue::new(attribute::MESSAGING_OPERATION_NAME, operation.name));
    attributes.push(KeyValue::new(attribute::MESSAGING_OPERATION_TYPE, operation.kind.as_str()));
    destination.span_attributes(&mut attributes);
    attributes
}

/// Sets attributes on a span or link that is known to be recorded.
///
/// Attributes that a sampler may read are set at the start. All others are set here, and cost nothing if the span is not
/// recorded.
pub struct Details<'a>(&'a mut dyn FnMut(KeyValue));

impl Details<'_> {
    /// Sets an attribute.
    pub fn set(&mut self, key: impl Into<Key>, value: impl Into<Value>) {
        (self.0)(KeyValue::new(key, value));
    }

    /// The attributes as a list, for a link.
    pub(super) fn collect(details: impl FnOnce(&mut Details<'_>)) -> Vec<KeyValue> {
        let mut attributes = Vec::new();
        details(&mut Details(&mut |attribute| attributes.push(attribute)));
        attributes
    }
}

impl fmt::Debug for Details<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Details").finish_non_exhaustive()
    }
}

/// A tracer of any type. It puts the span into a context while the span's type is known, so that it is boxed once.
pub(super) trait AnyTracer: Send + Sync {
    /// Returns the parent's context with the span in it, and whether the span is recorded.
    fn start(
        &self,
        builder: SpanBuilder,
        parent: &Context,
        details: &mut dyn FnMut(&mut Details<'_>),
    ) -> (Context, bool);
}

impl fmt::Debug for dyn AnyTracer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Tracer")
    }
}

impl<T> AnyTracer for T
where
    T: Tracer + Send + Sync,
    T::Span: Send + Sync + 'static,
{
    fn start(
        &self,
        builder: SpanBuilder,
        parent: &Context,
        details: &mut dyn FnMut(&mut Details<'_>),
    ) -> (Context, bool) {
        let mut span = self.build_with_context(builder, parent);
        // A context does not return a span without ids, so it could not be ended.
        if span.is_recording() && span.span_context().is_valid() {
            details(&mut Details(&mut |attribute| span.set_attribute(attribute)));
            return (parent.with_span(span), true);
        }
        let own = span.span_context();
        // Without an SDK there may be no span. An invalid one in the context would hide the parent, also from samplers.
        let context = match own.is_valid() && own != parent.span().span_context() {
            // Only its ids are used; a remote span context needs no box.
            true => parent.with_remote_span_context(own.clone()),
            false => parent.clone(),
        };
        (context, false)
    }
}
