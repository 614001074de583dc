//! A batch that is processed: one span, and a link to the sender of each message.

use carrier_core::instrumentation::{Ambient, Batch, Details, Failure, Instrumentation, Relation};
use opentelemetry::baggage::BaggageExt as _;
use opentelemetry::trace::{TraceContextExt as _, TraceFlags};
use opentelemetry::{Context, KeyValue};
use opentelemetry_sdk::trace::SamplingDecision;

use crate::seen::Seen;
use crate::support::{
    Asking, Headers, block_on, current_span, from_orders, headers, orders, remote, traceparent, yielded,
};
use crate::telemetry::{TRACE, Telemetry, is_through_tracing};

/// Messages of trace 7, with the spans 10, 11 and so on.
fn messages(count: u64) -> Vec<Headers> {
    (10..10 + count).map(|span| headers(&[("traceparent", &traceparent(7, span, 1))])).collect()
}

fn process(instrumentation: &Instrumentation, messages: &[Headers]) -> Batch {
    let messages = messages.iter().enumerate().map(|(index, message)| {
        let offset = move |details: &mut Details<'_>| details.set("offset", i64::try_from(index).unwrap());
        (message, from_orders(), offset)
    });
    instrumentation.process_batch(orders(), messages, |details| details.set("of the batch", true))
}

fn offset(value: i64) -> [KeyValue; 1] {
    [KeyValue::new("offset", value)]
}

#[test]
fn each_message_has_a_link_with_what_is_its_own() {
    let telemetry = Telemetry::new();
    drop(process(&telemetry.instrumentation(), &messages(2)));
    let expected = Seen::process("orders")
        .link_with(7, 10, &offset(0))
        .link_with(7, 11, &offset(1))
        .with("messaging.batch.message_count", 2)
        .with("of the batch", true);
    assert_eq!(telemetry.seen(), [expected]);
}

#[test]
fn a_message_without_a_context_is_counted_and_not_linked() {
    let telemetry = Telemetry::new();
    let poisoned = headers(&[("traceparent", "00-\u{fffd}-01"), ("tracestate", "=")]);
    drop(process(&telemetry.instrumentation(), &[poisoned, headers(&[])]));
    let expected = Seen::process("orders").with("messaging.batch.message_count", 2);
    assert_eq!(telemetry.seen(), [expected.with("of the batch", true)]);
}

#[test]
fn links_have_a_bound_and_those_left_out_are_counted() {
    let telemetry = Telemetry::new();
    drop(process(&telemetry.builder().max_links(1).build(), &messages(3)));
    let expected = Seen::process("orders")
        .link_with(7, 10, &offset(0))
        .with("messaging.batch.message_count", 3)
        .with("carrier.batch.unlinked_message_count", 2)
        .with("of the batch", true);
    assert_eq!(telemetry.seen(), [expected]);
}

#[test]
fn without_room_for_links_there_is_none_to_the_span_around_it_either() {
    let telemetry = Telemetry::new();
    let _around = remote(5, 6, TraceFlags::SAMPLED).attach();
    drop(process(&telemetry.builder().max_links(0).build(), &messages(1)));
    let expected = Seen::process("orders")
        .with("messaging.batch.message_count", 1)
        .with("carrier.batch.unlinked_message_count", 1)
        .with("of the batch", true);
    assert_eq!(telemetry.seen(), [expected]);
}

#[test]
fn up_to_128_messages_are_linked_and_the_sdk_drops_none() {
    let telemetry = Telemetry::new();
    drop(process(&telemetry.instrumentation(), &messages(130)));
    let all = (0..128).fold(Seen::process("orders"), |seen, index| {
        seen.link_with(7, 10 + index, &offset(i64::try_from(index).unwrap()))
    });
    let expected = all
        .with("messaging.batch.message_count", 130)
        .with("carrier.batch.unlinked_message_count", 2)
        .with("of the batch", true);
    assert_eq!(telemetry.seen(), [expected]);
}

