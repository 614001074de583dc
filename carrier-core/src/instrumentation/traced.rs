//! The `tracing` span of an operation: a value of the operation's context, until the operation ends.

use std::sync::{Mutex, MutexGuard, PoisonError};

use opentelemetry::trace::{SpanBuilder, SpanKind, TraceContextExt as _};
use opentelemetry::{Context, KeyValue, Value};
use tracing::callsite::{Callsite as _, DefaultCallsite, Identifier};
use tracing::field::FieldSet;
use tracing::level_filters::{LevelFilter, STATIC_MAX_LEVEL};
use tracing::metadata::Kind;
use tracing::subscriber::NoSubscriber;
use tracing::{Dispatch, Level, Metadata, Span, dispatcher};

use super::details::Details;
use super::{attribute, links};

pub(super) const NAME: &str = "otel.name";
pub(super) const KIND: &str = "otel.kind";

/// What a line of a log shows of a message. All other attributes are no fields, so that a line stays readable.
const FIELDS: &[&str] = &[
    attribute::MESSAGING_DESTINATION_NAME,
    attribute::MESSAGING_DESTINATION_PARTITION_ID,
    attribute::MESSAGING_KAFKA_OFFSET,
    attribute::MESSAGING_RABBITMQ_MESSAGE_DELIVERY_TAG,
    attribute::MESSAGING_MESSAGE_ID,
    attribute::MESSAGING_BATCH_MESSAGE_COUNT,
    attribute::ERROR_TYPE,
    NAME,
    KIND,
];

/// Defines a callsite as `tracing::span!` does, but without a file and line: a layer would report them as the user's code.
macro_rules! callsite {
    ($callsite:ident, $name:literal) => {
        static $callsite: DefaultCallsite = {
            static METADATA: Metadata<'static> = Metadata::new(
                $name,
                "carrier",
                Level::INFO,
                None,
                None,
                None,
                FieldSet::new(FIELDS, Identifier(&$callsite)),
                Kind::SPAN,
            );
            DefaultCallsite::new(&METADATA)
        };
    };
}

callsite!(SEND, "send");
callsite!(RECEIVE, "receive");
callsite!(PROCESS, "process");
callsite!(SETTLE, "settle");

/// The span of the operation that a context is of, until it ends. A user's copy of the context keeps no span open.
#[derive(Debug)]
struct Traced(Mutex<Option<Span>>);

