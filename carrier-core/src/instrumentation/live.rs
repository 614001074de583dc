//! An operation that is under way: its span, its clock, and the one place where both end.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::{Instant, SystemTime};

use opentelemetry::trace::{Link, SpanBuilder, SpanKind, Status, TraceContextExt as _};
use opentelemetry::{Context, KeyValue, StringValue};

use super::age::Age;
use super::metrics::Duration;
use super::settings::Shared;
use super::tracer::Started;
use super::{Destination, Details, Failure, attribute, tracer};

/// What kind of operation it is ("Operation types").
#[derive(Debug, Clone)]
pub(super) struct Operation {
    pub(super) name: &'static str,
    pub(super) kind: &'static str,
    pub(super) span_kind: SpanKind,
    pub(super) duration: Duration,
    pub(super) is_consumers: bool,
}

impl Operation {
    pub(super) const fn send(carries_its_own_context: bool) -> Self {
        let span_kind = match carries_its_own_context {
            true => SpanKind::Producer,
            false => SpanKind::Client,
        };
        Self { name: "send", kind: "send", span_kind, duration: Duration::Operation, is_consumers: false }
    }

    pub(super) const fn process() -> Self {
        Self {
            name: "process",
            kind: "process",
            span_kind: SpanKind::Consumer,
            duration: Duration::Process,
            is_consumers: true,
        }
    }

    pub(super) const fn receive() -> Self {
        Self {
            name: "receive",
            kind: "receive",
            span_kind: SpanKind::Client,
            duration: Duration::Operation,
            is_consumers: true,
        }
    }

    pub(super) const fn settle(name: &'static str) -> Self {
        Self {
            name,
            kind: "settle",
            span_kind: SpanKind::Client,
            duration: Duration::Operation,
            is_consumers: true,
        }
    }
}

/// When an operation began, on both clocks: one says when, the other how long.
#[derive(Debug, Clone, Copy)]
pub struct Beginning {
    pub(super) at: SystemTime,
    clock: Instant,
}

impl Beginning {
    /// Now.
    pub fn now() -> Self {
        Self { at: SystemTime::now(), clock: Instant::now() }
    }
}

/// Small, since it is moved from hand to hand: what only metrics want is beside it, and the context, in which its span is,
/// is with its owner.
pub(super) struct Live {
    is_recording: bool,
    has_partition: bool,
    measured: Option<Box<Measured>>,
}

/// What metrics say of an operation.
struct Measured {
    shared: Arc<Shared>,
    operation: Operation,
    destination: Destination,
    began: Beginning,
}

impl std::fmt::Debug for Live {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Live").field("is_recording", &self.is_recording).finish_non_exhaustive()
    }
}

