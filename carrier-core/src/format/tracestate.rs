//! The `tracestate` header (W3C Trace Context level 2, "Tracestate Header").

use opentelemetry::trace::TraceState;

use super::list::{self, cut, trim_text};
use super::{MAX_FIELD_BYTES, MalformedReason};

const MAX_MEMBERS: usize = 32;

/// The content of a valid header.
#[derive(Debug, PartialEq)]
pub(crate) struct ParsedState {
    /// The members that OpenTelemetry's type can hold.
    pub(crate) state: TraceState,
    /// The whole text, if that type cannot hold all of it: its keys are those of level 1.
    pub(crate) raw: Option<String>,
}

/// Parses one header of at most [`MAX_FIELD_BYTES`]; `None` if it is malformed, longer or empty.
#[inline]
pub(crate) fn parse_one(text: &str) -> Option<ParsedState> {
    let is_valid = (1..=MAX_FIELD_BYTES).contains(&text.len()) && check(text).is_ok();
    is_valid.then(|| build(text))
}

/// Checks a joined header: one bad member makes all of it invalid.
pub(crate) fn check(text: &str) -> Result<(), MalformedReason> {
    let mut count = 0;
    for member in members(text) {
        count += 1;
        if !is_member(member) {
            return Err(MalformedReason::Member);
        }
    }
    if count > MAX_MEMBERS {
        return Err(MalformedReason::TooManyMembers);
    }
    Ok(())
}

/// Builds the content of a header that [`check`] accepts.
pub(crate) fn build(text: &str) -> ParsedState {
    let pairs = || members(text).filter_map(|member| cut(member, b'='));
    if let Ok(state) = TraceState::from_key_value(pairs()) {
        return ParsedState { state, raw: None };
    }
    let held = pairs().filter(|pair| TraceState::from_key_value([*pair]).is_ok());
    let state = TraceState::from_key_value(held).unwrap_or_default();
    let mut raw = String::with_capacity(text.len());
    members(text).for_each(|member| push(&mut raw, &[member]));
    ParsedState { state, raw: Some(raw) }
}

/// Returns the text to send, which may be empty, and the number of members that are left out.
pub(crate) fn format(state: &TraceState) -> (String, usize) {
    let (mut length, mut invalid) = (0, 0);
    // A sampler can add members that no header may hold. They are left out.
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

/// Returns the text to send for a received header that OpenTelemetry's type cannot hold as a whole, and the number of
/// members of `state` that are left out.
///
/// `received` is the received text, `held` its members that the type can hold, and `state` the current members. New and
/// changed members are added at the left (W3C Trace Context, "Mutating the tracestate Field"); the others stay unchanged.
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
            // A member that the type cannot hold can only be replaced by a new one with its key.
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
    list::members(text).map(trim_text).filter(|member| !member.is_empty())
}

fn is_member(member: &str) -> bool {
    cut(member, b'=').is_some_and(|(key, value)| is_key(key) && is_value(value))
}

fn is_key(key: &str) -> bool {
    (1..=256).contains(&key.len())
        && key.bytes().next().is_some_and(|first| first.is_ascii_lowercase() || first.is_ascii_digit())
        && key.bytes().all(|byte| KEY[usize::from(byte)])
}

const KEY: [bool; 256] = table!(byte => byte.is_ascii_lowercase()
    || byte.is_ascii_digit()
    || matches!(byte, b'_' | b'*' | b'/' | b'@' | b'-'));

fn is_value(value: &str) -> bool {
    // Without an early exit the compiler checks many bytes at once.
    let valid = |byte: u8| matches!(byte, b' '..=b'~') & (byte != b',') & (byte != b'=');
    (1..=256).contains(&value.len())
        && !value.ends_with(' ')
        && value.bytes().fold(true, |all, byte| all & valid(byte))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<ParsedState, MalformedReason> {
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
            assert_eq!(parse(&format!("ok=1,{bad}")), Err(MalformedReason::Member), "{bad:?}");
        }
    }

    #[test]
    fn more_than_32_members_refuse_the_whole_header() {
        let list = |count: usize| (0..count).map(|n| format!("k{n}=v")).collect::<Vec<_>>().join(",");
        assert!(parse(&list(32)).is_ok());
        assert_eq!(parse(&list(33)), Err(MalformedReason::TooManyMembers));
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
    fn a_header_over_the_limit_is_not_parsed_as_one() {
        let padded = |length: usize| format!("a=1{}", " ".repeat(length - 3));
        assert!(parse_one(&padded(MAX_FIELD_BYTES)).is_some());
        assert!(parse_one(&padded(MAX_FIELD_BYTES + 1)).is_none());
        assert!(parse_one("").is_none());
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
