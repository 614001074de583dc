//! The propagator that an injection uses.

use opentelemetry::Context;
use opentelemetry::propagation::TextMapPropagator;

use crate::fields::is_writable;
use crate::{Fields, TextMapReader, W3c};

/// The propagator that is used.
#[derive(Clone, Copy)]
pub(crate) enum Used<'p> {
    /// It need not be asked through OpenTelemetry's interface.
    Ours(&'p W3c),
    Other(&'p dyn TextMapPropagator),
}

impl<'p> Used<'p> {
    /// Whether one of its fields is in a carrier, valid or not.
    #[inline]
    pub(crate) fn is_in<R: TextMapReader>(self, carrier: &R) -> bool {
        match self {
            Self::Ours(w3c) => carrier.has_any(w3c.names()),
            Self::Other(propagator) => {
                let mut names = propagator.fields().filter(|name| is_writable(name));
                let mut some = [""; 4];
                loop {
                    let mut count = 0;
                    for name in names.by_ref().take(some.len()) {
                        some[count] = name;
                        count += 1;
                    }
                    if count == 0 || carrier.has_any(&some[..count]) {
                        return count > 0;
                    }
                }
            }
        }
    }

    /// Whether it writes spans: one of baggage alone does not.
    #[cfg(feature = "instrumentation")]
    pub(crate) fn has_spans(self) -> bool {
        match self {
            Self::Ours(w3c) => w3c.trace_context,
            Self::Other(propagator) => propagator.fields().any(|field| field != crate::names::BAGGAGE),
        }
    }

    /// What it writes for a context.
    #[inline]
    pub(crate) fn write(self, cx: &Context) -> Fields<'p> {
        match self {
            Self::Ours(w3c) => w3c.write(cx),
            Self::Other(propagator) => {
                let mut fields = Fields::of(propagator);
                propagator.inject_context(cx, &mut fields);
                fields
            }
        }
    }
}
