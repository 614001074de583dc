//! What is known of a message that is processed, and where its span belongs.

use std::time::SystemTime;

use opentelemetry::Context;
use opentelemetry::baggage::BaggageExt as _;
use opentelemetry::trace::{Link, SpanContext, TraceContextExt as _};

use super::age::Age;
use super::relation::Chosen;
use super::{Ambient, Destination, Instrumentation, Received};
use crate::propagation::baggage_alone;
use crate::{Extraction, TextMapReader};

/// What is known of a message that is processed, beside its headers.
#[derive(Debug, Clone)]
#[must_use = "a message is given to `process`"]
pub struct Incoming {
    pub(super) destination: Destination,
    pub(super) sent_at: Option<SystemTime>,
    pub(super) redelivered: bool,
    pub(super) is_counted: bool,
    pub(super) is_settled: bool,
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

/// Where a process span belongs.
pub(super) struct Place {
    /// The context that the span is started in; with the message's baggage.
    pub(super) parent: Context,
    pub(super) links: Vec<Link>,
    /// The span that sent the message, for the links of settlements.
    pub(super) creation: Option<SpanContext>,
}

impl Instrumentation {
    /// What a message brought, without a report of how well it was.
    pub(super) fn read<R: TextMapReader>(&self, reader: &R) -> Extraction {
        self.propagation.links(reader)
    }

    /// A link to a message's sender, for a span that has another parent; none where the relation is none.
    pub(super) fn link_to_sender<R: TextMapReader>(&self, message: &R) -> Vec<Link> {
        if self.relation.of(&Received::default()) == Chosen::Nothing {
            return Vec::new();
        }
        let found = self.read(message);
        let sender = valid_span(&found.context).or_else(|| found.links().first().cloned());
        sender.map(Link::with_context).into_iter().collect()
    }

    /// Where the process span of one message belongs ("Message creation context as parent of 'Process' span").
    pub(super) fn place<R: TextMapReader>(
        &self,
        reader: &R,
        ambient: &Context,
        redelivered: bool,
        age: Age,
    ) -> Place {
        let Extraction { context: sent, unused, .. } = self.read(reader);
        let (sender, around) = (valid_span(&sent), valid_span(ambient));
        let chosen = self.relation.of(&Received { redelivered, age: age.waited() });
        let parent = match (self.shared.ambient, chosen) {
            (Ambient::Parent, _) if around.is_some() => with_baggage_of(ambient, &sent),
            (_, Chosen::Parent) => sent,
            _ => baggage_alone(&sent),
        };
        if self.shared.is_skipped(&parent) {
            return Place { parent, links: Vec::new(), creation: None };
        }
        let most = usize::from(sender.is_some()) + unused.len() + usize::from(around.is_some());
        let mut links = Vec::with_capacity(most);
        if chosen != Chosen::Nothing {
            for sender in sender.into_iter().chain(unused) {
                add(&mut links, sender);
            }
        }
        // Only where somebody asks for it: a copy of a span context is one of its tracestate as well.
        let creation = links.first().filter(|_| self.shared.settle_spans);
        let creation = creation.map(|link| link.span_context.clone());
        if let Some(around) = around.filter(|_| self.shared.ambient == Ambient::Link) {
            add(&mut links, around);
        }
        Place { parent, links, creation }
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