impl Traced {
    fn of(context: &Context) -> Option<MutexGuard<'_, Option<Span>>> {
        let Self(span) = context.get()?;
        Some(span.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// Opens the span of an operation below this parent. The span is disabled if a filter disables it.
pub(super) fn open(builder: &SpanBuilder, parent: &Context) -> Span {
    let callsite = match text(builder, attribute::MESSAGING_OPERATION_TYPE) {
        Some("receive") => &RECEIVE,
        Some("process") => &PROCESS,
        Some("settle") => &SETTLE,
        _ => &SEND,
    };
    let metadata = callsite.metadata();
    if !is_enabled(callsite, metadata) {
        return Span::none();
    }
    let at_start = [
        text(builder, attribute::MESSAGING_DESTINATION_NAME),
        text(builder, attribute::MESSAGING_DESTINATION_PARTITION_ID),
    ];
    let mut fields = metadata.fields().iter();
    let (Some(name), Some(partition)) = (fields.next(), fields.next()) else { return Span::none() };
    let [of_name, of_partition] = at_start.each_ref().map(|text| text.as_ref().map(|text| text as _));
    let values = [(&name, of_name), (&partition, of_partition)];
    let values = metadata.fields().value_set(&values);
    let is_process = builder.span_kind == Some(SpanKind::Consumer);
    match placed(parent, is_process) {
        Parent::Current => Span::new(metadata, &values),
        Parent::None => Span::new_root(metadata, &values),
        Parent::Span(parent) => Span::child_of(parent, metadata, &values),
    }
}

pub(super) fn is_receive(span: &Span) -> bool {
    span.metadata().is_some_and(|metadata| metadata.name() == "receive")
}

fn is_enabled(callsite: &'static DefaultCallsite, metadata: &'static Metadata<'static>) -> bool {
    let level = metadata.level();
    if *level > STATIC_MAX_LEVEL || *level > LevelFilter::current() {
        return false;
    }
    let interest = callsite.interest();
    let is_enabled = || dispatcher::get_default(|dispatch| dispatch.enabled(metadata));
    !interest.is_never() && (interest.is_always() || is_enabled())
}

enum Parent {
    Current,
    None,
    Span(Option<tracing::Id>),
}

/// The parent among the `tracing` spans, as it is among the OpenTelemetry spans.
fn placed(parent: &Context, is_process: bool) -> Parent {
    let is_current = Context::map_current(|current| id(current) == id(parent) && is_same(current, parent));
    match is_process {
        true if is_current && parent.span().span_context().is_valid() => Parent::Current,
        true => Parent::None,
        false if is_current => Parent::Current,
        // A settlement outside of its handler.
        false => id(parent).map_or(Parent::Current, |id| Parent::Span(Some(id))),
    }
}

/// Whether two contexts have the same OpenTelemetry span, or none.
pub(super) fn is_same(one: &Context, other: &Context) -> bool {
    links::is_same(one.span().span_context(), other.span().span_context())
}

fn id(context: &Context) -> Option<tracing::Id> {
    Traced::of(context)?.as_ref()?.id()
}

/// The `tracing` span of this context's operation.
#[cold]
#[inline(never)]
pub(super) fn of(context: &Context) -> Option<Span> {
    Traced::of(context)?.clone()
}

/// Closes the span: its handle here is the last one, unless a task or a child has one.
#[cold]
#[inline(never)]
pub(super) fn close(context: &Context) {
    // Layers must not run under our lock.
    let Some(span) = Traced::of(context).and_then(|mut span| span.take()) else { return };
    // tracing-subscriber closes the parent through the thread's subscriber: a client's thread has none if it is scoped.
    let is_missing = dispatcher::get_default(Dispatch::is::<NoSubscriber>);
    match span.with_subscriber(|(_, own)| is_missing.then(|| own.clone())).flatten() {
        Some(own) => dispatcher::with_default(&own, || drop(span)),
        None => drop(span),
    }
}

/// Returns the context with the span in it.
pub(super) fn within(context: &Context, span: Span) -> Context {
    context.with_value(Traced(Mutex::new(Some(span))))
}

/// Returns `context` with the span that `from` has.
#[cold]
#[inline(never)]
pub(super) fn taken_over(context: Context, from: &Context) -> Context {
    match of(from) {
        Some(span) => within(&context, span),
        None => context,
    }
}

/// Sets attributes on both spans of this context's operation. Not inlined, so that other spans pay nothing for it.
#[cold]
#[inline(never)]
pub(super) fn details(context: &Context, is_recording: bool, details: impl FnOnce(&mut Details<'_>)) {
    details(&mut Details(&mut |attribute| set(context, attribute, is_recording)));
}

/// Sets an attribute on both spans of this context's operation; on the OpenTelemetry span if it is recorded.
fn set(context: &Context, attribute: KeyValue, is_recording: bool) {
    // The OpenTelemetry layer sets what is a field, except on the span of a receive call, which is not its own.
    let is_set = of(context).is_some_and(|span| record(&span, &attribute) && !is_receive(&span));
    if is_recording && !is_set {
        context.span().set_attribute(attribute);
    }
}

/// Records an attribute that is a field of the span. Returns whether it is one.
pub(super) fn record(span: &Span, attribute: &KeyValue) -> bool {
    let Some(field) = span.field(attribute.key.as_str()) else { return false };
    match &attribute.value {
        Value::Bool(value) => span.record(&field, value),
        Value::I64(value) => span.record(&field, value),
        Value::F64(value) => span.record(&field, value),
        Value::String(value) => span.record(&field, value.as_str()),
        _ => return false,
    };
    true
}

/// The text of an attribute that a sampler may read.
fn text<'a>(builder: &'a SpanBuilder, key: &str) -> Option<&'a str> {
    let mut attributes = builder.attributes.iter().flatten();
    match &attributes.find(|attribute| attribute.key.as_str() == key)?.value {
        Value::String(text) => Some(text.as_str()),
        _ => None,
    }
}

/// Whether the span has this attribute from its start.
pub(super) fn is_at_start(attribute: &KeyValue) -> bool {
    let key = attribute.key.as_str();
    key == attribute::MESSAGING_DESTINATION_NAME || key == attribute::MESSAGING_DESTINATION_PARTITION_ID
}
