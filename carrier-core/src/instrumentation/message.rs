//! What is known of a message.

use std::fmt;
use std::ops::{Deref, DerefMut};
use std::time::{Duration, SystemTime};

use opentelemetry::trace::SpanContext;

use super::operation::Destination;
use crate::{FieldNames, FieldValue, TextMapReader};

/// A message that is processed, without its headers. A method is called only if its answer is used.
///
/// [`Incoming`] holds the answers. Implement this trait if an answer is expensive.
pub trait IncomingMessage {
    /// Where the message came from.
    fn destination(&self) -> Destination;

    /// The timestamp that the broker or the producer set: for the time in the queue.
    fn sent_at(&self) -> Option<SystemTime>;

    /// Whether the message was delivered before.
    fn is_redelivered(&self) -> bool {
        false
    }

    /// Whether the message was counted as consumed when it was received.
    fn is_counted(&self) -> bool {
        false
    }

    /// How often the message was given to a consumer, this time included. `None` if the broker does not count.
    fn attempts(&self) -> Option<u64> {
        None
    }

    /// What a [hook](super::Hook) and a [rule](super::Relation::rule) see of the message, apart from its headers.
    fn parts(&self) -> MessageParts<'_> {
        MessageParts::default()
    }
}

/// A message that is sent, without its headers. A method is called only if its answer is used.
///
/// A closure that returns the [`Destination`] is one, too.
pub trait OutgoingMessage {
    /// Where the message is sent to.
    fn destination(&self) -> Destination;

    /// What a [hook](super::Hook) sees of the message, apart from its headers.
    fn parts(&self) -> MessageParts<'_> {
        MessageParts::default()
    }
}

impl<F: Fn() -> Destination> OutgoingMessage for F {
    fn destination(&self) -> Destination {
        self()
    }
}

/// What a message consists of, apart from its headers.
///
/// # Examples
///
/// ```
/// use carrier_core::instrumentation::MessageParts;
///
/// let mut parts = MessageParts::default();
/// parts.body = Some(b"17");
/// ```
#[derive(Debug, Clone, Copy, Default)]
#[non_exhaustive]
pub struct MessageParts<'a> {
    /// The key of a Kafka record.
    pub key: Option<&'a [u8]>,
    /// No attribute may contain the key: a captured header with the same value is left out.
    pub is_key_hidden: bool,
    /// The routing key of an AMQP message.
    pub routing_key: Option<&'a str>,
    /// The body. Its size is an attribute if [`body_size`](super::InstrumentationBuilder::body_size) is on.
    pub body: Option<&'a [u8]>,
    /// Where the sender expects an answer.
    pub reply_to: Option<&'a str>,
    /// What a request and its reply have in common: the correlation id.
    pub conversation_id: Option<&'a str>,
}

/// An [`IncomingMessage`] that holds its answers.
#[derive(Debug, Clone)]
#[must_use = "pass the message to `process`"]
pub struct Incoming {
    destination: Destination,
    sent_at: Option<SystemTime>,
    is_redelivered: bool,
    is_counted: bool,
    attempts: Option<u64>,
}

impl Incoming {
    /// A message from a destination.
    pub fn new(destination: Destination) -> Self {
        Self { destination, sent_at: None, is_redelivered: false, is_counted: false, attempts: None }
    }

    /// The timestamp that the broker or the producer set: for the time in the queue.
    pub fn sent_at(self, sent_at: Option<SystemTime>) -> Self {
        Self { sent_at, ..self }
    }

    /// Whether the message was delivered before.
    pub fn redelivered(self, is_redelivered: bool) -> Self {
        Self { is_redelivered, ..self }
    }

    /// How often the message was given to a consumer, this time included.
    pub fn attempts(self, attempts: Option<u64>) -> Self {
        Self { attempts, ..self }
    }

    /// The message was counted as consumed when it was received.
    pub fn already_counted(self) -> Self {
        Self { is_counted: true, ..self }
    }
}

impl IncomingMessage for Incoming {
    fn destination(&self) -> Destination {
        self.destination.clone()
    }

    fn sent_at(&self) -> Option<SystemTime> {
        self.sent_at
    }

    fn is_redelivered(&self) -> bool {
        self.is_redelivered
    }

    fn is_counted(&self) -> bool {
        self.is_counted
    }

    fn attempts(&self) -> Option<u64> {
        self.attempts
    }
}

/// A message that was counted as consumed already: the metric `messaging.client.consumed.messages` leaves it out.
///
/// An instrumented receive call returns it. Wrap a message in it if your program counts the message elsewhere.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AlreadyCounted<M>(pub M);

impl<M> AlreadyCounted<M> {
    /// Returns the message. If it is processed on its own, it is counted again.
    pub fn into_inner(self) -> M {
        self.0
    }
}

impl<M> Deref for AlreadyCounted<M> {
    type Target = M;

    fn deref(&self) -> &M {
        &self.0
    }
}

impl<M> DerefMut for AlreadyCounted<M> {
    fn deref_mut(&mut self) -> &mut M {
        &mut self.0
    }
}

/// A received message, as a [rule](super::Relation::rule) sees it.
#[non_exhaustive]
pub struct ReceivedMessage<'a> {
    pub(super) message: &'a dyn IncomingMessage,
    pub(super) age: Option<Duration>,
    pub(super) sender: Option<&'a SpanContext>,
    pub(super) headers: &'a dyn Headers,
}

impl ReceivedMessage<'_> {
    /// Whether the message was delivered before, to this consumer or to another.
    pub fn redelivered(&self) -> bool {
        self.message.is_redelivered()
    }

    /// How long the message was in the queue. `None` if it has no timestamp, or one from the future.
    pub fn age(&self) -> Option<Duration> {
        self.age
    }

    /// Where the message came from.
    pub fn destination(&self) -> Destination {
        self.message.destination()
    }

    /// The span context of the sender, if the message has a valid one that [`Trust`](crate::Trust) accepts.
    pub fn sender(&self) -> Option<&SpanContext> {
        self.sender
    }

    /// The first header of this name.
    pub fn header(&self, name: &str) -> Option<FieldValue<'_>> {
        self.headers.first(name)
    }

    /// What the message consists of, apart from its headers.
    pub fn parts(&self) -> MessageParts<'_> {
        self.message.parts()
    }

    /// Whether the message is the reply to a request: it has a conversation id, and expects no answer itself.
    ///
    /// AMQP has both as properties. In Kafka they are headers of the program's own choice: see [`header`](Self::header).
    pub fn is_reply(&self) -> bool {
        let parts = self.parts();
        parts.conversation_id.is_some() && parts.reply_to.is_none()
    }
}

impl fmt::Debug for ReceivedMessage<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut debug = f.debug_struct("ReceivedMessage");
        debug.field("age", &self.age).field("sender", &self.sender).finish_non_exhaustive()
    }
}

/// A reader as a trait object, which [`TextMapReader`] cannot be.
pub(super) trait Headers {
    fn first(&self, name: &str) -> Option<FieldValue<'_>>;
    fn each(&self, header: &mut dyn FnMut(&str, FieldValue<'_>));
    fn texts(&self, name: &str) -> Vec<String>;
}

impl<R: TextMapReader> Headers for R {
    fn first(&self, name: &str) -> Option<FieldValue<'_>> {
        self.find(&FieldNames::new(&[name])).next().map(|(_, value)| value)
    }

    fn each(&self, header: &mut dyn FnMut(&str, FieldValue<'_>)) {
        self.entries().for_each(|(name, value)| header(name, value));
    }

    fn texts(&self, name: &str) -> Vec<String> {
        TextMapReader::texts(self, name)
    }
}
