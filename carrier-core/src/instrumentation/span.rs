//! The one place where a span starts, and where span and metrics end.

use std::fmt;
use std::sync::Arc;
use std::time::{Instant, SystemTime};

use opentelemetry::trace::{Span as _, SpanBuilder, Status, TraceContextExt as _, Tracer};
use opentelemetry::{Context, KeyValue, StringValue};
use smallvec::SmallVec;

use super::attribute;
use super::details::Details;
#[cfg(feature = "tracing")]
use super::event::MissingProvider;
use super::hook::{Ended, Hooks, MessageView, Seen};
use super::links::Links;
#[cfg(feature = "tracing")]
use super::links::is_same;
use super::metrics::{Measurement, Metrics, Received, StartTime};
use super::operation::{Client, Destination, Operation, OperationType};
use super::outcome::Failure;
#[cfg(feature = "tracing-spans")]
use super::traced;
use crate::propagation::attached;

/// Where the telemetry of all operations goes.
#[derive(Debug, Clone)]
pub(super) struct Telemetry {
    pub(super) tracer: Arc<dyn AnyTracer>,
    pub(super) metrics: Option<Arc<Metrics>>,
    pub(super) client: Arc<Client>,
    pub(super) skip_unsampled: bool,
    pub(super) link_parent: bool,
    pub(super) body_size: bool,
    pub(super) hooks: Hooks,
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

/// What an operation starts with.
pub(super) struct Start<'a> {
    pub(super) telemetry: &'a Telemetry,
    pub(super) operation: Operation,
    pub(super) at: Option<StartTime>,
    pub(super) parent: &'a Context,
    /// The message of an operation on a single one.
    pub(super) message: Option<&'a dyn Seen>,
}

/// An operation in progress: its span and its metrics.
///
/// Kept small because it is moved often. Metric data is boxed; the owner holds the `Context` that contains the span.
#[derive(Debug)]
pub(super) struct OperationSpan {
    kind: OperationType,
    recording: Recording,
    has_partition: bool,
    hooks: Hooks,
    measurement: Option<Box<Measurement>>,
}

