//! The `tracestate` header (W3C Trace Context level 2, section 3.3).

use opentelemetry::trace::TraceState;

use crate::read::OWS;

const MAX_MEMBERS: usize = 32;

/// Reads a joined header; `None` where it has no members, or where one of them is bad and so the whole is.
pub(crate) fn parse(text: &str) -> Option<TraceState> {
    if !is_valid(text) {
        return None;
    }
    let state = TraceState::from_key_value(members(text).filter_map(|member| member.split_once('='))).ok()?;
    (state != TraceState::NONE).then_some(state)
}

/// Whether every member is valid and there are not more than 32.
pub(crate) fn is_valid(text: &str) -> bool {
    members(text).count() <= MAX_MEMBERS && members(text).all(is_member)
}

/// What is sent: empty where there is nothing to send.
pub(crate) fn format(state: &TraceState) -> String {
    // OpenTelemetry's type lets a sampler put in what no header may hold; such a member is left out.
    let mut text = String::new();
    for (key, value) in state {
        if is_key(key) && is_value(value) {
            if !text.is_empty() {
                text.push(',');
            }
            text.push_str(key);
            text.push('=');
            text.push_str(value);
        }
    }
    text
}

fn members(text: &str) -> impl Iterator<Item = &str> {
    text.split(',')
        .map(|member| member.trim_matches(OWS))
        .filter(|member| !member.is_empty())
}

fn is_member(member: &str) -> bool {
    member
        .split_once('=')
        .is_some_and(|(key, value)| is_key(key) && is_value(value))
}

fn is_key(key: &str) -> bool {
    let lower_or_digit = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    (1..=256).contains(&key.len())
        && key.bytes().next().is_some_and(lower_or_digit)
        && key
            .bytes()
            .all(|byte| lower_or_digit(byte) || b"_*/@-".contains(&byte))
}

fn is_value(value: &str) -> bool {
    (1..=256).contains(&value.len())
        && !value.ends_with(' ')
        && value
            .bytes()
            .all(|byte| matches!(byte, b' '..=b'~') && !matches!(byte, b',' | b'='))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn round_trip(text: &str) -> Option<String> {
        parse(text).map(|state| format(&state))
    }

    #[test]
    fn members_keep_their_order() {
        assert_eq!(
            round_trip("b=2,a=1,c@vendor=3").as_deref(),
            Some("b=2,a=1,c@vendor=3")
        );
    }

    #[test]
    fn white_space_and_empty_members_are_dropped() {
        assert_eq!(round_trip("a=1 , ,\tb=2,").as_deref(), Some("a=1,b=2"));
        assert_eq!(round_trip(" , "), None);
    }

    #[test]
    fn one_bad_member_refuses_the_whole_header() {
        for bad in [
            "A=1", "a", "a=", "=1", "a=1=2", "a=\u{e9}", "a=\t1\tx", "_a=1", "a =1",
        ] {
            assert_eq!(parse(&format!("ok=1,{bad}")), None, "{bad:?}");
        }
    }

    #[test]
    fn more_than_32_members_refuse_the_whole_header() {
        let list = |count: usize| {
            (0..count)
                .map(|n| format!("k{n}=v"))
                .collect::<Vec<_>>()
                .join(",")
        };
        assert!(parse(&list(32)).is_some());
        assert!(parse(&list(33)).is_none());
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
        assert_eq!(format(&state), "a=1,c=3");
    }
}