impl Live {
    /// Starts a span below `parent`, or none where the parent says that it would not be recorded.
    ///
    /// The context is the operation's. There is nothing to end where nobody records the span and nothing is measured.
    pub(super) fn start(
        shared: &Arc<Shared>,
        operation: Operation,
        destination: impl FnOnce() -> Destination,
        began: Option<Beginning>,
        parent: &Context,
        links: impl FnOnce() -> Vec<Link>,
        details: impl FnOnce(&mut Details<'_>),
    ) -> (Context, Option<Self>) {
        let (is_skipped, is_measured) = (shared.is_skipped(parent), shared.instruments.is_some());
        if is_skipped && !is_measured {
            return (parent.clone(), None);
        }
        let destination = destination();
        let has_partition = destination.has_partition();
        let measured = began.filter(|_| is_measured).map(|began| {
            let (shared, operation, destination) =
                (Arc::clone(shared), operation.clone(), destination.clone());
            Box::new(Measured { shared, operation, destination, began })
        });
        if is_skipped {
            return (parent.clone(), Some(Self { is_recording: false, has_partition, measured }));
        }
        let Started { context, is_recording } =
            start(shared, &operation, destination, began, parent, links(), details);
        let is_live = is_recording || measured.is_some();
        (context, is_live.then_some(Self { is_recording, has_partition, measured }))
    }

    /// Adds to the span what became known later, where it is recorded.
    pub(super) fn details(&self, context: &Context, details: impl FnOnce(&mut Details<'_>)) {
        if self.is_recording {
            tracer::set(context, details);
        }
    }

    /// From now on the partition is known, also to metrics.
    pub(super) fn partition(&mut self, context: &Context, id: StringValue) {
        if std::mem::replace(&mut self.has_partition, true) {
            return; // An SDK keeps both where an attribute is set twice.
        }
        if self.is_recording {
            let key = attribute::MESSAGING_DESTINATION_PARTITION_ID;
            tracer::set(context, |span| span.set(key, id.clone()));
        }
        if let Some(measured) = &mut self.measured {
            let destination = std::mem::replace(&mut measured.destination, Destination::none());
            measured.destination = destination.partition(id);
        }
    }

    /// Counts messages as consumed, and how long each was in the queue.
    pub(super) fn consumed(&self, messages: u64, ages: &[Age]) {
        let Some(measured) = &self.measured else { return };
        let Some(instruments) = &measured.shared.instruments else { return };
        if messages == 0 && ages.iter().all(|age| *age == Age::Unknown) {
            return;
        }
        let attributes = measured.attributes(None);
        if messages > 0 {
            instruments.consumed(messages, &attributes[1..]);
        }
        for age in ages {
            instruments.waited(*age, &attributes[2..]);
        }
    }

    /// Ends the span and records how long it took: the same on both.
    pub(super) fn end(self, context: &Context, failure: Option<Failure>) {
        let failure = failure.map(Failure::into_parts);
        let ended = self.measured.map(|measured| {
            let took = measured.began.clock.elapsed();
            measured.record(took, failure.as_ref().map(|(error_type, _)| error_type.clone()));
            measured.began.at + took
        });
        if self.is_recording {
            let span = context.span();
            if let Some((error_type, description)) = failure {
                span.set_attribute(KeyValue::new(attribute::ERROR_TYPE, error_type));
                span.set_status(Status::Error { description });
            }
            match ended {
                Some(ended) => span.end_with_timestamp(ended),
                None => span.end(),
            }
        }
    }
}

impl Measured {
    fn record(&self, took: std::time::Duration, error_type: Option<Cow<'static, str>>) {
        let Some(instruments) = &self.shared.instruments else { return };
        let attributes = self.attributes(error_type);
        let without_type = &attributes[1..];
        match self.operation.duration {
            Duration::Process => instruments.took(Duration::Process, took.as_secs_f64(), without_type),
            Duration::Operation => instruments.took(Duration::Operation, took.as_secs_f64(), &attributes),
        }
        if self.operation.kind == "send" {
            instruments.sent(without_type);
        }
    }

    /// The operation's type first and its name second: some metrics have neither.
    fn attributes(&self, error_type: Option<Cow<'static, str>>) -> Vec<KeyValue> {
        let mut attributes = Vec::with_capacity(10);
        attributes.push(KeyValue::new(attribute::MESSAGING_OPERATION_TYPE, self.operation.kind));
        attributes.push(KeyValue::new(attribute::MESSAGING_OPERATION_NAME, self.operation.name));
        self.shared.common(&mut attributes);
        if self.operation.is_consumers {
            attributes.extend(self.shared.consumer_group.clone());
        }
        self.destination.for_metrics(&mut attributes);
        attributes.extend(error_type.map(|error_type| KeyValue::new(attribute::ERROR_TYPE, error_type)));
        attributes
    }
}

/// Starts a span, and tells it the rest where it is recorded.
fn start(
    shared: &Shared,
    operation: &Operation,
    destination: Destination,
    began: Option<Beginning>,
    parent: &Context,
    links: Vec<Link>,
    details: impl FnOnce(&mut Details<'_>),
) -> Started {
    let nature = destination.nature();
    let builder = SpanBuilder {
        span_kind: Some(operation.span_kind.clone()),
        name: destination.span_name(operation.name, shared.server_name.as_deref()),
        start_time: began.map(|began| began.at),
        attributes: Some(at_start(shared, operation, destination)),
        links: Some(links),
        ..SpanBuilder::default()
    };
    let mut rest = Some(details);
    shared.tracer.start(builder, parent, &mut |span| {
        if let Some(id) = &shared.client_id {
            span.set(attribute::MESSAGING_CLIENT_ID, id.clone());
        }
        nature.details(span);
        if let Some(rest) = rest.take() {
            rest(span);
        }
    })
}

/// What samplers may want ("SHOULD be provided at span creation time").
fn at_start(shared: &Shared, operation: &Operation, destination: Destination) -> Vec<KeyValue> {
    // The operation's two and mostly one of the destination's; and room for what few have, and for details, which would make
    // it grow. Not more: a producer has a hundred thousand of these on their way.
    let mut attributes = Vec::with_capacity(shared.common_count() + 8);
    shared.common(&mut attributes);
    attributes.push(KeyValue::new(attribute::MESSAGING_OPERATION_NAME, operation.name));
    attributes.push(KeyValue::new(attribute::MESSAGING_OPERATION_TYPE, operation.kind));
    destination.at_start(&mut attributes);
    if let Some(group) = shared.consumer_group.as_ref().filter(|_| operation.is_consumers) {
        attributes.push(group.clone());
    }
    attributes
}

impl Shared {
    fn common_count(&self) -> usize {
        1 + self.server.as_ref().map_or(0, |server| 1 + usize::from(server.port.is_some()))
    }

    /// What every span and metric has: the system, and the server where it is known.
    fn common(&self, attributes: &mut Vec<KeyValue>) {
        attributes.push(KeyValue::new(attribute::MESSAGING_SYSTEM, self.system));
        if let Some(server) = &self.server {
            attributes.push(KeyValue::new(attribute::SERVER_ADDRESS, server.address.clone()));
            if let Some(port) = server.port {
                attributes.push(KeyValue::new(attribute::SERVER_PORT, i64::from(port)));
            }
        }
    }

    /// Now, where something is measured.
    pub(super) fn begin(&self) -> Option<Beginning> {
        self.instruments.as_ref().map(|_| Beginning::now())
    }

    /// Whether no span is started below this parent.
    pub(super) fn is_skipped(&self, parent: &Context) -> bool {
        let span = parent.span();
        let span = span.span_context();
        self.skip_unsampled && span.is_valid() && !span.is_sampled()
    }
}
