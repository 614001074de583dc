//! A message that has a context before it is sent: forwarded, published again, or written by level 1.

use carrier_core::instrumentation::{Instrumentation, InstrumentationBuilder, Relation};
use carrier_core::{Existing, Propagation, Trust, W3c, w3c};
use opentelemetry::baggage::BaggageExt as _;
use opentelemetry::trace::{SpanKind, TraceFlags};
use opentelemetry::{Context, KeyValue};

use crate::seen::Seen;
use crate::support::{Headers, block_on, from_orders, headers, remote, sent, traceparent};
use crate::telemetry::{TRACE, Telemetry, propagation};

fn publish(instrumentation: &Instrumentation, message: &mut Headers) {
    instrumentation.send(dead, message, |_| {}).ended(Ok(()));
}

fn dead() -> carrier_core::instrumentation::Destination {
    carrier_core::instrumentation::Destination::new("dead")
}

/// The one span of a message of trace 7, span 8, that is sent while no span is current.
fn sent_again(choices: impl FnOnce(InstrumentationBuilder) -> InstrumentationBuilder) -> Seen {
    let telemetry = Telemetry::new();
    publish(&choices(telemetry.builder()).build(), &mut sent());
    let [seen] = telemetry.seen().try_into().unwrap();
    seen
}

#[test]
fn a_dead_letter_that_is_published_after_the_handler_stays_in_the_trace() {
    let telemetry = Telemetry::new();
    let instrumentation = telemetry.instrumentation();
    let received = sent();
    let process = instrumentation.process(from_orders(), &received, |_| {});
    let mut dead_letter = received.clone();
    if block_on(process.run(async { Err::<(), _>("no such customer") })).is_err() {
        publish(&instrumentation, &mut dead_letter);
    }
    let failed = Seen::process("orders").id(7, 1).child_of(8).failed("&str", "no such customer");
    assert_eq!(telemetry.seen(), [failed, Seen::send("dead").id(7, 2).child_of(8)]);
    assert_eq!(dead_letter, headers(&[("traceparent", &traceparent(7, 2, 1))]));
}

#[test]
fn one_with_fresh_headers_stays_in_the_trace_in_the_context_of_the_message() {
    let telemetry = Telemetry::new();
    let instrumentation = telemetry.instrumentation();
    let process = instrumentation.process(from_orders(), &sent(), |_| {});
    if block_on(process.run(async { Err::<(), _>("no such customer") })).is_err() {
        let _current = process.context().clone().attach();
        publish(&instrumentation, &mut headers(&[]));
    }
    let dead_letter = &telemetry.seen()[1];
    assert_eq!(*dead_letter, Seen::send("dead").id(7, 2).child_of(1));
}

#[test]
fn a_message_that_keeps_its_context_is_in_its_trace() {
    for existing in [Existing::Keep, Existing::LeaveAlone] {
        let keeping = Propagation::builder().propagator(w3c()).existing(existing).build();
        let expected = Seen::send("dead").kind(SpanKind::Client).id(7, 1).child_of(8);
        assert_eq!(sent_again(|builder| builder.propagation(keeping)), expected, "{existing:?}");
    }
}

#[test]
fn a_context_that_may_not_be_a_parent_is_linked() {
    let root = Seen::send("dead").link(7, 8);
    for trust in [Trust::Link, Trust::Ignore] {
        let propagation = Propagation::builder().propagator(w3c()).trust(trust).build();
        assert_eq!(sent_again(|builder| builder.propagation(propagation)), root, "{trust:?}");
    }
    let rule = Relation::rule(|_| panic!("the rule is for received messages"));
    for relation in [Relation::Link, Relation::Ignore, rule] {
        assert_eq!(sent_again(|builder| builder.relation(relation.clone())), root, "{relation:?}");
    }
}

#[test]
fn of_contexts_in_conflict_none_is_the_parent() {
    let telemetry = Telemetry::new();
    let (one, other) = (traceparent(7, 8, 1), traceparent(7, 9, 1));
    publish(&telemetry.instrumentation(), &mut headers(&[("traceparent", &one), ("traceparent", &other)]));
    assert_eq!(telemetry.seen(), [Seen::send("dead").link(7, 9)]);
}

#[test]
fn with_link_parent_it_is_linked_as_well() {
    let expected = Seen::send("dead").id(7, 1).child_of(8).link(7, 8);
    assert_eq!(sent_again(|builder| builder.link_parent(true)), expected);
}

#[test]
fn its_baggage_goes_on_and_the_current_one_comes_before_it() {
    let telemetry = Telemetry::new();
    let baggage = [KeyValue::new("tenant", "9"), KeyValue::new("user", "1")];
    let _current = Context::new().with_baggage(baggage).attach();
    let mut message = [sent(), headers(&[("baggage", "tenant=7,order=17")])].concat();
    publish(&telemetry.instrumentation(), &mut message);
    let parent = ("traceparent", &*traceparent(7, 1, 1));
    assert_eq!(message, headers(&[parent, ("baggage", "order=17,tenant=9,user=1")]));
}

#[test]
fn the_current_span_that_level_1_wrote_before_is_not_linked() {
    for link_parent in [false, true] {
        let telemetry = Telemetry::new();
        let outer = telemetry.outer();
        let _current = outer.clone().attach();
        let mut message = headers(&[]);
        propagation().inject(&outer, &mut message);
        publish(&telemetry.builder().link_parent(link_parent).build(), &mut message);
        assert_eq!(telemetry.seen(), [Seen::send("dead").id(TRACE, 2).child_of(1)], "{link_parent}");
    }
}

#[test]
fn a_parent_of_a_received_or_settled_message_is_not_linked() {
    use carrier_core::instrumentation::{Incoming, StartTime};
    let telemetry = Telemetry::new();
    let instrumentation = telemetry.builder().settle_spans(true).build();
    // The span that sent the message also receives, settles and handles it.
    let _current = remote(7, 8, TraceFlags::SAMPLED).attach();
    let (message, from_dead) = (sent(), Incoming::new(dead()));
    instrumentation.received(StartTime::now(), dead(), Ok(Some((&from_dead, &message))), |_| {});
    instrumentation.settle_message("commit", &from_dead, &message, |_| {}).ended(Ok(()));
    let expected = [Seen::receive("dead").id(7, 1), Seen::settle("commit", "dead").id(7, 2)];
    assert_eq!(telemetry.seen(), expected.map(|span| span.child_of(8)));
}

#[test]
fn a_propagator_without_baggage_brings_none() {
    let telemetry = Telemetry::new();
    let trace_context = Propagation::builder().propagator(W3c::trace_context()).build();
    let mut message = [sent(), headers(&[("baggage", "tenant=7")])].concat();
    publish(&telemetry.builder().propagation(trace_context).build(), &mut message);
    let expected = headers(&[("baggage", "tenant=7"), ("traceparent", &traceparent(7, 1, 1))]);
    assert_eq!(
        {
            message.sort();
            message
        },
        expected
    );
}
