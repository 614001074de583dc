//! The `traceparent` header (W3C Trace Context level 2, "Traceparent Header"): parsed and formatted without an allocation.

use opentelemetry::trace::{SpanContext, SpanId, TraceFlags, TraceId, TraceState};

use super::{MalformedReason, is_field_byte};

/// The length of version 00, and the minimum length of a higher version.
const LENGTH: usize = 55;

/// A longer value is refused unread; a higher version may append fields of unknown length.
const MAX_LENGTH: usize = 512;

/// The flags that level 2 defines: sampled and random. Other flags must be sent as zero.
const KNOWN_FLAGS: u8 = 0x03;

/// A `traceparent` of version 00 as ASCII text.
///
/// The alignment lets the compiler copy it in whole words.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(align(8))]
pub(crate) struct TraceParentText(pub(crate) [u8; LENGTH]);

/// The content of a valid `traceparent`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct TraceParent {
    pub(crate) trace_id: TraceId,
    pub(crate) span_id: SpanId,
    pub(crate) flags: TraceFlags,
}

impl TraceParent {
    /// Parses a header value strictly.
    ///
    /// Every byte must be visible ASCII, space or tab, so that a propagator which sees text reads the same as one which
    /// sees bytes.
    pub(crate) fn parse(value: &[u8]) -> Result<Self, MalformedReason> {
        if value.len() > MAX_LENGTH {
            return Err(MalformedReason::Length);
        }
        let value = trim(value);
        let (fields, rest) = value.split_first_chunk::<LENGTH>().ok_or(MalformedReason::Length)?;
        if [fields[2], fields[35], fields[52]] != [b'-'; 3] {
            return Err(MalformedReason::Delimiter);
        }
        let mut digits = [b'0'; 64];
        digits[..32].copy_from_slice(&fields[3..35]);
        digits[32..48].copy_from_slice(&fields[36..52]);
        digits[50..52].copy_from_slice(&fields[..2]);
        digits[54..56].copy_from_slice(&fields[53..]);
        let [first, second, third, fourth, high, low, version_and_flags, _] =
            parse_digits(&digits).ok_or(MalformedReason::Digit)?;
        let [_, version, _, flags] = version_and_flags.to_be_bytes();
        match version {
            0xff => return Err(MalformedReason::Version),
            _ if rest.is_empty() => {}
            // A higher version may append fields after another dash.
            _ if version > 0 && rest[0] == b'-' => {
                if !rest.iter().copied().all(is_field_byte) {
                    return Err(MalformedReason::NotText);
                }
            }
            _ => return Err(MalformedReason::Length),
        }
        let trace_id =
            [first, second, third, fourth].into_iter().fold(0, |id, part| id << 32 | u128::from(part));
        let span_id = u64::from(high) << 32 | u64::from(low);
        if trace_id == 0 {
            return Err(MalformedReason::ZeroTraceId);
        }
        if span_id == 0 {
            return Err(MalformedReason::ZeroSpanId);
        }
        let flags = TraceFlags::new(flags & KNOWN_FLAGS);
        Ok(Self { trace_id: trace_id.into(), span_id: span_id.into(), flags })
    }

    /// Returns the sender's span context.
    pub(crate) fn to_remote(self, state: TraceState) -> SpanContext {
        SpanContext::new(self.trace_id, self.span_id, self.flags, true, state)
    }

    /// Returns what is sent for a span context; `None` if it is not valid.
    pub(crate) fn of(span: &SpanContext) -> Option<Self> {
        span.is_valid().then(|| Self {
            trace_id: span.trace_id(),
            span_id: span.span_id(),
            flags: TraceFlags::new(span.trace_flags().to_u8() & KNOWN_FLAGS),
        })
    }

    /// Returns the header value, version 00.
    #[inline]
    pub(crate) fn format(&self) -> TraceParentText {
        let mut text = TraceParentText(*b"00-00000000000000000000000000000000-0000000000000000-00");
        let TraceParentText(line) = &mut text;
        line[3..35].copy_from_slice(format_digits(&self.trace_id.to_bytes()).as_flattened());
        line[36..52].copy_from_slice(format_digits(&self.span_id.to_bytes()).as_flattened());
        line[53..].copy_from_slice(format_digits(&[self.flags.to_u8()]).as_flattened());
        text
    }
}

/// Removes optional white space at both ends of a value.
fn trim(bytes: &[u8]) -> &[u8] {
    let ows = |byte: &u8| matches!(byte, b' ' | b'\t');
    let start = bytes.iter().position(|byte| !ows(byte)).unwrap_or(bytes.len());
    let end = bytes.iter().rposition(|byte| !ows(byte)).map_or(start, |last| last + 1);
    &bytes[start..end]
}

/// The two lower-case hexadecimal digits of each byte.
const PAIRS: [[u8; 2]; 256] = {
    let digits = b"0123456789abcdef";
    let mut pairs = [[0; 2]; 256];
    let mut byte = 0;
    while byte < pairs.len() {
        pairs[byte] = [digits[byte >> 4], digits[byte & 0x0f]];
        byte += 1;
    }
    pairs
};

/// Returns two lower-case hexadecimal digits for each byte.
#[inline]
fn format_digits<const N: usize>(bytes: &[u8; N]) -> [[u8; 2]; N] {
    bytes.map(|byte| PAIRS[usize::from(byte)])
}

