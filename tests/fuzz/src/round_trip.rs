//! What is written into any carrier is read back, and a second trip changes nothing.

use carrier_core::Propagation;
use opentelemetry::Context;
use opentelemetry::baggage::BaggageExt as _;
use opentelemetry::trace::TraceContextExt as _;

use crate::compare::carried;
use crate::input::Input;
use crate::message::{Message, with_message};

pub(crate) fn run(bytes: &[u8]) {
    let mut input = Input(bytes);
    with_message!(input.byte(), round_trip(input.context()));
}

fn round_trip<M: Message>(cx: Context) {
    let propagation = Propagation::w3c();
    let mut message = M::of(&[]);
    let report = message.inject(&propagation, &cx);
    let received = message.extract(&propagation);
    let [sent, found] = [&cx, &received].map(|cx| cx.span().span_context().clone());
    assert_eq!(found.is_valid(), sent.is_valid());
    if sent.is_valid() {
        assert_eq!((found.trace_id(), found.span_id()), (sent.trace_id(), sent.span_id()));
        assert_eq!(found.is_sampled(), sent.is_sampled());
    }
    if report.dropped().is_empty() {
        assert_eq!(members(&received), members(&cx));
        if sent.is_valid() {
            assert_eq!(found.trace_state().header(), sent.trace_state().header());
        }
    }
    let mut again = M::of(&[]);
    let second = again.inject(&propagation, &received);
    assert!(second.dropped().is_empty(), "{:?}", second.dropped());
    assert_eq!(carried(&again.extract(&propagation)), carried(&received));
}

/// The keys and values of the baggage.
pub(crate) fn members(cx: &Context) -> Vec<(String, String)> {
    let members = cx.baggage().iter().map(|(key, (value, _))| (key.to_string(), value.to_string()));
    let mut members: Vec<_> = members.collect();
    members.sort();
    members
}
