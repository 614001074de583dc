//! How a message was settled, and the spans of settlements.

use carrier_core::instrumentation::{Failure, Process, Relation, Settlement};
use opentelemetry::trace::TraceFlags;

use crate::seen::Seen;
use crate::support::{block_on, from_orders, headers, orders, remote, sent, yielded};
use crate::telemetry::{TRACE, Telemetry};

fn process(telemetry: &Telemetry) -> Process {
    telemetry.instrumentation().process(from_orders(), &headers(&[]), |_| {}).until_settled()
}

fn settled(how: &'static str) -> Seen {
    Seen::process("orders").with("carrier.settlement", how)
}

#[test]
fn a_message_that_is_settled_behind_its_handler_ends_then() {
    let telemetry = Telemetry::new();
    let process = process(&telemetry);
    block_on(process.run(yielded()));
    assert_eq!(telemetry.seen(), [], "it is not settled");
    process.settle(Settlement::Acked);
    assert!(process.is_settled());
    assert_eq!(telemetry.seen(), [settled("acked")]);
    drop(process);
    assert_eq!(telemetry.seen(), []);
}

#[test]
fn a_message_that_is_settled_in_its_handler_ends_with_it() {
    let telemetry = Telemetry::new();
    let process = process(&telemetry);
    block_on(process.run(async {
        process.settle(Settlement::Acked);
        yielded().await;
        assert_eq!(telemetry.seen(), [], "the handler still runs");
    }));
    assert_eq!(telemetry.seen(), [settled("acked")]);
}

#[test]
fn of_two_settlements_the_first_counts() {
    let telemetry = Telemetry::new();
    let process = process(&telemetry);
    process.settle(Settlement::Acked);
    process.settle(Settlement::Nacked);
    drop(process);
    assert_eq!(telemetry.seen(), [settled("acked")]);
}

#[test]
fn what_the_owner_says_at_last_counts_only_where_nothing_was_said() {
    let telemetry = Telemetry::new();
    let mut process_at_last = process(&telemetry);
    process_at_last.settle_on_drop(|| Settlement::Settled);
    drop(process_at_last);
    assert_eq!(telemetry.seen(), [settled("settled")]);
    let telemetry = Telemetry::new();
    let mut settled_before = process(&telemetry);
    settled_before.settle(Settlement::Acked);
    settled_before.settle_on_drop(|| unreachable!("nobody has to ask"));
    drop(settled_before);
    assert_eq!(telemetry.seen(), [settled("acked")]);
}

#[test]
fn every_settlement_is_recorded_and_what_went_wrong_is_a_failure() {
    let failed = |how, description| settled(how).failed(how, description);
    let expected = [
        (Settlement::Acked, settled("acked")),
        (Settlement::Nacked, failed("nacked", "the message was negatively acknowledged")),
        (Settlement::Rejected, failed("rejected", "the message was rejected")),
        (Settlement::Settled, settled("settled")),
        (Settlement::Unsettled, settled("not_settled")),
        (
            Settlement::ChannelClosed,
            failed("channel_closed", "the channel was closed before the message was settled"),
        ),
    ];
    for (settlement, expected) in expected {
        let telemetry = Telemetry::new();
        process(&telemetry).settle(settlement);
        assert_eq!(telemetry.seen(), [expected]);
    }
}

#[test]
fn one_that_nobody_settles_says_so() {
    let telemetry = Telemetry::new();
    let process = process(&telemetry);
    block_on(process.run(yielded()));
    drop(process);
    assert_eq!(telemetry.seen(), [settled("not_settled")]);
}

#[test]
fn an_error_of_the_handler_says_more_than_the_settlement_behind_it() {
    let telemetry = Telemetry::new();
    let process = process(&telemetry);
    let _ = block_on(process.run(async { Err::<(), _>("no such customer") }));
    process.settle(Settlement::Nacked);
    assert_eq!(telemetry.seen(), [settled("nacked").failed("&str", "no such customer")]);
}

#[test]
fn settlements_have_no_span_unless_they_are_asked_for() {
    let telemetry = Telemetry::new();
    let instrumentation = telemetry.instrumentation();
    let process = instrumentation.process(from_orders(), &sent(), |_| {});
    let asked = |_: &mut carrier_core::instrumentation::Details<'_>| panic!("asked for details");
    process.settling("ack", orders, asked).ended(Ok(()));
    instrumentation.settle("commit", orders, asked).ended(Ok(()));
    assert_eq!(telemetry.seen(), []);
    assert_eq!(telemetry.measured_by("messaging.client.operation.duration"), []);
}

#[test]
fn the_span_of_a_settlement_is_a_child_of_the_process_span_and_linked_to_the_sender() {
    let telemetry = Telemetry::new();
    let instrumentation = telemetry.builder().settle_spans(true).build();
    let process = instrumentation.process(from_orders(), &sent(), |_| {});
    process.settling("ack", orders, |details| details.set("tag", 5)).ended(Ok(()));
    process.settling("nack", orders, |_| {}).ended(Err(Failure::new("closed", "no channel")));
    drop(process.settling("reject", orders, |_| {}));
    let span = |operation, id| Seen::settle(operation, "orders").id(7, id).child_of(1).link(7, 8);
    let expected =
        [span("ack", 2).with("tag", 5), span("nack", 3).failed("closed", "no channel"), span("reject", 4)];
    assert_eq!(telemetry.seen(), expected);
    let durations = telemetry.measured_by("messaging.client.operation.duration");
    assert_eq!(durations.iter().map(|it| it.count).sum::<u64>(), 2, "the outcome of one is unknown");
}

#[test]
fn a_commit_is_below_the_current_span() {
    let telemetry = Telemetry::new();
    let instrumentation = telemetry.builder().settle_spans(true).consumer_group("billing").build();
    let _current = remote(5, 6, TraceFlags::SAMPLED).attach();
    instrumentation.settle("commit", orders, |_| {}).ended(Ok(()));
    let expected = Seen::settle("commit", "orders").id(5, 1).child_of(6);
    assert_eq!(telemetry.seen(), [expected.with("messaging.consumer.group.name", "billing")]);
}

#[test]
fn a_message_that_is_settled_before_its_handler_runs_ends_with_the_handler() {
    let telemetry = Telemetry::new();
    let process = process(&telemetry);
    process.settle(Settlement::Acked);
    let _ = block_on(process.run(async { Err::<(), _>("too late to nack") }));
    assert_eq!(telemetry.seen(), [settled("acked").failed("&str", "too late to nack")]);
}

#[test]
fn a_settlement_that_was_not_waited_for_is_recorded_all_the_same() {
    let telemetry = Telemetry::new();
    let process = telemetry.instrumentation().process(from_orders(), &headers(&[]), |_| {});
    block_on(process.run(async { process.settle(Settlement::Rejected) }));
    assert_eq!(telemetry.seen(), [settled("rejected").failed("rejected", "the message was rejected")]);
}

#[test]
fn where_the_sender_is_nothing_to_a_message_its_settlement_has_no_link() {
    let telemetry = Telemetry::new();
    let instrumentation = telemetry.builder().settle_spans(true).relation(Relation::Ignore).build();
    let process = instrumentation.process(from_orders(), &sent(), |_| {});
    process.settling("ack", orders, |_| {}).ended(Ok(()));
    assert_eq!(telemetry.seen(), [Seen::settle("ack", "orders").id(TRACE, 2).child_of(1)]);
}
