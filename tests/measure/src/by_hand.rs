//! The second floor: what a careful engineer writes who needs the W3C fields and nothing else.

use std::str::from_utf8;

use opentelemetry::Context;
use opentelemetry::baggage::{Baggage, BaggageExt};
use opentelemetry::trace::{SpanContext, TraceContextExt, TraceFlags, TraceState};
use percent_encoding::{AsciiSet, CONTROLS, percent_decode_str, utf8_percent_encode};

/// What a baggage value must not hold raw.
const RESERVED: &AsciiSet = &CONTROLS.add(b' ').add(b'"').add(b',').add(b';').add(b'\\').add(b'%');

/// The values to send; the lists are empty if the context has none. `None` if the context has no span.
pub fn format(cx: &Context) -> Option<([u8; 55], String, String)> {
    let span = cx.span();
    let span = span.span_context();
    if !span.is_valid() {
        return None;
    }
    let mut parent = *b"00-00000000000000000000000000000000-0000000000000000-00";
    write_hex(&mut parent[3..35], &span.trace_id().to_bytes());
    write_hex(&mut parent[36..52], &span.span_id().to_bytes());
    write_hex(&mut parent[53..], &[span.trace_flags().to_u8()]);
    Some((parent, format_state(span.trace_state()), format_baggage(cx.baggage())))
}

fn write_hex(to: &mut [u8], bytes: &[u8]) {
    for (pair, byte) in to.chunks_exact_mut(2).zip(bytes) {
        pair.copy_from_slice(&PAIRS[usize::from(*byte)]);
    }
}

/// The two digits of each byte.
const PAIRS: [[u8; 2]; 256] = {
    let (digits, mut pairs, mut byte) = (b"0123456789abcdef", [[0; 2]; 256], 0);
    while byte < 256 {
        pairs[byte] = [digits[byte / 16], digits[byte % 16]];
        byte += 1;
    }
    pairs
};

fn format_state(state: &TraceState) -> String {
    let members = state.into_iter();
    let mut text = String::with_capacity(32 * members.len());
    for (key, value) in members {
        push(&mut text, key);
        text.push_str(value);
    }
    text
}

fn format_baggage(baggage: &Baggage) -> String {
    let mut text = String::with_capacity(32 * baggage.len());
    for (key, (value, metadata)) in baggage {
        push(&mut text, key.as_str());
        text.extend(utf8_percent_encode(value.as_str(), RESERVED));
        if !metadata.as_str().is_empty() {
            text.push(';');
            text.push_str(metadata.as_str());
        }
    }
    text
}

fn push(text: &mut String, key: &str) {
    if !text.is_empty() {
        text.push(',');
    }
    text.push_str(key);
    text.push('=');
}

/// The context of a message with these fields; an invalid list counts as absent.
pub fn extract(parent: Option<&[u8]>, state: Option<&[u8]>, baggage: Option<&[u8]>) -> Context {
    let mut cx = Context::new();
    if let Some((trace, span, flags)) = parent.and_then(parse_parent) {
        let state = state.and_then(parse_state).unwrap_or_default();
        let span = SpanContext::new(trace.into(), span.into(), TraceFlags::new(flags), true, state);
        cx = cx.with_remote_span_context(span);
    }
    match baggage.and_then(parse_baggage) {
        Some(baggage) => cx.with_baggage(baggage),
        None => cx,
    }
}

/// Version 00 alone, each digit checked, ids that are not zero.
pub(crate) fn parse_parent(parent: &[u8]) -> Option<(u128, u64, u8)> {
    if parent.len() != 55 || &parent[..3] != b"00-" || parent[35] != b'-' || parent[52] != b'-' {
        return None;
    }
    let trace = number(&parent[3..35])?;
    let span = u64::try_from(number(&parent[36..52])?).ok()?;
    let flags = u8::try_from(number(&parent[53..])?).ok()?;
    (trace != 0 && span != 0).then_some((trace, span, flags))
}

fn number(digits: &[u8]) -> Option<u128> {
    let mut number = 0;
    for digit in digits {
        let value = match digit {
            b'0'..=b'9' => digit - b'0',
            b'a'..=b'f' => digit - b'a' + 10,
            _ => return None,
        };
        number = number << 4 | u128::from(value);
    }
    Some(number)
}

/// `TraceState` itself checks the characters of a key and the number of members.
fn parse_state(state: &[u8]) -> Option<TraceState> {
    let mut pairs = Vec::with_capacity(4);
    for member in from_utf8(state).ok()?.split(',').map(str::trim).filter(|member| !member.is_empty()) {
        let (key, value) = member.split_once('=')?;
        let is_text = value.bytes().all(|byte| matches!(byte, b' '..=b'~') && byte != b'=');
        if key.is_empty() || value.is_empty() || value.len() > 256 || !is_text {
            return None;
        }
        pairs.push((key, value));
    }
    TraceState::from_key_value(pairs).ok()
}

fn parse_baggage(text: &[u8]) -> Option<Baggage> {
    let mut baggage = Baggage::new();
    for member in from_utf8(text).ok()?.split(',').map(str::trim).filter(|member| !member.is_empty()) {
        let (pair, metadata) = member.split_once(';').unwrap_or((member, ""));
        let (key, value) = pair.split_once('=')?;
        let (key, value) = (key.trim(), value.trim());
        let is_token = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
        let is_octet = |byte: u8| byte.is_ascii_graphic() && !b"\",;\\".contains(&byte);
        let is_property = |byte| is_octet(byte) || b" \t;".contains(&byte);
        if key.is_empty()
            || !key.bytes().all(is_token)
            || !value.bytes().all(is_octet)
            || !metadata.bytes().all(is_property)
        {
            return None;
        }
        let value = percent_decode_str(value).decode_utf8_lossy().into_owned();
        baggage.insert_with_metadata(key.to_owned(), value, metadata.trim());
    }
    Some(baggage)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::{ALL, full_context};

    #[test]
    fn what_is_written_by_hand_is_what_is_read_by_hand() {
        let (parent, state, baggage) = format(&full_context()).unwrap();
        assert_eq!((from_utf8(&parent).unwrap(), &*state), (ALL[0].1, ALL[1].1));
        let cx = extract(Some(&parent), Some(state.as_bytes()), Some(baggage.as_bytes()));
        assert_eq!(cx.span().span_context(), full_context().span().span_context());
        let members = |cx: &Context| {
            cx.baggage().iter().map(|(key, value)| (key.clone(), value.0.clone())).collect::<BTreeMap<_, _>>()
        };
        assert_eq!(members(&cx), members(&full_context()));
    }

    #[test]
    fn what_the_grammar_refuses_is_absent() {
        let parent = ALL[0].1.as_bytes();
        assert!(extract(Some(&parent[1..]), None, None).span().span_context() == &SpanContext::NONE);
        for bad in ["a", "a=", "=1", "A=1", "a=\u{7f}", "a=1=2"] {
            let cx = extract(Some(parent), Some(bad.as_bytes()), Some(b"a=\"1\""));
            assert!(cx.span().span_context().trace_state().header().is_empty() && cx.baggage().is_empty());
        }
    }
}
