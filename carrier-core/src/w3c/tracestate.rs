//! The `tracestate` header (W3C Trace Context level 2, "Tracestate Header").

use std::borrow::Cow;

use opentelemetry::trace::TraceState;

use crate::lists::{self, cut, trim_text};
use crate::names::TRACESTATE;
use crate::read::{MAX_FIELD_BYTES, Single, beside, joined};
use crate::{Reason, Status, TextMapReader};

const MAX_MEMBERS: usize = 32;

/// What a valid header says.
#[derive(Debug, PartialEq)]
pub(crate) struct Parsed {
    /// The members that OpenTelemetry's type can hold.
    pub(crate) state: TraceState,
    /// The whole, where that type cannot hold all of it: its keys are those of level 1.
    pub(crate) raw: Option<String>,
}

/// Reads the header that goes with a valid traceparent: what it says, and what is to be told of it.
pub(crate) fn read<R: TextMapReader, T>(reader: &R, parent: &Single<T>) -> (Option<Parsed>, Status) {
    let (text, status) = read_text(reader, parent);
    (text.map(|text| build(&text)), status)
}

/// What one header of a usual length says; `None` where it is not good, or says nothing.
#[inline]
pub(crate) fn plain(text: &str) -> Option<Parsed> {
    let is_good = (1..=MAX_FIELD_BYTES).contains(&text.len()) && check(text).is_ok();
    is_good.then(|| build(text))
}

/// Reads its text, which is good as a whole, and what is to be told of it.
pub(crate) fn read_text<'a, R: TextMapReader, T>(
    reader: &'a R,
    parent: &Single<T>,
) -> (Option<Cow<'a, str>>, Status) {
    let list = match parent.is_conflict() {
        false => joined(reader, TRACESTATE),
        true => beside(reader, TRACESTATE, parent),
    };
    match list {
        None => (None, Status::Absent),
        // Beyond the limit whole members are left out, which is allowed; a copy that is no text is a bad member.
        Some(list) if matches!(list.status, Status::Valid | Status::OverLimit { .. }) => {
            match check(&list.text) {
                Ok(()) => (Some(list.text), list.status),
                Err(reason) => (None, Status::Malformed { field: TRACESTATE.into(), reason }),
            }
        }
        Some(list) => (None, list.status),
    }
}

/// Whether a joined header is good: as a whole, or not at all.
fn check(text: &str) -> Result<(), Reason> {
    let mut count = 0;
    for member in members(text) {
        count += 1;
        if !is_member(member) {
            return Err(Reason::Member);
        }
    }
    if count > MAX_MEMBERS {
        return Err(Reason::TooManyMembers);
    }
    Ok(())
}

/// What a good header says.
fn build(text: &str) -> Parsed {
    let pairs = || members(text).filter_map(|member| cut(member, b'='));
    if let Ok(state) = TraceState::from_key_value(pairs()) {
        return Parsed { state, raw: None };
    }
    let held = pairs().filter(|pair| TraceState::from_key_value([*pair]).is_ok());
    let state = TraceState::from_key_value(held).unwrap_or_default();
    let mut raw = String::with_capacity(text.len());
    members(text).for_each(|member| push(&mut raw, &[member]));
    Parsed { state, raw: Some(raw) }
}

/// What is sent, empty where there is nothing to send, and how many members are not.
pub(crate) fn format(state: &TraceState) -> (String, usize) {
    let (mut length, mut invalid) = (0, 0);
    // OpenTelemetry's type lets a sampler put in what no header may hold; such a member is left out.
    let is_sent = |(key, value): &(&str, &str)| is_key(key) && is_value(value);
    for pair in state {
        length += pair.0.len() + pair.1.len() + 2;
        invalid += usize::from(!is_sent(&pair));
    }
    let mut text = String::with_capacity(length);
    for (key, value) in state.into_iter().filter(|pair| invalid == 0 || is_sent(pair)) {
        push(&mut text, &[key, "=", value]);
    }
    (text, invalid)
}

