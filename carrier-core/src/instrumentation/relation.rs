//! The parent and the links of a process span.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use opentelemetry::baggage::{Baggage, BaggageExt as _, BaggageMetadata};
use opentelemetry::trace::{SpanContext, TraceContextExt as _};
use opentelemetry::{Context, Key, StringValue};
use smallvec::SmallVec;

use super::message::{IncomingMessage, ReceivedMessage};
use super::metrics::QueueTime;
use crate::propagation::{baggage_alone, with_received_members};
use crate::{Propagation, TextMapReader};

/// How the sender's span relates to the span that processes its message.
///
/// Three settings decide about the parent and the links of a process span, in this order:
///
/// 1. [`Trust`](crate::Trust) of the [`Propagation`], when the context is read. With `Trust::Link` there is no parent left,
///    so `Relation::Parent` becomes a link. With `Trust::Ignore` there is neither a parent nor a link.
/// 2. `Relation`, for the sender's span.
/// 3. [`Ambient`], for the span that is current where the message is processed. With [`Ambient::Parent`] this span is the
///    parent, and a sender that would be the parent is only linked.
///
/// The conventions allow the sender as the parent for a single message ("Message creation context as parent of 'Process'
/// span"). They also ask for a link to it, which [`link_parent`](super::InstrumentationBuilder::link_parent) adds: by default
/// no span links to its own parent, because Jaeger shows such a span beside its trace.
///
/// A batch links to each of its messages with any relation except [`Ignore`](Self::Ignore).
///
/// # Examples
///
/// ```
/// use std::time::Duration;
/// use carrier_core::instrumentation::Relation;
///
/// // One trace in the usual case. A message that is delivered again or late is in a trace of its own.
/// let fresh = Relation::parent_while_fresh(Duration::from_secs(3_600));
///
/// // Another team's messages are linked.
/// let partner = Relation::rule(|message| match message.header("x-partner") {
///     Some(_) => Relation::Link,
///     None => Relation::Parent,
/// });
/// ```
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub enum Relation {
    /// The parent: one trace from the first program to the last. For your own system.
    #[default]
    Parent,
    /// A link from a new trace: for other teams' messages, long queues, fan-out.
    Link,
    /// No parent and no link.
    Ignore,
    /// The rule's answer for each message.
    Rule(RelationRule),
}

impl Relation {
    /// A parent, except for a message that was delivered before or was in the queue for longer than `age`: a link.
    ///
    /// A message of unknown age counts as fresh.
    pub fn parent_while_fresh(age: Duration) -> Self {
        Self::rule(move |message| {
            let is_old = message.age().is_some_and(|waited| waited > age);
            if message.redelivered() || is_old { Self::Link } else { Self::Parent }
        })
    }

