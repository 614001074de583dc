//! The fields of W3C's.

use std::borrow::Cow;

pub(crate) const TRACEPARENT: &str = "traceparent";
pub(crate) const TRACESTATE: &str = "tracestate";
pub(crate) const BAGGAGE: &str = "baggage";

/// Each at its [`place`].
pub(crate) const OURS: [&str; 3] = [TRACEPARENT, TRACESTATE, BAGGAGE];

pub(crate) const TRACEPARENT_AT: usize = 0;
pub(crate) const TRACESTATE_AT: usize = 1;
pub(crate) const BAGGAGE_AT: usize = 2;

/// Where a field is in [`OURS`], which takes less than to compare names again and again.
#[inline]
pub(crate) fn place(key: &str) -> Option<usize> {
    match key {
        TRACEPARENT => Some(TRACEPARENT_AT),
        TRACESTATE => Some(TRACESTATE_AT),
        BAGGAGE => Some(BAGGAGE_AT),
        _ => None,
    }
}

/// Whether a field is one of W3C's.
pub(crate) fn is_ours(key: &str) -> bool {
    place(key).is_some()
}

/// A field's key, without a copy where it is one of these.
pub(crate) fn known(key: &str) -> Cow<'static, str> {
    match place(key) {
        Some(place) => Cow::Borrowed(OURS[place]),
        None => Cow::Owned(key.to_owned()),
    }
}
