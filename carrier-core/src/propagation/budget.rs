//! The limit on what is added to one message, and what is left out first.

use crate::carrier::{Fields, MessageSize};
use crate::format::baggage::{MAX_BYTES, MAX_MEMBERS};
use crate::format::list::{count_members, members, trim_text};
use crate::format::{BAGGAGE_SLOT, TRACESTATE_SLOT, W3C_FIELDS};

/// Longer `tracestate` members are left out first (W3C Trace Context, "tracestate Limits").
const LONG_MEMBER: usize = 128;

/// The most that propagation may add to one message.
///
/// Over the limit, whole members are left out: first of baggage, from the right; then of `tracestate`, those of more than
/// 128 characters and then from the right; never `traceparent`. The [`Injection`](crate::Injection) reports how many.
///
/// Without a budget the limits are those of W3C (64 members and 8,192 bytes of baggage, 32 members of `tracestate`) and the
/// transport's, if the carrier knows it: AMQP's frame, Kafka's message size.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Budget {
    added: Option<usize>,
    message: Option<usize>,
}

impl Budget {
    /// A limit of `added` bytes for header names, values, and what the transport puts around them.
    pub fn bytes(added: usize) -> Self {
        Self { added: Some(added), message: None }
    }

    /// A limit of `bytes` bytes for the whole message as the transport counts it, including the user's part.
    ///
    /// The adapters derive it from their client's settings. A map or a list does not know the size of its message, so only
    /// the added fields count there.
    pub fn message(bytes: usize) -> Self {
        Self { added: None, message: Some(bytes) }
    }

    /// Combines two budgets: the smaller of each limit.
    pub fn and(self, other: Self) -> Self {
        let least = |left: Option<usize>, right: Option<usize>| left.into_iter().chain(right).min();
        Self { added: least(self.added, other.added), message: least(self.message, other.message) }
    }

    /// Removes from `fields` what does not fit, and counts the members in `left_out` by the slot of the field.
    ///
    /// Returns the bytes that are added; `None` if not even `traceparent` fits into the message.
    #[inline]
    pub(super) fn apply(
        &self,
        message: &MessageSize,
        fields: &mut Fields<'_>,
        left_out: &mut [usize; 3],
    ) -> Option<usize> {
        let within_w3c = |bytes, members| bytes <= MAX_BYTES && members <= MAX_MEMBERS;
        let baggage = fields.change(BAGGAGE_SLOT, |baggage| match baggage.len() < MAX_MEMBERS {
            true => 0, // So short a list cannot have too many members.
            false => shorten(baggage, false, within_w3c),
        });
        left_out[BAGGAGE_SLOT] += baggage.unwrap_or_default();
        let limit = self.message.or(message.limit).unwrap_or(usize::MAX);
        let room = limit.saturating_sub(message.bytes);
        let most = self.added.map_or(room, |limit| limit.min(room));
        let mut added = fields.size(message.header);
        for (slot, long_first) in [(BAGGAGE_SLOT, false), (TRACESTATE_SLOT, true)] {
            if added <= most {
                break;
            }
            let removed = fields.change(slot, |value| {
                let header = |bytes| (message.header)(W3C_FIELDS[slot], bytes);
                let others = added.saturating_sub(header(value.len()));
                let allowed = most.saturating_sub(others);
                shorten(value, long_first, |bytes, _| header(bytes) <= allowed)
            });
            left_out[slot] += removed.unwrap_or_default();
            added = fields.size(message.header);
        }
        // The rest cannot be shortened. It may exceed what may be added, but not the message: that would lose it.
        (added <= room).then_some(added)
    }
}

/// Removes whole members until the bytes and the number of members fit; returns the number of removed members.
///
/// The work is linear in the number of members, since a foreign propagator may write any number.
fn shorten(value: &mut String, long_first: bool, fits: impl Fn(usize, usize) -> bool) -> usize {
    let (mut bytes, mut count) = (value.len(), count_members(value));
    if fits(bytes, count) {
        return 0;
    }
    let mut all: Vec<Option<&str>> = members(value).map(Some).collect();
    for only_long in [true, false] {
        for place in all.iter_mut().rev() {
            if fits(bytes, count) || count == 0 {
                break;
            }
            let is_long = |member: &&str| trim_text(member).len() > LONG_MEMBER;
            if let Some(member) = place.filter(|member| !only_long || (long_first && is_long(member))) {
                *place = None;
                count -= 1;
                bytes = bytes.saturating_sub(member.len() + 1);
            }
        }
    }
    let left_out = all.len() - count;
    *value = all.into_iter().flatten().collect::<Vec<_>>().join(",");
    left_out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shortened(text: &str, long_first: bool, limit: usize) -> (String, usize) {
        let mut value = text.to_owned();
        let dropped = shorten(&mut value, long_first, |bytes, _| bytes <= limit);
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
    fn a_list_of_a_foreign_propagator_is_shortened_in_one_pass() {
        // Quadratic work would take minutes here.
        let mut list = vec!["k=v"; 1_000_000].join(",");
        assert_eq!(shorten(&mut list, false, |_, members| members <= MAX_MEMBERS), 1_000_000 - MAX_MEMBERS);
        assert_eq!(count_members(&list), MAX_MEMBERS);
        let mut list = vec!["k=v"; 1_000_000].join(",");
        assert_eq!(shorten(&mut list, true, |bytes, _| bytes <= 7), 1_000_000 - 2);
    }

    #[test]
    fn two_budgets_together_are_the_smaller_of_each() {
        let both = Budget::bytes(5).and(Budget::message(9)).and(Budget::bytes(7));
        assert_eq!(both, Budget { added: Some(5), message: Some(9) });
    }
}
