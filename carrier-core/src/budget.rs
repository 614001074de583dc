//! What propagation may add to one message, and what goes first where it is too much.

use crate::injection::{DropReason, Injection};
use crate::lists::count_members;
use crate::names::{BAGGAGE, BAGGAGE_AT, OURS, TRACESTATE_AT};
use crate::w3c::{MAX_BYTES, MAX_MEMBERS};
use crate::{Fields, TextMapCarrier};

/// A tracestate member longer than this goes before the others (W3C Trace Context, "tracestate Limits").
const LONG_MEMBER: usize = 128;

/// The most that propagation may add to one message.
///
/// Over it baggage goes first, by whole members from the right, then `tracestate`, whole members of more than 128
/// characters and then from the right, and never `traceparent`; the [`Injection`] says what went. Without a limit of
/// one's own it is W3C's, 64 members and 8,192 bytes of baggage and 32 members of `tracestate`, and the one of the
/// transport, where the carrier knows it: AMQP's frame, Kafka's message size.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Budget {
    added: Option<usize>,
    message: Option<usize>,
}

impl Budget {
    /// At most so many bytes of header names, values, and what the transport puts around them.
    pub fn bytes(added: usize) -> Self {
        Self { added: Some(added), message: None }
    }

    /// At most so many bytes of message, as the carrier's transport counts them, what the user put in included.
    ///
    /// The adapters derive it from their client's settings. A map or list does not know its message: there only the fields
    /// that are written count.
    pub fn message(bytes: usize) -> Self {
        Self { added: None, message: Some(bytes) }
    }

    /// Both limits, each the smaller one.
    pub fn and(self, other: Self) -> Self {
        let least = |left: Option<usize>, right: Option<usize>| left.into_iter().chain(right).min();
        Self { added: least(self.added, other.added), message: least(self.message, other.message) }
    }

    /// Takes from `fields` what does not fit, and says how many bytes are added; `None` where not even what must stay fits
    /// the message. `there` is what is in the message and stays.
    #[inline]
    pub(crate) fn apply<C: TextMapCarrier>(
        &self,
        carrier: &C,
        there: usize,
        fields: &mut Fields<'_>,
        report: &mut Injection,
    ) -> Option<usize> {
        // So short a list cannot have too many members.
        let is_short = |value: &str| value.len() < MAX_MEMBERS;
        let fits = |value: &str| {
            is_short(value) || (value.len() <= MAX_BYTES && count_members(value) <= MAX_MEMBERS)
        };
        if let Some(dropped) = fields.change(BAGGAGE_AT, |baggage| shorten(baggage, false, fits)) {
            report.drop_members(BAGGAGE, dropped, DropReason::Budget);
        }
        let room =
            self.message.or_else(|| carrier.size_limit(there)).map(|limit| limit.saturating_sub(there));
        let added = size(carrier, fields);
        let limit = room.unwrap_or(usize::MAX).min(self.added.unwrap_or(usize::MAX));
        if added <= limit {
            return Some(added);
        }
        let added = shorten_all(carrier, fields, limit, report);
        // What is left is traceparent and fields that nobody may cut. They are sent over what may be added, and not over
        // what the message may be: that would cost the message.
        room.is_none_or(|room| added <= room).then_some(added)
    }
}

fn size<C: TextMapCarrier>(carrier: &C, fields: &Fields<'_>) -> usize {
    fields.size(|key, value| carrier.entry_size(key, value))
}

/// Takes from the lists until all fits, if that is enough; returns what is left.
fn shorten_all<C: TextMapCarrier>(
    carrier: &C,
    fields: &mut Fields<'_>,
    limit: usize,
    report: &mut Injection,
) -> usize {
    for (at, long_first) in [(BAGGAGE_AT, false), (TRACESTATE_AT, true)] {
        let (field, total) = (OURS[at], size(carrier, fields));
        if total <= limit {
            break;
        }
        let dropped = fields.change(at, |value| {
            let own = carrier.entry_size(field, value.len());
            let allowed = limit.saturating_sub(total - own);
            shorten(value, long_first, |value| carrier.entry_size(field, value.len()) <= allowed)
        });
        report.drop_members(field, dropped.unwrap_or_default(), DropReason::Budget);
    }
    size(carrier, fields)
}

/// Removes whole members until the value fits; returns how many.
fn shorten(value: &mut String, long_first: bool, fits: impl Fn(&str) -> bool) -> usize {
    if fits(value) {
        return 0;
    }
    let mut members: Vec<&str> = value.split(',').collect();
    let count = members.len();
    let mut text = value.clone();
    while !fits(&text) && !members.is_empty() {
        let long = members.iter().rposition(|member| member.trim().len() > LONG_MEMBER);
        let goes = long.filter(|_| long_first).unwrap_or(members.len() - 1);
        members.remove(goes);
        text = members.join(",");
    }
    let dropped = count - members.len();
    *value = text;
    dropped
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shortened(text: &str, long_first: bool, limit: usize) -> (String, usize) {
        let mut value = text.to_owned();
        let dropped = shorten(&mut value, long_first, |value| value.len() <= limit);
        (value, dropped)
    }

    #[test]
    fn baggage_loses_whole_members_from_the_right() {
        assert_eq!(shortened("a=1,b=2,c=3", false, 8), ("a=1,b=2".to_owned(), 1));
        assert_eq!(shortened("a=1,b=2,c=3", false, 6), ("a=1".to_owned(), 2));
        assert_eq!(shortened("a=1", false, 0), (String::new(), 1));
        assert_eq!(shortened("a=1", false, 3), ("a=1".to_owned(), 0));
    }

    #[test]
    fn tracestate_loses_its_long_members_first() {
        let long = format!("long={}", "v".repeat(124));
        let text = format!("a=1,{long},b=2");
        assert_eq!(shortened(&text, true, 100), ("a=1,b=2".to_owned(), 1));
        assert_eq!(shortened(&text, true, 5), ("a=1".to_owned(), 2));
        let short = format!("kkkk={}", "v".repeat(123));
        assert_eq!(shortened(&format!("a=1,{short},b=2"), true, 133), (format!("a=1,{short}"), 1));
    }

    #[test]
    fn two_budgets_together_are_the_smaller_of_each() {
        let both = Budget::bytes(5).and(Budget::message(9)).and(Budget::bytes(7));
        assert_eq!(both, Budget { added: Some(5), message: Some(9) });
    }
}
