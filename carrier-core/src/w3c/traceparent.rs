//! The `traceparent` header (W3C Trace Context level 2, "Traceparent Header"), parsed and formatted without an allocation.

use opentelemetry::trace::{SpanContext, SpanId, TraceFlags, TraceId, TraceState};

use super::hex;
use crate::Reason;
use crate::lists::trim;
use crate::value::Line;

/// The length of version 00, and the least length of a higher one.
const LENGTH: usize = 55;

/// A value longer than this is refused unread; higher versions may append fields of unknown length.
const MAX_LENGTH: usize = 512;

/// The flags that level 2 defines: sampled and random. The others must be sent as zero.
const KNOWN_FLAGS: u8 = 0x03;

/// What a valid `traceparent` says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct TraceParent {
    pub(crate) trace_id: TraceId,
    pub(crate) span_id: SpanId,
    pub(crate) flags: TraceFlags,
}

impl TraceParent {
    /// Parses a header value, which must be exactly what the specification allows.
    pub(crate) fn parse(value: &[u8]) -> Result<Self, Reason> {
        if value.len() > MAX_LENGTH {
            return Err(Reason::Length);
        }
        let value = trim(value);
        let (fields, rest) = value.split_first_chunk::<LENGTH>().ok_or(Reason::Length)?;
        if [fields[2], fields[35], fields[52]] != [b'-'; 3] {
            return Err(Reason::Delimiter);
        }
        let mut digits = [b'0'; 64];
        digits[..32].copy_from_slice(&fields[3..35]);
        digits[32..48].copy_from_slice(&fields[36..52]);
        digits[50..52].copy_from_slice(&fields[..2]);
        digits[54..56].copy_from_slice(&fields[53..]);
        let [first, second, third, fourth, high, low, version_and_flags, _] =
            hex::numbers(&digits).ok_or(Reason::Digit)?;
        let [_, version, _, flags] = version_and_flags.to_be_bytes();
        match version {
            0xff => return Err(Reason::Version),
            // A later version may say more, behind another dash.
            _ if rest.is_empty() || (version > 0 && rest[0] == b'-') => {}
            _ => return Err(Reason::Length),
        }
        let trace_id =
            [first, second, third, fourth].into_iter().fold(0, |id, part| id << 32 | u128::from(part));
        let span_id = u64::from(high) << 32 | u64::from(low);
        if trace_id == 0 {
            return Err(Reason::ZeroTraceId);
        }
        if span_id == 0 {
            return Err(Reason::ZeroSpanId);
        }
        let flags = TraceFlags::new(flags & KNOWN_FLAGS);
        Ok(Self { trace_id: trace_id.into(), span_id: span_id.into(), flags })
    }

    /// The span context of the sender.
    pub(crate) fn to_remote(self, state: TraceState) -> SpanContext {
        SpanContext::new(self.trace_id, self.span_id, self.flags, true, state)
    }

    /// What is sent for a span context; `None` where it is not valid.
    pub(crate) fn of(span: &SpanContext) -> Option<Self> {
        span.is_valid().then(|| Self {
            trace_id: span.trace_id(),
            span_id: span.span_id(),
            flags: TraceFlags::new(span.trace_flags().to_u8() & KNOWN_FLAGS),
        })
    }

    /// The header value, of version 00.
    #[inline]
    pub(crate) fn format(&self) -> Line {
        let mut text = Line(*b"00-00000000000000000000000000000000-0000000000000000-00");
        let Line(line) = &mut text;
        line[3..35].copy_from_slice(hex::digits(&self.trace_id.to_bytes()).as_flattened());
        line[36..52].copy_from_slice(hex::digits(&self.span_id.to_bytes()).as_flattened());
        line[53..].copy_from_slice(hex::digits(&[self.flags.to_u8()]).as_flattened());
        text
    }
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
        assert!(flags(&format!(" \t{VALID}\t ")).is_some());
        assert!(flags(&format!("{VALID}\n")).is_none());
        assert!(flags(&VALID.replacen('-', " ", 1)).is_none());
    }

    #[test]
    fn version_00_has_nothing_behind_it() {
        for behind in ["-", "-00", "0", "-extra"] {
            assert_eq!(flags(&format!("{VALID}{behind}")), None, "{behind}");
        }
    }

    #[test]
    fn a_higher_version_may_say_more_behind_a_dash() {
        let higher = VALID.replacen("00", "cc", 1);
        assert_eq!(flags(&higher), Some(1));
        assert_eq!(flags(&format!("{higher}-what-comes")), Some(1));
        assert_eq!(flags(&format!("{higher}-")), Some(1));
        assert_eq!(flags(&format!("{higher}.what")), None);
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
}