/// Parses each eight lower-case hexadecimal digits to a number, without a branch for each digit.
///
/// Returns `None` if any byte is not such a digit.
fn parse_digits(digits: &[u8; 64]) -> Option<[u32; 8]> {
    let mut halves = [0; 64];
    let mut all_valid = true;
    for (half, digit) in halves.iter_mut().zip(digits) {
        let (number, letter) = (digit.wrapping_sub(b'0'), digit.wrapping_sub(b'a'));
        *half = if number < 10 { number } else { letter.wrapping_add(10) };
        all_valid &= number < 10 || letter < 6;
    }
    if !all_valid {
        return None;
    }
    let mut numbers = [0; 8];
    for (number, halves) in numbers.iter_mut().zip(halves.chunks_exact(8)) {
        let word = u64::from_be_bytes(halves.try_into().unwrap_or_default());
        let word = (word >> 4 | word) & 0x00ff_00ff_00ff_00ff;
        let word = (word >> 8 | word) & 0x0000_ffff_0000_ffff;
        *number = (word >> 16 | word) as u32;
    }
    Some(numbers)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const VALID: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

    fn flags(value: &str) -> Option<u8> {
        TraceParent::parse(value.as_bytes()).ok().map(|parent| parent.flags.to_u8())
    }

    #[test]
    fn the_specifications_example_is_read_and_written_the_same() {
        let parent = TraceParent::parse(VALID.as_bytes()).unwrap();
        assert_eq!(parent.trace_id.to_string(), "0af7651916cd43dd8448eb211c80319c");
        assert_eq!(parent.span_id.to_string(), "b7ad6b7169203331");
        assert!(parent.flags.is_sampled());
        assert_eq!(parent.format().0, VALID.as_bytes());
    }

    #[test]
    fn sampled_and_random_are_kept_and_other_flags_cleared() {
        for (sent, kept) in [("00", 0), ("01", 1), ("02", 2), ("03", 3), ("ff", 3), ("fc", 0)] {
            assert_eq!(flags(&(VALID[..53].to_owned() + sent)), Some(kept), "{sent}");
        }
    }

    #[test]
    fn white_space_is_allowed_at_the_ends_only() {
        assert_eq!(trim(b" \ta b\t "), b"a b");
        assert_eq!(trim(b"\na"), b"\na");
        assert_eq!(trim(b"  "), b"");
        assert!(flags(&format!(" \t{VALID}\t ")).is_some());
        assert!(flags(&format!("{VALID}\n")).is_none());
        assert!(flags(&VALID.replacen('-', " ", 1)).is_none());
    }

    #[test]
    fn version_00_has_nothing_after_it() {
        for more in ["-", "-00", "0", "-extra"] {
            assert_eq!(flags(&format!("{VALID}{more}")), None, "{more}");
        }
    }

    #[test]
    fn a_higher_version_may_append_text_after_a_dash() {
        let higher = VALID.replacen("00", "cc", 1);
        assert_eq!(flags(&higher), Some(1));
        assert_eq!(flags(&format!("{higher}-what-comes")), Some(1));
        assert_eq!(flags(&format!("{higher}-")), Some(1));
        assert_eq!(flags(&format!("{higher}.what")), None);
        for bad in [&b"-\xff"[..], "-é".as_bytes(), b"-\0", b"-a\nb"] {
            let value = [higher.as_bytes(), bad].concat();
            assert_eq!(TraceParent::parse(&value), Err(MalformedReason::NotText), "{bad:?}");
        }
        assert_eq!(flags(&format!("{higher}-{}", "x".repeat(MAX_LENGTH))), None);
    }

    #[test]
    fn a_higher_version_is_sent_on_as_00() {
        let parent = TraceParent::parse(VALID.replacen("00", "01", 1).as_bytes()).unwrap();
        assert_eq!(parent.format().0, VALID.as_bytes());
    }

    #[test]
    fn what_is_not_the_grammar_is_refused() {
        for bad in [
            "",
            "00",
            &VALID.to_uppercase(),
            &VALID.replacen("00", "ff", 1),
            &VALID.replacen("00", "0", 1),
            &VALID.replacen("0af7651916cd43dd8448eb211c80319c", &"0".repeat(32), 1),
            &VALID.replacen("b7ad6b7169203331", &"0".repeat(16), 1),
            &VALID.replacen("0af", "+af", 1),
            &VALID.replacen("-01", "-0x", 1),
            &VALID[..54],
            "00-0af7651916cd43dd8448eb211c80319-cb7ad6b7169203331-01",
            "00_0af7651916cd43dd8448eb211c80319c_b7ad6b7169203331_01",
        ] {
            assert_eq!(flags(bad), None, "{bad:?}");
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_without_a_panic(bytes in proptest::collection::vec(any::<u8>(), 0..600)) {
            let _ = TraceParent::parse(&bytes);
        }

        #[test]
        fn what_is_written_is_read_back(trace in 1u128.., span in 1u64.., flags in 0u8..4) {
            let parent = TraceParent {
                trace_id: trace.into(),
                span_id: span.into(),
                flags: TraceFlags::new(flags),
            };
            prop_assert_eq!(TraceParent::parse(&parent.format().0), Ok(parent));
        }
    }

    #[test]
    fn digits_are_those_of_the_standard_library() {
        for byte in 0..=255 {
            assert_eq!(format_digits(&[byte]).as_flattened(), format!("{byte:02x}").as_bytes());
        }
    }

    #[test]
    fn every_byte_that_is_no_digit_is_refused_at_every_place() {
        for place in 0..64 {
            for byte in 0..=255 {
                let mut text = [b'0'; 64];
                text[place] = byte;
                let expected = char::from(byte).to_digit(16).filter(|_| !byte.is_ascii_uppercase());
                let found = parse_digits(&text).map(|numbers| numbers[place / 8]);
                assert_eq!(found, expected.map(|digit| digit << (4 * (7 - place % 8))), "{byte} at {place}");
            }
        }
    }
}