/// What is sent where `received` came in with members that OpenTelemetry's type cannot hold, `held` those that it can,
/// and `state` is what samplers and the user made of those; and how many members of `state` are not sent.
///
/// Members that are new or changed go to the left (W3C Trace Context, "Mutating the tracestate Field"); the others are as they came.
pub(crate) fn merge(state: &TraceState, held: &TraceState, received: &str) -> (String, usize) {
    if state == held {
        return (received.to_owned(), 0);
    }
    let holds = |state: &TraceState, pair: (&str, &str)| state.into_iter().any(|other| other == pair);
    let mut text = String::new();
    let (mut count, mut invalid) = (0, 0);
    for (key, value) in state.into_iter().filter(|pair| !holds(held, *pair)) {
        if is_key(key) && is_value(value) {
            push(&mut text, &[key, "=", value]);
            count += 1;
        } else {
            invalid += 1;
        }
    }
    let kept = members(received).filter(|member| {
        let (key, value) = member.split_once('=').unwrap_or((member, ""));
        match held.get(key) {
            Some(_) => holds(state, (key, value)),
            // What the type could not hold nobody could change, unless by a member of the same key.
            None => state.get(key).is_none(),
        }
    });
    for member in kept.take(MAX_MEMBERS.saturating_sub(count)) {
        push(&mut text, &[member]);
    }
    (text, invalid)
}

fn push(text: &mut String, parts: &[&str]) {
    if !text.is_empty() {
        text.push(',');
    }
    parts.iter().for_each(|part| text.push_str(part));
}

fn members(text: &str) -> impl Iterator<Item = &str> {
    lists::members(text).map(trim_text).filter(|member| !member.is_empty())
}

fn is_member(member: &str) -> bool {
    cut(member, b'=').is_some_and(|(key, value)| is_key(key) && is_value(value))
}

fn is_key(key: &str) -> bool {
    (1..=256).contains(&key.len())
        && key.bytes().next().is_some_and(|first| first.is_ascii_lowercase() || first.is_ascii_digit())
        && key.bytes().all(|byte| KEY[usize::from(byte)])
}

/// Which bytes a key may hold: asked for every byte of every key, so a table.
const KEY: [bool; 256] = {
    let mut table = [false; 256];
    let mut byte = 0_u8;
    while byte < 128 {
        let is_other = matches!(byte, b'_' | b'*' | b'/' | b'@' | b'-');
        table[byte as usize] = byte.is_ascii_lowercase() || byte.is_ascii_digit() || is_other;
        byte += 1;
    }
    table
};