impl OperationSpan {
    /// Starts a span, and returns the context of the operation.
    ///
    /// Returns `None` if the span is not recorded, nothing is measured, and there is no hook: then there is nothing to end.
    pub(super) fn start(
        start: Start<'_>,
        destination: impl FnOnce() -> Destination,
        links: impl FnOnce(&Destination, &mut Links),
        details: impl FnOnce(&mut Details<'_>),
    ) -> (Context, Option<Self>) {
        let Start { telemetry, ref operation, at, parent, .. } = start;
        let is_skipped = telemetry.is_skipped(parent);
        if is_skipped && telemetry.metrics.is_none() && telemetry.hooks.is_empty() {
            return (parent.clone(), None);
        }
        let destination = destination();
        let (kind, has_partition) = (operation.kind, destination.partition.is_some());
        let measurement = telemetry.metrics.as_ref().zip(at).map(|(metrics, start)| {
            let (metrics, client) = (Arc::clone(metrics), Arc::clone(&telemetry.client));
            let (operation, destination) = (operation.clone(), destination.clone());
            Box::new(Measurement { metrics, client, operation, destination, start, waited: SmallVec::new() })
        });
        let hooks = telemetry.hooks.clone();
        if is_skipped {
            let span = Self { kind, recording: Recording::default(), has_partition, hooks, measurement };
            return (parent.clone(), Some(span));
        }
        let mut to = Links::below(parent, telemetry.link_parent);
        links(&destination, &mut to);
        let (context, recording) = start_span(start, destination, to, details);
        let is_observed = recording != Recording::default() || measurement.is_some() || !hooks.is_empty();
        (context, is_observed.then_some(Self { kind, recording, has_partition, hooks, measurement }))
    }

    /// Adds attributes that became known after the start, if the span is recorded.
    pub(super) fn details(&self, context: &Context, details: impl FnOnce(&mut Details<'_>)) {
        self.recording.details(context, details);
    }

    /// Whether the context has a `tracing` span of this operation.
    #[cfg(feature = "tracing-spans")]
    pub(super) fn is_traced(&self) -> bool {
        self.recording.is_traced
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
    pub(super) fn consumed(&mut self, context: &Context, messages: &[Received]) {
        if let Some(measurement) = &mut self.measurement {
            let _exemplar = attached(context);
            measurement.consumed(messages);
        }
    }

    /// Calls the hooks at the end.
    fn ending(&self, context: &Context, outcome: Option<Result<(), &Failure>>) {
        if !self.hooks.is_empty() {
            let ended = Ended { operation: self.kind, outcome, context };
            let set = &mut |attribute| self.recording.details(context, |span| (span.0)(attribute));
            self.hooks.end(&ended, &mut Details(set));
        }
    }

    /// Ends the span now. Nothing is counted or measured, because the outcome is unknown.
    pub(super) fn abandon(self, context: &Context) {
        self.ending(context, None);
        if self.recording.is_recording {
            context.span().end();
        }
        #[cfg(feature = "tracing-spans")]
        self.recording.close(context);
    }

    /// Ends the span and records the duration, now or at an earlier time. Both have the same end time and failure.
    pub(super) fn end(self, context: &Context, failure: Option<Failure>, ended: Option<Instant>) {
        self.ending(context, Some(failure.as_ref().map_or(Ok(()), Err)));
        let recording = self.recording;
        let measured = self.measurement.map(|measurement| {
            let _exemplar = attached(context);
            measurement.end(failure.as_ref(), ended)
        });
        if let Some(failure) = &failure {
            recording.details(context, |span| (span.0)(failure.attribute()));
        }
        if recording.is_recording {
            let span = context.span();
            if let Some(failure) = failure {
                span.set_status(Status::Error { description: failure.into_description() });
            }
            match measured.or_else(|| ended.and_then(wall_clock)) {
                Some(ended) => span.end_with_timestamp(ended),
                None => span.end(),
            }
        }
        #[cfg(feature = "tracing-spans")]
        recording.close(context);
    }
}

fn wall_clock(time: Instant) -> Option<SystemTime> {
    SystemTime::now().checked_sub(time.elapsed())
}

/// What has to be ended.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Recording {
    /// The OpenTelemetry span of the operation's context is its own, and is recorded.
    pub(super) is_recording: bool,
    /// The operation's context has its `tracing` span.
    #[cfg(feature = "tracing-spans")]
    pub(super) is_traced: bool,
}

impl Recording {
    fn recorded() -> Self {
        Self {
            is_recording: true,
            #[cfg(feature = "tracing-spans")]
            is_traced: false,
        }
    }

    fn details(self, context: &Context, details: impl FnOnce(&mut Details<'_>)) {
        #[cfg(feature = "tracing-spans")]
        if self.is_traced {
            return traced::details(context, self.is_recording, details);
        }
        if self.is_recording {
            let span = context.span();
            details(&mut Details(&mut |attribute| span.set_attribute(attribute)));
        }
    }

    #[cfg(feature = "tracing-spans")]
    fn close(self, context: &Context) {
        if self.is_traced {
            traced::close(context);
        }
    }
}

/// Starts a span, and returns its context and whether it is recorded.
fn start_span(
    start: Start<'_>,
    destination: Destination,
    links: Links,
    details: impl FnOnce(&mut Details<'_>),
) -> (Context, Recording) {
    let Start { telemetry, operation, at, parent, message } = start;
    let client = &*telemetry.client;
    let kind = operation.kind;
    let hooked =
        message.filter(|_| !telemetry.hooks.is_empty()).map(|message| (message, destination.clone()));
    let view = hooked.as_ref().map(|(message, destination)| MessageView {
        operation: kind,
        destination,
        message: *message,
    });
    let (is_temporary, is_anonymous) = (destination.is_temporary, destination.is_anonymous);
    let name = destination.span_name(&operation.name, client.server.as_ref());
    let span_kind = Some(operation.span_kind.clone());
    let mut attributes = sampler_attributes(client, operation, destination);
    if let Some(view) = &view {
        telemetry.hooks.start(view, &mut attributes);
    }
    let builder = SpanBuilder {
        span_kind,
        name,
        start_time: at.map(|start| start.at),
        attributes: Some(attributes),
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
        if let (true, Some(message)) = (telemetry.body_size, message) {
            if let Some(body) = message.parts().body {
                span.set(attribute::MESSAGING_MESSAGE_BODY_SIZE, as_i64(body.len()));
            }
        }
        if let Some(details) = details.take() {
            details(span);
        }
        if let Some(view) = &view {
            telemetry.hooks.recorded(view, span);
        }
    });
    // An SDK gives a span that is not sampled its own id.
    #[cfg(feature = "tracing")]
    if !started.1.is_recording && is_same(started.0.span().span_context(), parent.span().span_context()) {
        telemetry.missing_provider.report();
    }
    started
}

/// A count as the value of an attribute.
pub(super) fn as_i64(count: usize) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
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

/// A tracer of any type. It puts the span into a context while the span's type is known, so that it is boxed once.
pub(super) trait AnyTracer: Send + Sync {
    /// Returns the parent's context with the span in it, and whether the span is recorded.
    fn start(
        &self,
        builder: SpanBuilder,
        parent: &Context,
        details: &mut dyn FnMut(&mut Details<'_>),
    ) -> (Context, Recording);
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
    ) -> (Context, Recording) {
        let mut span = self.build_with_context(builder, parent);
        // A context does not return a span without ids, so it could not be ended.
        if span.is_recording() && span.span_context().is_valid() {
            details(&mut Details(&mut |attribute| span.set_attribute(attribute)));
            return (parent.with_span(span), Recording::recorded());
        }
        let own = span.span_context();
        // Without an SDK there may be no span. An invalid one in the context would hide the parent, also from samplers.
        let context = match own.is_valid() && own != parent.span().span_context() {
            // Only its ids are used; a remote span context needs no box.
            true => parent.with_remote_span_context(own.clone()),
            false => parent.clone(),
        };
        (context, Recording::default())
    }
}
