//! The fields of W3C's.

use std::borrow::Cow;

pub(crate) const TRACEPARENT: &str = "traceparent";
pub(crate) const TRACESTATE: &str = "tracestate";
pub(crate) const BAGGAGE: &str = "baggage";

/// Whether a field is one of W3C's.
pub(crate) fn is_ours(key: &str) -> bool {
    matches!(key, TRACEPARENT | TRACESTATE | BAGGAGE)
}

/// A field's key, without a copy where it is one of these.
pub(crate) fn known(key: &str) -> Cow<'static, str> {
    match [TRACEPARENT, TRACESTATE, BAGGAGE].into_iter().find(|known| *known == key) {
        Some(known) => Cow::Borrowed(known),
        None => Cow::Owned(key.to_owned()),
    }
}
