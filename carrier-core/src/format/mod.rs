//! Layer 1: the W3C formats as bytes and text. It knows no carrier and no propagator.

/// A table of the bytes that have a property, for checks of every byte of a text.
macro_rules! table {
    ($byte:ident => $has:expr) => {{
        let (mut table, mut index) = ([false; 256], 0);
        while index < table.len() {
            let $byte = index as u8;
            table[index] = $has;
            index += 1;
        }
        table
    }};
}

pub(crate) mod baggage;
pub(crate) mod list;
pub(crate) mod traceparent;
pub(crate) mod tracestate;

use std::fmt;

pub(crate) const TRACEPARENT: &str = "traceparent";
pub(crate) const TRACESTATE: &str = "tracestate";
pub(crate) const BAGGAGE: &str = "baggage";

/// The names of the W3C header fields. The three constants below are indexes into this array.
pub(crate) const W3C_FIELDS: [&str; 3] = [TRACEPARENT, TRACESTATE, BAGGAGE];

pub(crate) const TRACEPARENT_SLOT: usize = 0;
pub(crate) const TRACESTATE_SLOT: usize = 1;
pub(crate) const BAGGAGE_SLOT: usize = 2;

/// How many bytes of one field are read, over all its copies together.
///
/// 32 `tracestate` members of the greatest legal length take 16,447 bytes with their commas. W3C Baggage asks for 8,192.
pub(crate) const MAX_FIELD_BYTES: usize = 16_447;

/// Returns the slot of a W3C field name, ignoring case: W3C Trace Context requires readers to expect any case.
#[inline]
pub(crate) fn slot(name: &str) -> Option<usize> {
    let slot = match name.len() {
        11 => TRACEPARENT_SLOT,
        10 => TRACESTATE_SLOT,
        7 => BAGGAGE_SLOT,
        _ => return None,
    };
    // Nearly all names are in lower case, and comparing those exactly is faster.
    (name == W3C_FIELDS[slot] || name.eq_ignore_ascii_case(W3C_FIELDS[slot])).then_some(slot)
}

/// Returns whether a byte may be in a field value: visible ASCII, space or tab (RFC 9110, section 5.5, without obs-text).
pub(crate) fn is_field_byte(byte: u8) -> bool {
    matches!(byte, b'\t' | b' '..=b'~')
}

/// Returns whether text is a field value; an empty one counts as none.
pub(crate) fn is_field_value(value: &str) -> bool {
    // Without an early exit the compiler checks many bytes at once.
    !value.is_empty() && value.bytes().fold(true, |all, byte| all & is_field_byte(byte))
}

/// Returns whether text is a token (RFC 9110, section 5.6.2).
pub(crate) fn is_token(key: &str) -> bool {
    !key.is_empty() && key.bytes().all(|byte| TOKEN[usize::from(byte)])
}

pub(crate) const TOKEN: [bool; 256] = table!(byte => byte.is_ascii_alphanumeric()
    || matches!(byte, b'!' | b'#'..=b'\'' | b'*' | b'+' | b'-' | b'.' | b'^'..=b'`' | b'|' | b'~'));

/// Why a field is malformed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum MalformedReason {
    /// The value is not UTF-8, or a `traceparent` has bytes other than visible ASCII.
    NotText,
    /// A `traceparent` has the wrong length.
    Length,
    /// A `traceparent` has no dash at a place that needs one.
    Delimiter,
    /// A `traceparent` has a character other than a lower-case hexadecimal digit.
    Digit,
    /// A `traceparent` has the forbidden version `ff`.
    Version,
    /// The trace id is all zeros.
    ZeroTraceId,
    /// The parent id is all zeros.
    ZeroSpanId,
    /// A list has a member that its specification does not allow.
    Member,
    /// A list has more members than its specification allows.
    TooManyMembers,
    /// A list cannot be assigned to one of several `traceparent` headers.
    Unassigned,
    /// The registered propagator found no context in its fields.
    Unrecognised,
}

impl fmt::Display for MalformedReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NotText => "it is not valid text",
            Self::Length => "its length is wrong",
            Self::Delimiter => "a dash is missing",
            Self::Digit => "it has a character other than a lower-case hexadecimal digit",
            Self::Version => "version ff is forbidden",
            Self::ZeroTraceId => "its trace id is zero",
            Self::ZeroSpanId => "its parent id is zero",
            Self::Member => "it has a member that is not allowed",
            Self::TooManyMembers => "it has too many members",
            Self::Unassigned => "it cannot be assigned to one of several traceparents",
            Self::Unrecognised => "the propagator found no context in it",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_w3c_field_is_recognised_in_any_case() {
        assert_eq!(["traceparent", "Tracestate", "BAGGAGE"].map(slot), [Some(0), Some(1), Some(2)]);
        assert_eq!(["traceparent ", "trace-state", "tracestat\u{e9}", ""].map(slot), [None; 4]);
    }
}