    /// The rule's answer for each message. A rule that returns a rule means a link.
    pub fn rule(rule: impl Fn(&ReceivedMessage<'_>) -> Relation + Send + Sync + 'static) -> Self {
        Self::Rule(RelationRule(Arc::new(rule)))
    }

    pub(super) fn is_rule(&self) -> bool {
        matches!(self, Self::Rule(_))
    }

    /// The relation for one message.
    pub(super) fn of(
        &self,
        message: &impl IncomingMessage,
        queue_time: QueueTime,
        sender: &Sender,
        headers: &impl TextMapReader,
    ) -> Choice {
        match self {
            Self::Parent => Choice::Parent,
            Self::Link => Choice::Link,
            Self::Ignore => Choice::Ignore,
            Self::Rule(RelationRule(rule)) => {
                let sender = sender.span();
                let (age, sender) = (queue_time.waited(), sender.as_ref());
                match rule(&ReceivedMessage { message, age, sender, headers }) {
                    Self::Parent => Choice::Parent,
                    Self::Ignore => Choice::Ignore,
                    Self::Link | Self::Rule(_) => Choice::Link,
                }
            }
        }
    }
}

/// A function that chooses for each message. [`Relation::rule`] makes it.
#[derive(Clone)]
pub struct RelationRule(Arc<dyn Fn(&ReceivedMessage<'_>) -> Relation + Send + Sync>);

impl fmt::Debug for RelationRule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("RelationRule")
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Choice {
    Parent,
    Link,
    Ignore,
}

/// How the current span relates to a new process span. [`Relation`] says which setting wins.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum Ambient {
    /// A link, so that a consumer loop inside a span is not one endless trace.
    #[default]
    Link,
    /// The parent; the sender is linked. For messages that are received inside a request, as the conventions prefer there.
    Parent,
    /// No parent and no link.
    Ignore,
}

/// What a process span takes over from the current context.
pub(super) enum Current {
    Suppressed,
    Ignored,
    Linked(SpanContext),
    Parent(Context),
}

impl Current {
    pub(super) fn read(ambient: Ambient) -> Self {
        Context::map_current(|cx| match ambient {
            _ if cx.is_telemetry_suppressed() => Self::Suppressed,
            Ambient::Link => valid_span(cx).map_or(Self::Ignored, Self::Linked),
            Ambient::Parent if cx.span().span_context().is_valid() => Self::Parent(cx.clone()),
            Ambient::Parent | Ambient::Ignore => Self::Ignored,
        })
    }
}

/// A context for what has no span. If telemetry is suppressed now, it stays suppressed there.
pub(super) fn unobserved(context: Context) -> Context {
    match Context::is_current_telemetry_suppressed() {
        true => context.with_telemetry_suppressed(),
        false => context,
    }
}

/// The context that a message brought, and the valid spans in addition to it: untrusted or conflicting ones.
pub(super) struct Sender {
    pub(super) context: Context,
    /// What was found: [`ExtractionStatus::label`](crate::ExtractionStatus::label).
    pub(super) status: &'static str,
    other_spans: SmallVec<[SpanContext; 1]>,
}

impl Sender {
    #[inline]
    pub(super) fn read(propagation: &Propagation, headers: &impl TextMapReader, with_status: bool) -> Self {
        let (context, other_spans, status) = propagation.extract_with_links(headers, with_status);
        Self { context, status, other_spans }
    }

    pub(super) fn span(&self) -> Option<SpanContext> {
        valid_span(&self.context).or_else(|| self.other_spans.first().cloned())
    }
}

/// The parent of a process span, and the spans that it is linked to.
pub(super) struct Placement {
    /// The context that the span is started in, with the message's baggage.
    pub(super) parent: Context,
    /// The senders first, then the current span.
    pub(super) linked: SmallVec<[SpanContext; 2]>,
}

impl Placement {
    pub(super) fn new(
        sender: Sender,
        relation: Choice,
        current: Current,
        link_parent: bool,
        is_skipped: impl FnOnce(&Context) -> bool,
    ) -> Self {
        let Sender { context: sent, other_spans, .. } = sender;
        let other_parent = match (&current, relation) {
            (Current::Parent(current), _) => Some(with_baggage_of(current, &sent)),
            (_, Choice::Parent) => None,
            _ => Some(baggage_alone(&sent)),
        };
        let mut linked = SmallVec::new();
        if is_skipped(other_parent.as_ref().unwrap_or(&sent)) {
            return Self { parent: other_parent.unwrap_or(sent), linked };
        }
        if relation != Choice::Ignore {
            // A parent that is not linked need not be cloned.
            if other_parent.is_some() || link_parent {
                linked.extend(valid_span(&sent));
            }
            linked.extend(other_spans);
        }
        if let Current::Linked(current) = current {
            linked.push(current);
        }
        Self { parent: other_parent.unwrap_or(sent), linked }
    }
}

pub(super) fn valid_span(cx: &Context) -> Option<SpanContext> {
    let span = cx.span();
    Some(span.span_context()).filter(|span| span.is_valid()).cloned()
}

/// The current context, with the baggage of both. Of two entries with one key, the message's is used.
fn with_baggage_of(current: &Context, message: &Context) -> Context {
    if message.baggage().is_empty() {
        return current.clone();
    }
    with_baggage(current, current.baggage().iter().chain(message.baggage().iter()), message)
}

/// The message's span in the current context, with the baggage of both. Of two entries with one key, the current is used.
pub(super) fn with_span_of(current: &Context, message: &Context) -> Context {
    let context = current.with_remote_span_context(message.span().span_context().clone());
    if message.baggage().is_empty() {
        return context;
    }
    with_baggage(&context, message.baggage().iter().chain(current.baggage().iter()), message)
}

fn with_baggage<'a>(
    cx: &Context,
    entries: impl Iterator<Item = (&'a Key, &'a (StringValue, BaggageMetadata))>,
    message: &Context,
) -> Context {
    let baggage: Baggage = entries.map(|(key, value)| (key.clone(), value.clone())).collect();
    with_received_members(cx.with_baggage(baggage), message)
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;
    use std::time::SystemTime;

    use super::super::message::Incoming;
    use super::super::operation::Destination;
    use super::*;

    fn chosen(relation: &Relation, redelivered: bool, age: Option<u64>) -> Choice {
        let message = Incoming::new(Destination::new("orders")).redelivered(redelivered);
        let sent_at = age.map(|age| SystemTime::UNIX_EPOCH - Duration::from_secs(age));
        let queue_time = QueueTime::of(sent_at, || SystemTime::UNIX_EPOCH);
        let headers = HashMap::<String, String>::new();
        let sender = Sender { context: Context::new(), status: "absent", other_spans: SmallVec::new() };
        relation.of(&message, queue_time, &sender, &headers)
    }

    #[test]
    fn baggage_that_grows_when_it_is_encoded_leaves_a_context_of_both_as_it_came() {
        let baggage = format!("k={}", "=".repeat(2_731));
        let message = Propagation::w3c().extract(&HashMap::from([("baggage".to_owned(), baggage.clone())]));
        let current = Context::new().with_baggage([opentelemetry::KeyValue::new("current", "1")]);
        for both in [with_baggage_of(&current, &message), with_span_of(&current, &message)] {
            let mut sent = HashMap::<String, String>::new();
            Propagation::w3c().inject(&both, &mut sent);
            assert!(sent["baggage"].contains(&baggage), "{} bytes", sent["baggage"].len());
        }
    }

    #[test]
    fn a_redelivered_or_old_message_is_linked_while_fresh_ones_have_a_parent() {
        let fresh = Relation::parent_while_fresh(Duration::from_secs(60));
        assert_eq!(chosen(&fresh, false, Some(60)), Choice::Parent);
        assert_eq!(chosen(&fresh, false, None), Choice::Parent);
        assert_eq!(chosen(&fresh, false, Some(61)), Choice::Link);
        assert_eq!(chosen(&fresh, true, Some(0)), Choice::Link);
    }

    #[test]
    fn a_rule_decides_for_each_message_and_a_rule_in_a_rule_is_a_link() {
        let rule = Relation::rule(|message| match message.redelivered() {
            true => Relation::Ignore,
            false => Relation::Link,
        });
        assert_eq!(chosen(&rule, true, None), Choice::Ignore);
        assert_eq!(chosen(&rule, false, None), Choice::Link);
        let endless = Relation::rule(|_| Relation::rule(|_| Relation::Parent));
        assert_eq!(chosen(&endless, false, None), Choice::Link);
    }
}
