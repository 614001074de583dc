//! A received message that is published again.

use carrier_core::instrumentation::{Destination, Filter, Instrumentation, Process, Relation};
use carrier_core::{Existing, Propagation, Trust, w3c};
use opentelemetry::Context;
use opentelemetry::trace::SpanKind;

use crate::seen::Seen;
use crate::support::{Headers, block_on, from_orders, headers, sent, traceparent};
use crate::telemetry::Telemetry;

fn retry() -> Destination {
    Destination::new("retry")
}

/// A message whose handler failed.
fn failed(instrumentation: &Instrumentation, message: &Headers) -> Process {
    let process = instrumentation.process(from_orders(), message, |_| {});
    block_on(process.run(async { Err::<(), _>("no paper") })).unwrap_err();
    process
}

/// The span of a message that is published again after its handler, and the message.
fn again(instrumentation: &Instrumentation, telemetry: &Telemetry, mut message: Headers) -> (Seen, Headers) {
    let process = failed(instrumentation, &message);
    instrumentation.send_again(retry, &mut message, process.context(), |_| {}).ended(Ok(()));
    let [_, span] = telemetry.seen().try_into().unwrap();
    (span, message)
}

#[test]
fn it_stays_in_its_trace_and_links_to_the_failed_attempt() {
    let telemetry = Telemetry::new();
    let (span, message) = again(&telemetry.instrumentation(), &telemetry, sent());
    assert_eq!(span, Seen::send("retry").id(7, 2).child_of(8).link(7, 1));
    assert_eq!(message, headers(&[("traceparent", &traceparent(7, 2, 1))]));
}

#[test]
fn it_stays_in_its_trace_if_the_attempt_is_in_another() {
    for relation in [Relation::Link, Relation::Ignore, Relation::rule(|_| Relation::Link)] {
        let telemetry = Telemetry::new();
        let linking = telemetry.builder().relation(relation).build();
        let (span, message) = again(&linking, &telemetry, sent());
        assert_eq!(span, Seen::send("retry").id(7, 2).child_of(8).link(100, 1));
        assert_eq!(message, headers(&[("traceparent", &traceparent(7, 2, 1))]));
    }
}

#[test]
fn inside_of_the_handler_it_is_the_same() {
    let telemetry = Telemetry::new();
    let (instrumentation, mut message) = (telemetry.instrumentation(), sent());
    let process = instrumentation.process(from_orders(), &message, |_| {});
    block_on(process.run(async {
        instrumentation.send_again(retry, &mut message, process.context(), |_| {}).ended(Ok(()));
    }));
    assert_eq!(telemetry.seen()[0], Seen::send("retry").id(7, 2).child_of(8).link(7, 1));
}

#[test]
fn without_a_context_it_is_below_the_failed_attempt() {
    let telemetry = Telemetry::new();
    let (span, message) = again(&telemetry.instrumentation(), &telemetry, headers(&[]));
    assert_eq!(span, Seen::send("retry").id(100, 2).child_of(1));
    assert_eq!(message, headers(&[("traceparent", &traceparent(100, 2, 1))]));
    // One that may not be a parent is linked, as everywhere.
    let propagation = Propagation::builder().propagator(w3c()).trust(Trust::Link).build();
    let partner = telemetry.builder().propagation(propagation).build();
    let (span, _) = again(&partner, &telemetry, sent());
    assert_eq!(span, Seen::send("retry").id(101, 4).child_of(3).link(7, 8));
}

#[test]
fn a_context_that_is_kept_and_baggage_stay_in_the_message() {
    let telemetry = Telemetry::new();
    let keep = Propagation::builder().propagator(w3c()).existing(Existing::Keep).build();
    let mut message = sent();
    message.push(("baggage".to_owned(), "tenant=blue".to_owned()));
    let (span, kept) = again(&telemetry.builder().propagation(keep).build(), &telemetry, message.clone());
    assert_eq!(span, Seen::send("retry").kind(SpanKind::Client).id(7, 2).child_of(8).link(7, 1));
    assert_eq!(kept, message);
    let (_, written) = again(&telemetry.instrumentation(), &telemetry, message);
    assert!(written.contains(&("baggage".to_owned(), "tenant=blue".to_owned())), "{written:?}");
}

#[test]
fn without_a_span_the_message_keeps_its_context() {
    let telemetry = Telemetry::new();
    for filter in [Filter::CarryOnly, Filter::Skip] {
        let mut message = sent();
        let instrumentation = telemetry.builder().filter(move |_| filter).build();
        let process = failed(&instrumentation, &message);
        instrumentation.send_again(retry, &mut message, process.context(), |_| {}).ended(Ok(()));
        assert_eq!(message, sent(), "{filter:?}");
    }
    let suppressed = |within: Context, after: Context| {
        let (instrumentation, mut message) = (telemetry.instrumentation(), sent());
        let process = {
            let _within = within.attach();
            failed(&instrumentation, &message)
        };
        let _after = after.attach();
        instrumentation.send_again(retry, &mut message, process.context(), |_| {}).ended(Ok(()));
        drop(process);
        assert_eq!(message, sent());
        telemetry.seen().len()
    };
    let off = || Context::new().with_telemetry_suppressed();
    assert_eq!(suppressed(off(), Context::new()), 0);
    assert_eq!(suppressed(Context::new(), off()), 1);
}
