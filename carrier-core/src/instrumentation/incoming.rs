//! What is known of a message that is processed, and where its span belongs.

use std::time::SystemTime;

use opentelemetry::Context;
use opentelemetry::baggage::BaggageExt as _;
use opentelemetry::trace::{Link, SpanContext, TraceContextExt as _};
use smallvec::SmallVec;

use super::relation::Chosen;
use super::settle::Settles;
use super::{Ambient, Destination, Instrumentation, Received};
use crate::TextMapReader;
use crate::propagation::baggage_alone;

/// A message that is processed, asked for what is known of it beside its headers: each only where somebody wants it.
///
/// [`Incoming`] is one that knows the answers; implement this where they cost something.
pub trait Arrival {
    /// Where it came from.
    fn destination(&self) -> Destination;

    /// When it was sent, as the broker or the producer stamped it: for the time in the queue.
    fn sent_at(&self) -> Option<SystemTime>;

    /// It was given out before.
    fn is_redelivered(&self) -> bool {
        false
    }

    /// It was counted as consumed when it was received, and is not counted again.
    fn is_counted(&self) -> bool {
        false
    }

    /// It is to be settled, which ends its span: see [`Process::settle`](super::Process::settle).
    fn is_to_be_settled(&self) -> bool {
        false
    }
}

/// What is known of a message that is processed, beside its headers.
#[derive(Debug, Clone)]
#[must_use = "a message is given to `process`"]
pub struct Incoming {
    destination: Destination,
    sent_at: Option<SystemTime>,
    redelivered: bool,
    is_counted: bool,
    is_settled: bool,
}

impl Incoming {
    /// A message from a destination.
    pub fn new(destination: Destination) -> Self {
        Self { destination, sent_at: None, redelivered: false, is_counted: false, is_settled: false }
    }

    /// When it was sent, as the broker or the producer stamped it: for the time in the queue.
    pub fn sent_at(self, sent_at: Option<SystemTime>) -> Self {
        Self { sent_at, ..self }
    }

    /// It was given out before.
    pub fn redelivered(self, redelivered: bool) -> Self {
        Self { redelivered, ..self }
    }

    /// It was counted as consumed when it was received, and is not counted again.
    pub fn already_counted(self) -> Self {
        Self { is_counted: true, ..self }
    }

    /// It is to be settled, which ends its span: see [`Process::settle`](super::Process::settle).
    pub fn to_be_settled(self) -> Self {
        Self { is_settled: true, ..self }
    }
}

impl Arrival for Incoming {
    fn destination(&self) -> Destination {
        self.destination.clone()
    }

    fn sent_at(&self) -> Option<SystemTime> {
        self.sent_at
    }

    fn is_redelivered(&self) -> bool {
        self.redelivered
    }

    fn is_counted(&self) -> bool {
        self.is_counted
    }

    fn is_to_be_settled(&self) -> bool {
        self.is_settled
    }
}

/// What the current context is to a process span that is started in it: no more of it is copied than that.
pub(super) enum Around {
    Suppressed,
    /// No span, or one that nobody wants.
    Nothing,
    Linked(SpanContext),
    Parent(Context),
}

/// Where a process span belongs.
pub(super) struct Place {
    /// The context that the span is started in; with the message's baggage.
    pub(super) parent: Context,
    pub(super) links: Vec<Link>,
    /// What the spans of settlements are made of, which link to the span that sent the message.
    pub(super) settles: Option<Box<Settles>>,
}

impl Instrumentation {
    pub(super) fn around(&self) -> Around {
        Context::map_current(|cx| match self.shared.ambient {
            _ if cx.is_telemetry_suppressed() => Around::Suppressed,
            Ambient::Link => valid_span(cx).map_or(Around::Nothing, Around::Linked),
            Ambient::Parent if cx.span().span_context().is_valid() => Around::Parent(cx.clone()),
            Ambient::Parent | Ambient::Ignore => Around::Nothing,
        })
    }

    /// What a message brought, and the valid spans beside that.
    pub(super) fn read<R: TextMapReader>(&self, reader: &R) -> (Context, SmallVec<[SpanContext; 1]>) {
        self.propagation.links(reader)
    }

    /// A link to a message's sender, for a span that has another parent; none where the relation is none.
    pub(super) fn link_to_sender<R: TextMapReader>(&self, message: &R) -> Vec<Link> {
        if self.relation.of(&Received::default()) == Chosen::Nothing {
            return Vec::new();
        }
        let (sent, unused) = self.read(message);
        let sender = valid_span(&sent).or_else(|| unused.first().cloned());
        sender.map(Link::with_context).into_iter().collect()
    }

    /// Where the process span of one message belongs ("Message creation context as parent of 'Process' span").
    pub(super) fn place<R: TextMapReader>(&self, reader: &R, around: Around, received: Received) -> Place {
        let (sent, unused) = self.read(reader);
        let chosen = self.relation.of(&received);
        let other = match (&around, chosen) {
            (Around::Parent(ambient), _) => Some(with_baggage_of(ambient, &sent)),
            (_, Chosen::Parent) => None,
            _ => Some(baggage_alone(&sent)),
        };
        if self.shared.is_skipped(other.as_ref().unwrap_or(&sent)) {
            return Place { parent: other.unwrap_or(sent), links: Vec::new(), settles: self.settles(None) };
        }
        let sender = if chosen == Chosen::Nothing { None } else { valid_span(&sent) };
        let around = if let Around::Linked(around) = around { Some(around) } else { None };
        let most = usize::from(sender.is_some()) + unused.len() + usize::from(around.is_some());
        let mut links = Vec::with_capacity(most);
        links.extend(sender.map(Link::with_context));
        if chosen != Chosen::Nothing {
            unused.into_iter().for_each(|sender| add(&mut links, sender));
        }
        let settles = self.settles(links.first());
        if let Some(around) = around {
            add(&mut links, around);
        }
        Place { parent: other.unwrap_or(sent), links, settles }
    }

    /// Only where somebody asks for it: a copy of a span context is one of its tracestate as well.
    fn settles(&self, creation: Option<&Link>) -> Option<Box<Settles>> {
        self.shared
            .settle_spans
            .then(|| Box::new(Settles::of(&self.shared, creation.map(|link| link.span_context.clone()))))
    }
}

/// Adds a span that is not linked yet. One that sent a message and is also around it is local here and remote there.
fn add(links: &mut Vec<Link>, span: SpanContext) {
    let ids = |span: &SpanContext| (span.trace_id(), span.span_id());
    if links.iter().all(|link| ids(&link.span_context) != ids(&span)) {
        links.push(Link::with_context(span));
    }
}

pub(super) fn valid_span(cx: &Context) -> Option<SpanContext> {
    let span = cx.span();
    Some(span.span_context()).filter(|span| span.is_valid()).cloned()
}

/// The ambient context, where the message's baggage is added to its own.
fn with_baggage_of(ambient: &Context, message: &Context) -> Context {
    let (own, brought) = (ambient.baggage(), message.baggage());
    if brought.is_empty() {
        return ambient.clone();
    }
    let entries = own.iter().chain(brought.iter());
    ambient.with_baggage(
        entries.map(|(key, value)| (key.clone(), value.clone())).collect::<opentelemetry::baggage::Baggage>(),
    )
}
