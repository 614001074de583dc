//! What a program adds to our spans, and what it leaves out.

use std::borrow::Cow;
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use opentelemetry::{Array, Context, Key, KeyValue, StringValue, Value};

use super::attribute;
use super::details::Details;
use super::message::{Headers, IncomingMessage, MessageParts, OutgoingMessage};
use super::operation::{Destination, OperationType};
use super::outcome::{Failure, bounded};
use crate::{FieldValue, TextMapReader};

/// Adds attributes to the spans of messages that are sent, received or processed.
///
/// A hook that panics adds nothing more; the message and its span are not harmed. It runs on the path of each message, so it
/// must not block.
///
/// # Examples
///
/// ```
/// use carrier_core::instrumentation::{Details, Hook, Instrumentation, MessageView};
///
/// /// Which header becomes which attribute comes from the configuration.
/// struct Tenant { header: String, key: String }
///
/// impl Hook for Tenant {
///     fn start(&self, message: &MessageView<'_>, attributes: &mut Details<'_>) {
///         if let Some(tenant) = message.header(&self.header).and_then(|value| value.as_str()) {
///             attributes.set(self.key.clone(), tenant.to_owned());
///         }
///     }
/// }
///
/// let tenant = Tenant { header: "x-tenant".into(), key: "acme.tenant".into() };
/// let nats = Instrumentation::builder("nats").hook(tenant).build();
/// ```
pub trait Hook: Send + Sync {
    /// Adds attributes before the span starts. A sampler sees them, so this is called for every message.
    ///
    /// A batch has no single message: only [`recorded`](Self::recorded) is called for its messages.
    fn start(&self, message: &MessageView<'_>, attributes: &mut Details<'_>) {
        let _ = (message, attributes);
    }

    /// Adds attributes to a span that is recorded, or to a message's link on the span of a batch.
    fn recorded(&self, message: &MessageView<'_>, details: &mut Details<'_>) {
        let _ = (message, details);
    }

    /// Is called when the operation ends. `details` sets attributes if the span is recorded, and does nothing otherwise.
    fn end(&self, ended: &Ended<'_>, details: &mut Details<'_>) {
        let _ = (ended, details);
    }
}

/// A message as a [`Hook`] sees it.
pub struct MessageView<'a> {
    pub(super) operation: OperationType,
    pub(super) destination: &'a Destination,
    pub(super) message: &'a dyn Seen,
}

impl MessageView<'_> {
    /// What is done with the message.
    pub fn operation(&self) -> OperationType {
        self.operation
    }

    /// Where the message is sent to, or comes from.
    pub fn destination(&self) -> &Destination {
        self.destination
    }

    /// The key, the routing key, the body and the ids, as far as the broker has them.
    pub fn parts(&self) -> MessageParts<'_> {
        self.message.parts()
    }

    /// The first header of this name.
    pub fn header(&self, name: &str) -> Option<FieldValue<'_>> {
        self.message.headers().first(name)
    }

    /// Calls a function for each header. Before a message is sent, ours are not among them.
    pub fn for_each_header(&self, mut header: impl FnMut(&str, FieldValue<'_>)) {
        self.message.headers().each(&mut header);
    }
}

impl fmt::Debug for MessageView<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut debug = f.debug_struct("MessageView");
        debug
            .field("operation", &self.operation)
            .field("destination", self.destination)
            .finish_non_exhaustive()
    }
}

/// How an operation ended, as a [`Hook`] sees it.
#[derive(Debug)]
#[non_exhaustive]
pub struct Ended<'a> {
    /// What was done.
    pub operation: OperationType,
    /// `Ok`, the failure, or `None` if the outcome is unknown.
    pub outcome: Option<Result<(), &'a Failure>>,
    /// The context of the operation.
    pub context: &'a Context,
}

/// A message and its headers.
pub(super) trait Seen {
    fn headers(&self) -> &dyn Headers;
    fn parts(&self) -> MessageParts<'_>;
}

/// A message that is received or processed.
pub(super) struct Incoming<'a, M, R>(pub(super) &'a M, pub(super) &'a R);

impl<M: IncomingMessage, R: TextMapReader> Seen for Incoming<'_, M, R> {
    fn headers(&self) -> &dyn Headers {
        self.1
    }

    fn parts(&self) -> MessageParts<'_> {
        self.0.parts()
    }
}

/// A message that is sent.
pub(super) struct Outgoing<'a, M, R>(pub(super) &'a M, pub(super) &'a R);

impl<M: OutgoingMessage, R: TextMapReader> Seen for Outgoing<'_, M, R> {
    fn headers(&self) -> &dyn Headers {
        self.1
    }

    fn parts(&self) -> MessageParts<'_> {
        self.0.parts()
    }
}

