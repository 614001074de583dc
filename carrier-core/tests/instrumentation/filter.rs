//! Operations that a program leaves out.

use carrier_core::instrumentation::{Details, Filter, Instrumentation, StartTime};
use opentelemetry::Context;
use opentelemetry::trace::{TraceContextExt as _, TraceFlags};

use crate::seen::Seen;
use crate::support::{block_on, current_span, from_orders, headers, orders, remote, sent};
use crate::telemetry::Telemetry;

fn filtered(telemetry: &Telemetry, filter: Filter) -> Instrumentation {
    let builder = telemetry.builder().settle_spans(true);
    builder
        .filter(move |operation| match operation.destination.name() {
            Some("orders") => filter,
            _ => Filter::Observe,
        })
        .build()
}

fn nobody(_: &mut Details<'_>) {
    panic!("a span that is left out has no details");
}

#[test]
fn a_destination_that_is_left_out_has_no_span_and_no_metric() {
    for filter in [Filter::CarryOnly, Filter::Skip] {
        let telemetry = Telemetry::new();
        let instrumentation = filtered(&telemetry, filter);
        instrumentation.send(orders, &mut headers(&[]), nobody).ended(Ok(()));
        instrumentation.received(StartTime::now(), orders(), Ok(Some((&from_orders(), &sent()))), nobody);
        let process = instrumentation.process(from_orders(), &sent(), nobody);
        process.settling("ack", orders, nobody).ended(Ok(()));
        drop(process);
        drop(instrumentation.process_batch(orders(), [(sent(), from_orders(), nobody)], nobody));
        instrumentation.settle("commit", orders, nobody).ended(Ok(()));
        assert_eq!((telemetry.seen(), telemetry.measured()), (Vec::new(), Vec::new()), "{filter:?}");
    }
}

#[test]
fn carry_only_writes_the_current_context_and_reads_the_senders() {
    let telemetry = Telemetry::new();
    let instrumentation = filtered(&telemetry, Filter::CarryOnly);
    let mut message = headers(&[]);
    let current = remote(5, 6, TraceFlags::SAMPLED).attach();
    instrumentation.send(orders, &mut message, nobody).ended(Ok(()));
    assert_eq!(message, headers(&[("traceparent", &crate::support::traceparent(5, 6, 1))]));
    drop(current);
    let process = instrumentation.process(from_orders(), &sent(), nobody);
    let span = block_on(process.run(async { carrier_core::instrumentation::Plain(current_span()) })).0;
    assert_eq!(span, *remote(7, 8, TraceFlags::SAMPLED).span().span_context());
    let batch = instrumentation.process_batch(orders(), [(sent(), from_orders(), nobody)], nobody);
    assert_eq!(*batch.contexts()[0].span().span_context(), span);
}

#[test]
fn skip_leaves_the_message_alone_and_keeps_the_current_context() {
    let telemetry = Telemetry::new();
    let instrumentation = filtered(&telemetry, Filter::Skip);
    let _current = remote(5, 6, TraceFlags::SAMPLED).attach();
    let mut message = sent();
    instrumentation.send(orders, &mut message, nobody).ended(Ok(()));
    assert_eq!(message, sent());
    let process = instrumentation.process(from_orders(), &sent(), nobody);
    assert_eq!(process.context().span().span_context(), &current_span());
    let batch = instrumentation.process_batch(orders(), [(sent(), from_orders(), nobody)], nobody);
    assert!(!batch.contexts()[0].has_active_span());
    assert_eq!(batch.context().span().span_context(), &current_span());
}

#[test]
fn what_is_left_out_stays_suppressed() {
    for filter in [Filter::CarryOnly, Filter::Skip] {
        let telemetry = Telemetry::new();
        let instrumentation = filtered(&telemetry, filter);
        let suppressed = Context::enter_telemetry_suppressed_scope();
        let process = instrumentation.process(from_orders(), &sent(), nobody);
        let batch = instrumentation.process_batch(orders(), [(sent(), from_orders(), nobody)], nobody);
        drop(suppressed);
        let all = [process.context(), batch.context(), &batch.contexts()[0]];
        assert_eq!(all.map(Context::is_telemetry_suppressed), [true; 3], "{filter:?}");
    }
}

#[test]
fn other_destinations_are_observed() {
    let telemetry = Telemetry::new();
    let instrumentation = filtered(&telemetry, Filter::Skip);
    let other = || carrier_core::instrumentation::Destination::new("other");
    instrumentation.send(other, &mut headers(&[]), |_| {}).ended(Ok(()));
    assert_eq!(telemetry.seen(), [Seen::send("other")]);
}

#[test]
fn an_empty_poll_can_be_left_out_alone() {
    let telemetry = Telemetry::new();
    let builder = telemetry.builder().filter(|operation| match operation.is_empty {
        true => Filter::Skip,
        false => Filter::Observe,
    });
    let instrumentation = builder.build();
    let none: Result<Option<(&carrier_core::instrumentation::Incoming, &crate::support::Headers)>, _> =
        Ok(None);
    instrumentation.received(StartTime::now(), orders(), none, nobody);
    instrumentation.received(StartTime::now(), orders(), Ok(Some((&from_orders(), &headers(&[])))), |_| {});
    assert_eq!(telemetry.seen(), [Seen::receive("orders")]);
}

#[test]
fn a_filter_that_panics_leaves_nothing_out() {
    let telemetry = Telemetry::new();
    let instrumentation = telemetry.builder().filter(|_| panic!("filter")).build();
    instrumentation.send(orders, &mut headers(&[]), |_| {}).ended(Ok(()));
    assert_eq!(telemetry.seen(), [Seen::send("orders")]);
    assert!(!Context::current().has_active_span());
}
