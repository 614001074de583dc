//! W3C Trace Context and W3C Baggage.
//!
//! Our own, since the stock propagators live in `opentelemetry_sdk` (which a library does not depend on) and accept
//! more than the specifications do.

mod baggage;
pub(crate) mod handover;
mod hex;
mod trace_context;
mod traceparent;
mod tracestate;

use std::sync::LazyLock;

use opentelemetry::Context;
use opentelemetry::baggage::BaggageExt;
use opentelemetry::propagation::text_map_propagator::FieldIter;
use opentelemetry::propagation::{Extractor, Injector, TextMapPropagator};

pub use self::baggage::W3cBaggage;
pub(crate) use self::baggage::{MAX_BYTES, MAX_MEMBERS, status_of as baggage_status};
pub use self::trace_context::W3cTraceContext;
pub(crate) use self::traceparent::TraceParent;
pub(crate) use self::tracestate::read_text as read_tracestate;

use self::trace_context::Remote;
use crate::injection::{DropReason, Injection};
use crate::names::{BAGGAGE, BAGGAGE_AT, OURS, TRACEPARENT, TRACESTATE};
use crate::{Conflict, Copies, Extraction, Fields, FromExtractor, Status, TextMapReader};

/// W3C trace context and baggage, strict: the propagator to register.
///
/// # Examples
///
/// ```
/// opentelemetry::global::set_text_map_propagator(carrier_core::w3c());
/// ```
pub fn w3c() -> W3c {
    W3c { trace_context: true, baggage: true }
}

/// [`W3cTraceContext`] and [`W3cBaggage`] as one propagator; [`w3c`] makes it.
#[derive(Debug, Clone)]
pub struct W3c {
    pub(crate) trace_context: bool,
    pub(crate) baggage: bool,
}

// Trace context first, so that either alone is a part of it.
static FIELDS: LazyLock<[String; 3]> = LazyLock::new(|| OURS.map(str::to_owned));

impl W3c {
    /// What a context says, without a way through OpenTelemetry's interface and its checks of what is valid by itself.
    #[inline]
    pub(crate) fn write(&self, cx: &Context, fields: &mut Fields<'_>, report: &mut Injection) {
        if self.trace_context {
            trace_context::write(cx, |place, value, left_out| {
                fields.put(place, value);
                report.drop_members(OURS[place], left_out, DropReason::Invalid);
            });
        }
        if self.baggage {
            let baggage = cx.baggage();
            if !baggage.is_empty() {
                let (text, left_out) = baggage::format(baggage);
                fields.put(BAGGAGE_AT, text.into());
                report.drop_members(BAGGAGE, left_out, DropReason::Budget);
            }
        }
    }

    /// What a carrier holds as nearly all do: each field once at most, and nothing wrong with it. `None` of another.
    #[inline]
    pub(crate) fn plain<R: TextMapReader>(&self, reader: &R) -> Option<Plain> {
        let [parent, state, baggage] = match (self.trace_context, self.baggage) {
            (true, true) => reader.copies(OURS),
            (true, false) => {
                let [parent, state] = reader.copies([TRACEPARENT, TRACESTATE]);
                [parent, state, Copies::None]
            }
            (false, _) => return None,
        };
        let remote = match parent {
            Copies::None => None,
            Copies::One(parent) => {
                let parent = TraceParent::parse(parent.as_bytes()?).ok()?;
                let state = match state {
                    Copies::None => None,
                    Copies::One(state) => Some(tracestate::plain(state.as_str()?)?),
                    Copies::Several => return None,
                };
                Some(Remote::of(parent, state))
            }
            Copies::Several => return None,
        };
        let members = match baggage {
            Copies::None => Vec::new(),
            Copies::One(baggage) => baggage::plain(baggage.as_str()?)?,
            Copies::Several => return None,
        };
        Some(Plain { remote, members })
    }

    /// What a carrier holds.
    #[inline]
    pub(crate) fn find<R: TextMapReader>(&self, reader: &R, conflict: Conflict) -> Found {
        Found {
            trace: self.trace_context.then(|| trace_context::read(reader, conflict)),
            baggage: self.baggage.then(|| baggage::read(reader)),
        }
    }

    /// The given context with what a carrier holds.
    pub(crate) fn extract_onto<R: TextMapReader>(
        &self,
        cx: &Context,
        reader: &R,
        conflict: Conflict,
    ) -> Context {
        match self.plain(reader) {
            Some(plain) => plain.onto(cx),
            None => self.find(reader, conflict).onto(cx).into_context(),
        }
    }
}

/// What a carrier holds where there is nothing to say of it.
#[derive(Debug)]
pub(crate) struct Plain {
    remote: Option<Remote>,
    members: Vec<baggage::Member>,
}

