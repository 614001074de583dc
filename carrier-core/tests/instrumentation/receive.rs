//! A message that was asked for.

use carrier_core::instrumentation::{Details, Failure, Incoming, Instrumentation, Relation, StartTime};
use opentelemetry::trace::TraceFlags;
use opentelemetry_sdk::trace::{Sampler, SamplingDecision};

use crate::measured::{text, told};
use crate::seen::Seen;
use crate::support::{Asking, Headers, from_orders, orders, remote, sent};
use crate::telemetry::Telemetry;

fn receive(instrumentation: &Instrumentation, message: Result<Option<&Headers>, Failure>) {
    let known = from_orders();
    let message = message.map(|message| message.map(|headers| (&known, headers)));
    instrumentation.received(StartTime::now(), orders(), message, |details| details.set("tag", 5));
}

#[test]
fn the_span_is_below_the_current_one_and_linked_to_the_sender() {
    let telemetry = Telemetry::new();
    let _current = remote(5, 6, TraceFlags::SAMPLED).attach();
    receive(&telemetry.instrumentation(), Ok(Some(&sent())));
    let expected = Seen::receive("orders").id(5, 1).child_of(6).link(7, 8).with("tag", 5);
    assert_eq!(telemetry.seen(), [expected]);
}

#[test]
fn it_begins_where_the_call_began_and_a_sampler_sees_the_link() {
    let sampler = Asking::and(SamplingDecision::RecordAndSample);
    let telemetry = Telemetry::sampled_by(sampler.clone());
    let before = std::time::SystemTime::now();
    let began = StartTime::now();
    let after = std::time::SystemTime::now();
    let message = loop {
        // What the call waits for.
        if std::time::SystemTime::now() > after {
            break sent();
        }
    };
    telemetry.instrumentation().received(began, orders(), Ok(Some((&from_orders(), &message))), |_| {});
    assert_eq!(sampler.asked()[0].links, [(7, 8, Vec::new())]);
    let [span] = telemetry.ended().try_into().unwrap();
    assert!((before..=after).contains(&span.start_time), "it began before the message came");
    assert!(span.end_time > after);
}

#[test]
fn without_a_message_nothing_is_linked_or_consumed() {
    let telemetry = Telemetry::new();
    receive(&telemetry.instrumentation(), Ok(None));
    assert_eq!(telemetry.seen(), [Seen::receive("orders").with("tag", 5)]);
    assert_eq!(telemetry.measured_by("messaging.client.consumed.messages"), []);
}

#[test]
fn a_call_that_failed_is_a_failed_span() {
    let telemetry = Telemetry::new();
    receive(&telemetry.instrumentation(), Err(Failure::new("404", "there is no queue orders")));
    let expected = Seen::receive("orders").with("tag", 5).failed("404", "there is no queue orders");
    assert_eq!(telemetry.seen(), [expected]);
}

#[test]
fn without_a_relation_there_is_no_link() {
    let telemetry = Telemetry::new();
    receive(&telemetry.builder().relation(Relation::Ignore).build(), Ok(Some(&sent())));
    assert_eq!(telemetry.seen(), [Seen::receive("orders").with("tag", 5)]);
}

#[test]
fn a_message_that_is_received_and_processed_is_consumed_once() {
    let telemetry = Telemetry::new();
    let instrumentation = telemetry.instrumentation();
    receive(&instrumentation, Ok(Some(&sent())));
    drop(instrumentation.process(from_orders().already_counted(), &sent(), |_| {}));
    let consumed = telemetry.measured_by("messaging.client.consumed.messages");
    let attributes = [
        text("messaging.destination.name", "orders"),
        text("messaging.operation.name", "receive"),
        text("messaging.system", "test"),
    ];
    let consumed: Vec<_> = consumed.into_iter().map(|it| it.told()).collect();
    assert_eq!(consumed, [told("messaging.client.consumed.messages", &attributes, 1)]);
}

#[test]
fn each_delivery_is_counted_once_for_every_combination() {
    type Work = fn(&Instrumentation);
    fn batch(instrumentation: &Instrumentation, messages: [fn() -> Incoming; 2]) {
        let messages = messages.map(|message| (sent(), message(), |_: &mut Details<'_>| {}));
        drop(instrumentation.process_batch(orders(), messages, |_| {}));
    }
    let combinations: [(&str, u64, Work); 9] = [
        ("process", 1, |it| drop(it.process(from_orders(), &sent(), |_| {}))),
        ("receive", 1, |it| receive(it, Ok(Some(&sent())))),
        ("receive, nothing there", 0, |it| receive(it, Ok(None))),
        ("receive, failed", 0, |it| receive(it, Err(Failure::new("404", "no queue")))),
        ("receive, process", 1, |it| {
            receive(it, Ok(Some(&sent())));
            drop(it.process(from_orders().already_counted(), &sent(), |_| {}));
        }),
        ("batch", 2, |it| batch(it, [from_orders, from_orders])),
        ("receive twice, batch", 2, |it| {
            receive(it, Ok(Some(&sent())));
            receive(it, Ok(Some(&sent())));
            batch(it, [|| from_orders().already_counted(); 2]);
        }),
        ("receive one of two, batch", 2, |it| {
            receive(it, Ok(Some(&sent())));
            batch(it, [|| from_orders().already_counted(), from_orders]);
        }),
        ("batch, process each", 2, |it| {
            batch(it, [from_orders, from_orders]);
            drop(it.process(from_orders().already_counted(), &sent(), |_| {}));
            drop(it.process(from_orders().already_counted(), &sent(), |_| {}));
        }),
    ];
    for (calls, expected, work) in combinations {
        for sampler in [Sampler::AlwaysOn, Sampler::AlwaysOff] {
            let telemetry = Telemetry::sampled_by(sampler);
            work(&telemetry.instrumentation());
            let consumed = telemetry.measured_by("messaging.client.consumed.messages");
            assert_eq!(consumed.iter().map(|it| it.count).sum::<u64>(), expected, "{calls}");
        }
    }
}