fn is_value(value: &str) -> bool {
    // Without a way out of the loop it runs on many bytes at once.
    let valid = |byte: u8| matches!(byte, b' '..=b'~') & (byte != b',') & (byte != b'=');
    (1..=256).contains(&value.len())
        && !value.ends_with(' ')
        && value.bytes().fold(true, |all, byte| all & valid(byte))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Parsed, Reason> {
        check(text).map(|()| build(text))
    }

    fn round_trip(text: &str) -> Option<String> {
        parse(text).ok().map(|parsed| format(&parsed.state).0).filter(|text| !text.is_empty())
    }

    #[test]
    fn members_keep_their_order() {
        assert_eq!(round_trip("b=2,a=1,c@vendor=3").as_deref(), Some("b=2,a=1,c@vendor=3"));
    }

    #[test]
    fn white_space_and_empty_members_are_dropped() {
        assert_eq!(round_trip("a=1 , ,\tb=2,").as_deref(), Some("a=1,b=2"));
        assert_eq!(round_trip(" , "), None);
    }

    #[test]
    fn one_bad_member_refuses_the_whole_header() {
        for bad in ["A=1", "a", "a=", "=1", "a=1=2", "a=\u{e9}", "a=\t1\tx", "_a=1", "a =1"] {
            assert_eq!(parse(&format!("ok=1,{bad}")), Err(Reason::Member), "{bad:?}");
        }
    }

    #[test]
    fn more_than_32_members_refuse_the_whole_header() {
        let list = |count: usize| (0..count).map(|n| format!("k{n}=v")).collect::<Vec<_>>().join(",");
        assert!(parse(&list(32)).is_ok());
        assert_eq!(parse(&list(33)), Err(Reason::TooManyMembers));
    }

    #[test]
    fn keys_and_values_have_at_most_256_characters() {
        assert!(is_member(&format!("{}={}", "k".repeat(256), "v".repeat(256))));
        assert!(!is_member(&format!("{}=v", "k".repeat(257))));
        assert!(!is_member(&format!("k={}", "v".repeat(257))));
    }

    #[test]
    fn a_member_that_no_header_may_hold_is_not_sent() {
        let state = TraceState::from_key_value([("a", "1"), ("b", "x\r\ny"), ("c", "3")]).unwrap();
        assert_eq!(format(&state), ("a=1,c=3".to_owned(), 1));
    }

    /// A key of level 2 that OpenTelemetry's type refuses.
    const BEYOND: &str = "tenant@a-system-of-a-long-name=x";

    #[test]
    fn what_the_type_cannot_hold_is_kept_beside_it() {
        let parsed = parse(&format!("a=1, {BEYOND} ,b=2")).unwrap();
        assert_eq!(format(&parsed.state).0, "a=1,b=2");
        assert_eq!(parsed.raw, Some(format!("a=1,{BEYOND},b=2")));
    }

    #[test]
    fn new_and_changed_members_go_to_the_left_of_what_came() {
        let received = format!("a=1,{BEYOND},b=2");
        let held = parse(&received).unwrap().state;
        assert_eq!(merge(&held, &held, &received).0, received);
        let added = held.insert("new", "n").unwrap();
        assert_eq!(merge(&added, &held, &received).0, format!("new=n,{received}"));
        let changed = held.insert("b", "9").unwrap();
        assert_eq!(merge(&changed, &held, &received).0, format!("b=9,a=1,{BEYOND}"));
        let deleted = held.delete("a").unwrap();
        assert_eq!(merge(&deleted, &held, &received).0, format!("{BEYOND},b=2"));
    }

    #[test]
    fn what_no_header_may_hold_does_not_go_with_what_came_and_is_counted() {
        let received = format!("a=1,{BEYOND}");
        let held = parse(&received).unwrap().state;
        let state = TraceState::from_key_value([("bad", "x\ry"), ("a", "1")]).unwrap();
        assert_eq!(merge(&state, &held, &received), (received, 1));
    }

    #[test]
    fn a_header_that_is_longer_than_what_is_looked_at_is_not_plain() {
        let padded = |length: usize| format!("a=1{}", " ".repeat(length - 3));
        assert!(plain(&padded(MAX_FIELD_BYTES)).is_some());
        assert!(plain(&padded(MAX_FIELD_BYTES + 1)).is_none());
        assert!(plain("").is_none());
    }

    #[test]
    fn duplicates_that_came_in_go_on_and_no_more_are_made() {
        let received = format!("a=1,a=2,{BEYOND}");
        let held = parse(&received).unwrap().state;
        assert_eq!(merge(&held, &held, &received).0, received);
        let added = held.insert("new", "n").unwrap();
        assert_eq!(merge(&added, &held, &received).0, format!("new=n,{received}"));
    }

    #[test]
    fn a_full_list_loses_its_rightmost_member_to_a_new_one() {
        let rest = (0..31).map(|n| format!("k{n}=v")).collect::<Vec<_>>().join(",");
        let received = format!("{BEYOND},{rest}");
        let held = parse(&received).unwrap().state;
        let (sent, _) = merge(&held.insert("new", "n").unwrap(), &held, &received);
        assert!(sent.starts_with(&format!("new=n,{BEYOND},k0=v")) && sent.ends_with("k29=v"), "{sent}");
        assert_eq!(members(&sent).count(), 32);
    }
}