impl Plain {
    /// Whether anything was found.
    #[inline]
    pub(crate) fn is_empty(&self) -> bool {
        self.remote.is_none() && self.members.is_empty()
    }

    /// The given context with what was found.
    #[inline]
    pub(crate) fn onto(self, cx: &Context) -> Context {
        let cx = match self.remote {
            Some(remote) => remote.onto(cx),
            None => cx.clone(),
        };
        if self.members.is_empty() { cx } else { baggage::onto(self.members, &cx) }
    }
}

/// What a carrier holds of the fields that one of our propagators reads.
#[derive(Debug)]
pub(crate) struct Found {
    trace: Option<trace_context::Found>,
    baggage: Option<baggage::Found>,
}

impl Found {
    /// The given context with what was found.
    #[inline]
    pub(crate) fn onto(self, cx: &Context) -> Extraction {
        let (mut found, members) = match self.baggage {
            Some(found) => (Extraction::of(cx.clone(), found.status), found.members),
            None => (Extraction::of(cx.clone(), Status::Absent), Vec::new()),
        };
        if let Some(trace) = self.trace {
            found.status = trace.status.or(found.status);
            if let Some(remote) = trace.context {
                found.context = remote.onto(&found.context);
            }
            if !trace.unused.is_empty() {
                found.unused = trace.unused.into();
            }
        }
        if !members.is_empty() {
            found.context = baggage::onto(members, &found.context);
        }
        found
    }
}

impl TextMapPropagator for W3c {
    fn inject_context(&self, cx: &Context, injector: &mut dyn Injector) {
        if self.trace_context {
            W3cTraceContext.inject_context(cx, injector);
        }
        if self.baggage {
            W3cBaggage.inject_context(cx, injector);
        }
    }

    fn extract_with_context(&self, cx: &Context, extractor: &dyn Extractor) -> Context {
        handover::ask(self, cx, extractor)
            .unwrap_or_else(|| self.extract_onto(cx, &FromExtractor(extractor), Conflict::default()))
    }

    fn fields(&self) -> FieldIter<'_> {
        FieldIter::new(match (self.trace_context, self.baggage) {
            (true, true) => &FIELDS[..],
            (true, false) => &FIELDS[..2],
            (false, true) => &FIELDS[2..],
            (false, false) => &[],
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::testing::Carried;

    type Pairs = Vec<(String, String)>;

    fn any_pairs() -> impl Strategy<Value = Pairs> {
        let field = |key: &'static str, values: &'static [&'static str]| {
            proptest::sample::select(values).prop_map(move |value| (key.to_owned(), value.to_owned()))
        };
        let parents = &[
            "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
            "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-03",
            "01-0af7651916cd43dd8448eb211c80319c-00f067aa0ba902b7-00-more",
            "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331",
            "",
        ];
        let states = &["a=1", "a=1,b=2", "x@y@z=1,b=2", "BAD", " , ", ""];
        let members = &["k=v", "k=v;p,l=%20", "k=1,bad", " , ", ""];
        let field = prop_oneof![
            5 => field(TRACEPARENT, parents),
            3 => field(TRACESTATE, states),
            3 => field(BAGGAGE, members),
            1 => field("user", &["1"]),
        ];
        proptest::collection::vec(field, 0..5)
    }

    proptest! {
        #[test]
        fn a_plain_message_says_the_same_as_when_it_is_looked_at_closely(
            pairs in any_pairs(), baggage: bool,
        ) {
            let (w3c, cx) = (W3c { trace_context: true, baggage }, Context::new());
            let closely = w3c.find(&pairs, Conflict::Restart).onto(&cx);
            if let Some(plain) = w3c.plain(&pairs) {
                prop_assert_eq!(plain.is_empty(), closely.status == Status::Absent);
                prop_assert!(!closely.status.is_doubtful() && closely.unused.is_empty());
                let (plain, closely) = (plain.onto(&cx), closely.into_context());
                prop_assert_eq!(Carried::of(&plain), Carried::of(&closely));
                // What OpenTelemetry's types cannot hold is in what is sent on.
                let sent = |cx: &Context| {
                    let mut sent = Pairs::new();
                    crate::Propagation::builder().propagator(w3c.clone()).build().inject(cx, &mut sent);
                    sent
                };
                prop_assert_eq!(sent(&plain), sent(&closely));
            }
        }
    }

    #[test]
    fn a_message_with_each_field_once_is_plain() {
        let pairs = |pairs: &[(&str, &str)]| -> Pairs {
            pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
        };
        let parent = ("traceparent", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-03");
        let (state, baggage) = (("tracestate", "x@y@z=1"), ("baggage", "k=v"));
        for plain in [&[][..], &[parent], &[baggage], &[("user", "1"), parent, state, baggage]] {
            assert!(w3c().plain(&pairs(plain)).is_some(), "{plain:?}");
        }
    }
}