/// The hooks of an instrumentation.
#[derive(Clone, Default)]
pub(super) struct Hooks(Option<Arc<[Box<dyn Hook>]>>);

impl Hooks {
    pub(super) fn new(hooks: Vec<Box<dyn Hook>>) -> Self {
        Self((!hooks.is_empty()).then(|| hooks.into()))
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_none()
    }

    pub(super) fn start(&self, message: &MessageView<'_>, attributes: &mut Vec<KeyValue>) {
        self.each(|hook| hook.start(message, &mut Details(&mut |attribute| attributes.push(attribute))));
    }

    pub(super) fn recorded(&self, message: &MessageView<'_>, details: &mut Details<'_>) {
        self.each(|hook| hook.recorded(message, details));
    }

    pub(super) fn end(&self, ended: &Ended<'_>, details: &mut Details<'_>) {
        self.each(|hook| hook.end(ended, details));
    }

    fn each(&self, mut call: impl FnMut(&dyn Hook)) {
        for hook in self.0.iter().flat_map(|hooks| hooks.iter()) {
            let _ignored = catch_unwind(AssertUnwindSafe(|| call(&**hook)));
        }
    }
}

impl fmt::Debug for Hooks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Hooks").field(&self.0.as_ref().map_or(0, |hooks| hooks.len())).finish()
    }
}

/// Records headers as attributes: see [`capture_headers`](super::InstrumentationBuilder::capture_headers).
pub(super) struct CapturedHeaders(Vec<(String, Key)>);

/// The maximum number of bytes of a captured value.
const MAX_VALUE: usize = 256;

/// The maximum number of values of a captured header.
const MAX_VALUES: usize = 16;

impl CapturedHeaders {
    /// The context's own headers are never captured.
    pub(super) fn new(names: Vec<Cow<'static, str>>, own: &[String]) -> Self {
        let is_own = |name: &str| own.iter().any(|own| own.eq_ignore_ascii_case(name));
        let names = names.into_iter().filter(|name| !is_own(name));
        Self(
            names
                .map(|name| {
                    let key = format!("{}.{}", attribute::MESSAGE_HEADER, name.to_lowercase());
                    (name.into_owned(), key.into())
                })
                .collect(),
        )
    }
}

impl Hook for CapturedHeaders {
    fn recorded(&self, message: &MessageView<'_>, details: &mut Details<'_>) {
        let parts = message.parts();
        let hidden = parts.key.filter(|key| parts.is_key_hidden && !key.is_empty());
        // As a header of the same bytes is shown.
        let hidden = hidden.map(|key| FieldValue::Bytes(key).to_text());
        for (name, key) in &self.0 {
            let values = message.message.headers().texts(name).into_iter();
            let values = values.filter(|value| Some(value) != hidden.as_ref()).take(MAX_VALUES);
            let values: Vec<StringValue> = values.map(|value| bounded(&value, MAX_VALUE).into()).collect();
            if !values.is_empty() {
                details.set(key.clone(), Value::Array(Array::String(values)));
            }
        }
    }
}

/// What is left out for some destinations: see [`filter`](super::InstrumentationBuilder::filter).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum Filter {
    /// Nothing: spans, metrics and headers.
    #[default]
    Observe,
    /// No span and no metric. The current context is written, and the sender's context is read.
    CarryOnly,
    /// No header either: nothing is written or read, and a handler gets the current context.
    Skip,
}

/// An operation, as a [filter](super::InstrumentationBuilder::filter) sees it.
#[derive(Debug)]
#[non_exhaustive]
pub struct FilteredOperation<'a> {
    /// What is done.
    pub operation: OperationType,
    /// Where messages are sent to, or come from.
    pub destination: &'a Destination,
    /// The program asked for a message, and there was none.
    pub is_empty: bool,
}

/// The filter of an instrumentation.
#[derive(Clone, Default)]
pub(super) struct Filters(Option<Arc<FilterFn>>);

type FilterFn = dyn Fn(&FilteredOperation<'_>) -> Filter + Send + Sync;

impl Filters {
    pub(super) fn new(filter: impl Fn(&FilteredOperation<'_>) -> Filter + Send + Sync + 'static) -> Self {
        Self(Some(Arc::new(filter)))
    }

    /// Calls `destination` only if there is a filter. A filter that panics leaves nothing out.
    pub(super) fn of(
        &self,
        operation: OperationType,
        is_empty: bool,
        destination: impl FnOnce() -> Destination,
    ) -> Filter {
        let Some(filter) = &self.0 else { return Filter::Observe };
        let destination = &destination();
        let operation = FilteredOperation { operation, destination, is_empty };
        catch_unwind(AssertUnwindSafe(|| filter(&operation))).unwrap_or_default()
    }
}

impl fmt::Debug for Filters {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Filters").field(&self.0.is_some()).finish()
    }
}
