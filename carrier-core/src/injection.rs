//! What an injection did.

use std::borrow::Cow;

use opentelemetry::trace::SpanContext;

use crate::Fields;
#[cfg(feature = "instrumentation")]
use crate::names::BAGGAGE;
use crate::names::OURS;

/// What an injection did to a message.
///
/// A report that nobody has to look at: `propagation.inject(&cx, &mut headers);` is a statement.
#[derive(Debug, Clone, Default)]
pub struct Injection {
    ours: [bool; 3],
    pub(crate) outcome: Outcome,
    bytes: usize,
    rare: Option<Box<Rare>>,
}

/// What few injections have to say: a report that everybody gets and hardly anybody looks at is small.
#[derive(Debug, Clone, Default)]
struct Rare {
    others: Vec<String>,
    dropped: Vec<Dropped>,
    existing: Option<SpanContext>,
}

/// What became of the message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum Outcome {
    /// Propagation is off, or there was nothing to write and nothing to remove.
    #[default]
    Nothing,
    /// The fields were written; old ones were replaced.
    Written,
    /// There was nothing to write, and old fields were removed.
    Removed,
    /// A context was in the message already and was kept: [`Existing::Keep`](crate::Existing::Keep).
    Kept,
    /// A field was in the message already and so it was left alone: [`Existing::LeaveAlone`](crate::Existing::LeaveAlone).
    LeftAlone,
    /// Nothing was written, since the message would have grown over the transport's limit, which costs the message or
    /// the connection. Old fields were removed.
    NoRoom,
}

/// Members that were left out of a message.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Dropped {
    /// The field that they belong to.
    pub field: Cow<'static, str>,
    /// How many there were.
    pub members: usize,
    /// Why they are left out.
    pub reason: DropReason,
}

/// Why members are left out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum DropReason {
    /// They were over the [`Budget`](crate::Budget), or over the propagator's own limits.
    Budget,
    /// No header may hold what is in them: the propagator left them out, or wrote what is no field value.
    Invalid,
    /// The predicate on baggage does not allow their keys.
    NotAllowed,
}

impl Injection {
    /// The keys of the fields that were written.
    pub fn fields(&self) -> impl ExactSizeIterator<Item = &str> {
        let ours =
            OURS.into_iter().zip(self.ours).filter(|(_, is_written)| *is_written).map(|(field, _)| field);
        let others = self.rare.iter().flat_map(|rare| rare.others.iter().map(String::as_str));
        ours.chain(others).collect::<Vec<_>>().into_iter()
    }

    /// Whether what was written says nothing of a span.
    #[cfg(feature = "instrumentation")]
    pub(crate) fn is_baggage_alone(&self) -> bool {
        let others = self.rare.as_ref().is_some_and(|rare| !rare.others.is_empty());
        let spans = OURS.into_iter().zip(self.ours).any(|(field, is_written)| is_written && field != BAGGAGE);
        !others && !spans
    }

    /// How many bytes the written fields take, names and values and what the transport puts around them.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// The members that were left out.
    pub fn dropped(&self) -> &[Dropped] {
        self.rare.as_ref().map_or(&[], |rare| &rare.dropped)
    }

    /// The valid span context that was in the message before, for a link.
    pub fn existing(&self) -> Option<&SpanContext> {
        self.rare.as_ref()?.existing.as_ref()
    }

    /// What became of the message.
    pub fn outcome(&self) -> Outcome {
        self.outcome
    }

    #[inline]
    pub(crate) fn drop_members(&mut self, field: &'static str, members: usize, reason: DropReason) {
        if members > 0 {
            self.dropped_members(field, members, reason);
        }
    }

    fn dropped_members(&mut self, field: &'static str, members: usize, reason: DropReason) {
        let all = &mut self.rare.get_or_insert_default().dropped;
        match all.iter_mut().find(|dropped| dropped.field == field && dropped.reason == reason) {
            Some(dropped) => dropped.members += members,
            None => all.push(Dropped { field: field.into(), members, reason }),
        }
    }

    /// A report that begins with what is in the message already.
    #[inline]
    pub(crate) fn of(existing: Option<SpanContext>, outcome: Outcome) -> Self {
        let rare = existing.map(|existing| Box::new(Rare { existing: Some(existing), ..Rare::default() }));
        Self { outcome, rare, ..Self::default() }
    }

    #[inline]
    pub(crate) fn written(&mut self, fields: &Fields<'_>, bytes: usize) {
        self.outcome = Outcome::Written;
        self.bytes = bytes;
        self.ours = fields.ours();
        let others = fields.others().map(str::to_owned);
        if others.len() > 0 {
            self.rare.get_or_insert_default().others = others.collect();
        }
    }
}
