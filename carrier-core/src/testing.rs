//! Assertions about messages for the tests of services; no broker needed.
//!
//! ```
//! use std::collections::HashMap;
//! use carrier_core::testing;
//!
//! let cx = testing::remote_context();
//! let headers: HashMap<_, _> = testing::carrying(&cx); // a message that carries it
//! testing::assert_carries(&headers, &cx);              // and the line that says so
//! ```

use std::fmt;
use std::hash::{BuildHasher, RandomState};

use opentelemetry::Context;
use opentelemetry::baggage::BaggageExt;
use opentelemetry::trace::{SpanContext, SpanId, TraceContextExt, TraceFlags, TraceId};

use crate::format::W3C_FIELDS;
use crate::{FieldNames, TextMapCarrier, TextMapReader};

/// Returns a context as another service would have sent it: remote and sampled, in a new trace.
pub fn remote_context() -> Context {
    // Each `RandomState` has new random keys.
    let random = || RandomState::new().hash_one(0) | 1;
    let trace_id = TraceId::from(u128::from(random()) << 64 | u128::from(random()));
    let span_id = SpanId::from(random());
    let span = SpanContext::new(trace_id, span_id, TraceFlags::SAMPLED, true, Default::default());
    Context::new().with_remote_span_context(span)
}

/// Returns a carrier that carries `cx` and nothing else.
pub fn carrying<C: TextMapCarrier + Default>(cx: &Context) -> C {
    let mut carrier = C::default();
    crate::inject(cx, &mut carrier);
    carrier
}

/// Asserts that a carrier carries `expected`: trace id, span id, flags, tracestate and baggage are the same.
///
/// # Panics
///
/// Panics if it does not; the message shows what is carried instead.
#[track_caller]
pub fn assert_carries<R: TextMapReader>(reader: &R, expected: &Context) {
    let found = Carried::of(&crate::extract(reader));
    let expected = Carried::of(expected);
    assert!(
        found == expected,
        "the message carries another context\n expected: {expected}\n    found: {found}"
    );
}

/// Asserts that a carrier carries no context at all, and no baggage.
///
/// # Panics
///
/// Panics if it does; the message shows the context.
#[track_caller]
pub fn assert_carries_nothing<R: TextMapReader>(reader: &R) {
    let found = Carried::of(&crate::extract(reader));
    assert!(found == Carried::of(&Context::new()), "the message carries a context: {found}");
}

/// Asserts that the optional methods of a carrier agree with the required ones.
///
/// For your own carrier that implements [`find`](TextMapReader::find) or [`measure`](TextMapCarrier::measure), with W3C's
/// fields in it and without.
///
/// # Panics
///
/// Panics if one of them disagrees with [`entries`](TextMapReader::entries); the message names it.
#[track_caller]
pub fn assert_consistent<C: TextMapCarrier>(carrier: &C) {
    for name in W3C_FIELDS {
        let listed: Vec<_> = carrier
            .entries()
            .filter(|(other, _)| other.eq_ignore_ascii_case(name))
            .map(|(_, value)| value)
            .collect();
        let found: Vec<_> = carrier.find(&FieldNames::new(&[name])).map(|(_, value)| value).collect();
        assert_eq!(found, listed, "`find` of {name} disagrees with `entries`");
    }
    let is_present = carrier.find(&FieldNames::W3C).next().is_some();
    let (of_w3c, of_none) = (carrier.measure(&FieldNames::W3C), carrier.measure(&FieldNames::new(&[])));
    assert_eq!(of_w3c.is_present, is_present, "`measure` disagrees with `find`");
    assert!(!of_none.is_present, "`measure` finds a header for no name");
    let is_smaller = of_w3c.bytes < of_none.bytes;
    assert!(
        of_w3c.bytes == of_none.bytes || (is_present && is_smaller),
        "`measure` counts {} bytes without the W3C fields and {} with them",
        of_w3c.bytes,
        of_none.bytes
    );
}

/// The parts of a context that a message carries.
#[derive(Debug, PartialEq)]
pub(crate) struct Carried {
    trace_id: TraceId,
    span_id: SpanId,
    flags: TraceFlags,
    tracestate: String,
    baggage: Vec<(String, String, String)>,
}

impl Carried {
    pub(crate) fn of(cx: &Context) -> Self {
        let span = cx.span();
        let span = span.span_context();
        let mut baggage: Vec<_> = cx
            .baggage()
            .iter()
            .map(|(key, (value, metadata))| (key.to_string(), value.to_string(), metadata.to_string()))
            .collect();
        baggage.sort();
        Self {
            trace_id: span.trace_id(),
            span_id: span.span_id(),
            flags: span.trace_flags(),
            tracestate: span.trace_state().header(),
            baggage,
        }
    }
}

impl fmt::Display for Carried {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.trace_id == TraceId::INVALID {
            f.write_str("no span")?;
        } else {
            write!(f, "trace {} span {} flags {:02x}", self.trace_id, self.span_id, self.flags)?;
        }
        write!(f, ", tracestate {:?}, baggage ", self.tracestate)?;
        f.debug_list()
            .entries(self.baggage.iter().map(|(key, value, metadata)| format!("{key}={value};{metadata}")))
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;
    use std::panic::{AssertUnwindSafe, catch_unwind};

    use super::*;
    use crate::{FieldValue, Fields, MessageSize};

    fn message(assertion: impl FnOnce()) -> String {
        *catch_unwind(AssertUnwindSafe(assertion)).unwrap_err().downcast::<String>().unwrap()
    }

    #[test]
    fn two_remote_contexts_are_different_traces() {
        let id = |cx: Context| cx.span().span_context().trace_id();
        assert_ne!(id(remote_context()), id(remote_context()));
    }

    #[test]
    fn another_context_fails_and_is_named() {
        let (sent, other) = (remote_context(), remote_context());
        let headers: HashMap<_, _> = carrying(&sent);
        let failure = message(|| assert_carries(&headers, &other));
        assert!(failure.contains(&sent.span().span_context().trace_id().to_string()), "{failure}");
    }

    #[test]
    fn a_carrier_that_contradicts_itself_fails() {
        struct Forgets;
        impl TextMapReader for Forgets {
            fn entries(&self) -> impl Iterator<Item = (&str, FieldValue<'_>)> {
                std::iter::once(("Traceparent", FieldValue::Null))
            }
        }
        impl TextMapCarrier for Forgets {
            fn replace(&mut self, _: &mut Fields<'_>) {}

            fn measure(&self, _: &FieldNames<'_>) -> MessageSize {
                MessageSize::unlimited(false)
            }
        }
        let failure = message(|| assert_consistent(&Forgets));
        assert!(failure.contains("`measure`"), "{failure}");
        assert_consistent(&HashMap::from([("baggage".to_owned(), String::new())]));
    }

    #[test]
    fn a_missing_context_fails_and_says_so() {
        let headers = HashMap::<String, String>::new();
        let failure = message(|| assert_carries(&headers, &remote_context()));
        assert!(failure.contains("found: no span"), "{failure}");
        assert_carries_nothing(&headers);
    }
}