#[test]
fn a_span_around_it_is_linked_first_so_that_a_large_batch_does_not_leave_it_out() {
    let telemetry = Telemetry::new();
    let _around = remote(5, 6, TraceFlags::SAMPLED).attach();
    drop(process(&telemetry.builder().max_links(2).build(), &messages(2)));
    let expected = Seen::process("orders")
        .link(5, 6)
        .link_with(7, 10, &offset(0))
        .with("messaging.batch.message_count", 2)
        .with("carrier.batch.unlinked_message_count", 1)
        .with("of the batch", true);
    assert_eq!(telemetry.seen(), [expected]);
}

#[test]
fn a_span_around_it_can_be_the_parent_or_nothing() {
    let telemetry = Telemetry::new();
    let _around = remote(5, 6, TraceFlags::SAMPLED).attach();
    for ambient in [Ambient::Parent, Ambient::Ignore] {
        drop(process(&telemetry.builder().ambient(ambient).build(), &[]));
    }
    let batch = Seen::process("orders").with("messaging.batch.message_count", 0).with("of the batch", true);
    let expected = [batch.clone().id(5, 1).child_of(6), batch.id(TRACE, 2)];
    assert_eq!(telemetry.seen(), expected);
}

#[test]
fn a_parent_that_sent_one_of_the_messages_is_not_linked_unless_that_is_chosen() {
    let _around = remote(7, 10, TraceFlags::SAMPLED).attach();
    for link_parent in [false, true] {
        let telemetry = Telemetry::new();
        let builder = telemetry.builder().ambient(Ambient::Parent).link_parent(link_parent);
        drop(process(&builder.build(), &messages(2)));
        let [seen] = telemetry.seen().try_into().unwrap();
        let mut expected = Seen::process("orders").id(7, 1).child_of(10);
        if link_parent {
            expected = expected.link_with(7, 10, &offset(0));
        }
        let expected = expected.link_with(7, 11, &offset(1));
        let expected = expected.with("messaging.batch.message_count", 2).with("of the batch", true);
        assert_eq!(seen, expected, "{link_parent}");
    }
}

#[test]
fn without_a_relation_no_message_is_linked() {
    let telemetry = Telemetry::new();
    let instrumentation = telemetry.builder().relation(Relation::Ignore).build();
    drop(process(&instrumentation, &messages(2)));
    let expected = Seen::process("orders").with("messaging.batch.message_count", 2);
    assert_eq!(telemetry.seen(), [expected.with("of the batch", true)]);
}

#[test]
fn each_message_keeps_its_own_context_and_baggage() {
    let telemetry = Telemetry::new();
    let mut messages = messages(2);
    messages[1].push(("baggage".to_owned(), "tenant=7".to_owned()));
    let batch = process(&telemetry.instrumentation(), &messages);
    let told = |cx: &Context| {
        let tenant = cx.baggage().get("tenant").map(|value| value.as_str().to_owned());
        (cx.span().span_context().span_id(), tenant)
    };
    let contexts: Vec<_> = batch.contexts().iter().map(told).collect();
    assert_eq!(contexts, [(10.into(), None), (11.into(), Some("7".to_owned()))]);
    assert_eq!(told(batch.context()), (1.into(), None));
}

#[test]
fn a_batch_runs_and_fails_as_a_message_does() {
    let telemetry = Telemetry::new();
    let instrumentation = telemetry.instrumentation();
    let batch = process(&instrumentation, &[]);
    let own = batch.context().span().span_context().clone();
    block_on(batch.run(async {
        yielded().await;
        assert_eq!(current_span(), own);
    }));
    let failing = process(&instrumentation, &[]);
    failing.fail(Failure::new("poisoned", "one of them"));
    drop(failing);
    let expected =
        Seen::process("orders").with("messaging.batch.message_count", 0).with("of the batch", true);
    let failed = expected.clone().id(TRACE + 1, 2).failed("poisoned", "one of them");
    assert_eq!(telemetry.seen(), [expected, failed]);
}

#[test]
fn a_sampler_sees_the_links_of_a_batch_and_details_wait_for_its_answer() {
    let sampler = Asking::and(SamplingDecision::Drop);
    let telemetry = Telemetry::sampled_by(sampler.clone());
    let messages = messages(1);
    let messages = messages.iter().map(|it| (it, from_orders(), |_: &mut Details<'_>| {}));
    drop(telemetry.instrumentation().process_batch(orders(), messages, |_| assert!(is_through_tracing())));
    assert_eq!(sampler.asked()[0].links, [(7, 10, Vec::new())]);
}
