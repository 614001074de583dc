//! The consumer's side: where the span of one message belongs.

use std::time::Duration;

use carrier_core::instrumentation::{Ambient, InstrumentationBuilder, ReceivedMessage, Relation};
use carrier_core::{Conflict, FieldValue, Propagation, Trust, w3c};
use opentelemetry::Context;
use opentelemetry::baggage::BaggageExt as _;
use opentelemetry::trace::{TraceContextExt as _, TraceFlags};
use opentelemetry_sdk::trace::SamplingDecision;

use crate::measured::text;
use crate::seen::{Seen, sorted};
use crate::support::{Asked, Asking, Headers, from_orders, headers, orders, remote, sent, traceparent};
use crate::telemetry::{TRACE, Telemetry, is_through_tracing};

/// The one span of a message that is processed, with choices of its own.
fn processed(
    choices: impl FnOnce(InstrumentationBuilder) -> InstrumentationBuilder,
    message: &Headers,
) -> Seen {
    let telemetry = Telemetry::new();
    drop(choices(telemetry.builder()).build().process(from_orders(), message, |_| {}));
    let [seen] = telemetry.seen().try_into().unwrap();
    seen
}

fn trusting(trust: Trust) -> Propagation {
    Propagation::builder().propagator(w3c()).trust(trust).build()
}

#[test]
fn the_sender_is_the_parent_and_not_linked() {
    let expected = Seen::process("orders").id(7, 1).child_of(8);
    assert_eq!(processed(|builder| builder, &sent()), expected);
}

#[test]
fn with_link_parent_the_sender_is_the_parent_and_linked_before_the_span_around_it() {
    let linked = |builder: InstrumentationBuilder| builder.link_parent(true);
    let expected = Seen::process("orders").id(7, 1).child_of(8).link(7, 8);
    assert_eq!(processed(linked, &sent()), expected);
    let _around = remote(5, 6, TraceFlags::SAMPLED).attach();
    assert_eq!(processed(linked, &sent()), expected.link(5, 6));
}

#[test]
fn with_link_parent_a_span_around_it_that_sent_it_is_linked_once() {
    let _around = remote(7, 8, TraceFlags::SAMPLED).attach();
    let linked = |builder: InstrumentationBuilder| builder.link_parent(true);
    let expected = Seen::process("orders").id(7, 1).child_of(8);
    assert_eq!(processed(linked, &sent()), expected.clone().link(7, 8));
    assert_eq!(processed(|builder| builder, &sent()), expected);
}

#[test]
fn a_span_around_it_that_is_the_parent_and_sent_it_is_not_linked() {
    let _around = remote(7, 8, TraceFlags::SAMPLED).attach();
    let inside = |builder: InstrumentationBuilder| builder.ambient(Ambient::Parent);
    assert_eq!(processed(inside, &sent()), Seen::process("orders").id(7, 1).child_of(8));
}

#[test]
fn a_link_is_in_a_trace_of_its_own() {
    let seen = processed(|builder| builder.relation(Relation::Link), &sent());
    assert_eq!(seen, Seen::process("orders").link(7, 8));
}

#[test]
fn without_a_relation_there_is_no_link() {
    let seen = processed(|builder| builder.relation(Relation::Ignore), &sent());
    assert_eq!(seen, Seen::process("orders"));
}

#[test]
fn a_rule_chooses_by_what_is_known_of_the_message() {
    let telemetry = Telemetry::new();
    let rule = Relation::parent_while_fresh(Duration::from_secs(60));
    let instrumentation = telemetry.instrumentation().with_relation(rule);
    drop(instrumentation.process(from_orders(), &sent(), |_| {}));
    drop(instrumentation.process(from_orders().redelivered(true), &sent(), |_| {}));
    let child = Seen::process("orders").id(7, 1).child_of(8);
    assert_eq!(telemetry.seen(), [child, Seen::process("orders").id(TRACE, 2).link(7, 8)]);
}

#[test]
fn a_message_of_another_team_is_linked_and_one_of_strangers_is_not() {
    let seen = processed(|builder| builder.propagation(trusting(Trust::Link)), &sent());
    assert_eq!(seen, Seen::process("orders").link(7, 8));
    let seen = processed(|builder| builder.propagation(trusting(Trust::Ignore)), &sent());
    assert_eq!(seen, Seen::process("orders"));
}

#[test]
fn all_contexts_in_conflict_are_linked_once() {
    let (first, second) = (traceparent(7, 8, 1), traceparent(7, 9, 1));
    let message = headers(&[("traceparent", &first), ("traceparent", &second), ("traceparent", &first)]);
    // The newest is the last one.
    let none = Seen::process("orders").link(7, 9).link(7, 8);
    assert_eq!(processed(|builder| builder, &message), none);
    let last = Propagation::builder().propagator(w3c()).conflict(Conflict::Last).build();
    let one = Seen::process("orders").id(7, 1).child_of(8).link(7, 9);
    assert_eq!(processed(|builder| builder.propagation(last), &message), one);
}

#[test]
fn a_span_around_it_is_linked() {
    let _around = remote(5, 6, TraceFlags::SAMPLED).attach();
    let child = Seen::process("orders").id(7, 1).child_of(8).link(5, 6);
    assert_eq!(processed(|builder| builder, &sent()), child);
    let root = Seen::process("orders").link(5, 6);
    assert_eq!(processed(|builder| builder, &headers(&[])), root, "it is never the parent");
    assert_eq!(processed(|builder| builder.relation(Relation::Ignore), &sent()), root);
}

#[test]
fn a_span_around_it_can_be_the_parent_or_nothing() {
    let around = remote(5, 6, TraceFlags::SAMPLED).attach();
    let child = Seen::process("orders").id(5, 1).child_of(6);
    let inside = |builder: InstrumentationBuilder| builder.ambient(Ambient::Parent);
    assert_eq!(processed(inside, &sent()), child.clone().link(7, 8));
    assert_eq!(processed(|builder| inside(builder).relation(Relation::Ignore), &sent()), child);
    let alone = |builder: InstrumentationBuilder| builder.ambient(Ambient::Ignore);
    assert_eq!(processed(alone, &sent()), Seen::process("orders").id(7, 1).child_of(8));
    drop(around);
    // Where there is no span around it the sender is the parent.
    assert_eq!(processed(inside, &sent()), Seen::process("orders").id(7, 1).child_of(8));
}

#[test]
fn a_new_root_starts_without_a_span_and_is_not_dropped_by_a_sampler_that_follows_its_parent() {
    let unsampled = headers(&[("traceparent", &traceparent(7, 8, 0))]);
    let seen = processed(|builder| builder.relation(Relation::Link), &unsampled);
    assert_eq!(seen, Seen::process("orders").link(7, 8));
    let malformed = headers(&[("traceparent", "00-0-0-00")]);
    assert_eq!(processed(|builder| builder, &malformed), Seen::process("orders"));
}

#[test]
fn baggage_reaches_the_handler_whatever_the_sender_is_to_it() {
    let message = headers(&[("traceparent", &traceparent(7, 8, 1)), ("baggage", "tenant=7")]);
    let telemetry = Telemetry::new();
    let brought = |builder: InstrumentationBuilder| {
        let process = builder.build().process(from_orders(), &message, |_| {});
        process.context().baggage().get("tenant").map(|value| value.as_str().to_owned())
    };
    for relation in [Relation::Parent, Relation::Link, Relation::Ignore] {
        assert_eq!(brought(telemetry.builder().relation(relation.clone())).unwrap(), "7", "{relation:?}");
    }
    let linked = telemetry.builder().propagation(trusting(Trust::Link));
    assert_eq!(brought(linked).unwrap(), "7");
    assert_eq!(brought(telemetry.builder().propagation(trusting(Trust::Ignore))), None);
    let around = remote(5, 6, TraceFlags::SAMPLED).with_baggage([
        opentelemetry::KeyValue::new("tenant", "around"),
        opentelemetry::KeyValue::new("user", "1"),
    ]);
    let _around = around.attach();
    for ambient in [Ambient::Link, Ambient::Parent, Ambient::Ignore] {
        assert_eq!(brought(telemetry.builder().ambient(ambient)).unwrap(), "7", "{ambient:?}");
    }
}

#[test]
fn inside_a_span_that_is_the_parent_its_own_baggage_stays() {
    let around = remote(5, 6, TraceFlags::SAMPLED).with_baggage([opentelemetry::KeyValue::new("user", "1")]);
    let _around = around.attach();
    let message = headers(&[("baggage", "tenant=7")]);
    let telemetry = Telemetry::new();
    let instrumentation = telemetry.builder().ambient(Ambient::Parent).build();
    let process = instrumentation.process(from_orders(), &message, |_| {});
    let baggage: Vec<_> =
        process.context().baggage().iter().map(|(key, (value, _))| format!("{key}={value}")).collect();
    assert_eq!(baggage.len(), 2, "{baggage:?}");
}

#[test]
fn a_sampler_sees_the_links_and_the_group_at_the_start() {
    let sampler = Asking::and(SamplingDecision::Drop);
    let telemetry = Telemetry::sampled_by(sampler.clone());
    let _around = remote(5, 6, TraceFlags::SAMPLED).attach();
    let instrumentation =
        telemetry.builder().server("broker", None).consumer_group("billing").client_id("client").build();
    drop(instrumentation.process(from_orders().sent_at(Some(std::time::SystemTime::now())), &sent(), |_| {
        assert!(is_through_tracing(), "asked for details of what is not recorded");
    }));
    let attributes = [
        text("messaging.consumer.group.name", "billing"),
        text("messaging.destination.name", "orders"),
        text("messaging.operation.name", "process"),
        text("messaging.operation.type", "process"),
        text("messaging.system", "test"),
        text("server.address", "broker"),
    ];
    let asked = Asked {
        name: "process orders".to_owned(),
        kind: opentelemetry::trace::SpanKind::Consumer,
        attributes: sorted(&attributes),
        links: vec![(5, 6, Vec::new())],
    };
    assert_eq!(sampler.asked(), [asked]);
}

#[test]
fn attributes_of_the_message_are_on_the_span() {
    let telemetry = Telemetry::new();
    let instrumentation = telemetry.builder().scope("mine", "1.2.3").client_id("client").build();
    let anonymous = carrier_core::instrumentation::Incoming::new(orders().anonymous());
    drop(instrumentation.process(anonymous, &headers(&[]), |details| {
        details.set("messaging.message.id", "m1");
    }));
    let expected = Seen::process("orders")
        .named("process")
        .scope("mine", "1.2.3")
        .with("messaging.client.id", "client")
        .with("messaging.destination.anonymous", true)
        .with("messaging.message.id", "m1");
    assert_eq!(telemetry.seen(), [expected]);
}

#[test]
fn the_handler_has_the_process_span_and_nothing_of_the_context_around_it() {
    #[derive(Debug, PartialEq)]
    struct Around;
    let telemetry = Telemetry::new();
    let _around = Context::new().with_value(Around).attach();
    let process = telemetry.instrumentation().process(from_orders(), &sent(), |_| {});
    assert_eq!(process.context().span().span_context().span_id(), 1.into());
    assert_eq!(process.context().get::<Around>(), None);
}

#[test]
fn the_span_that_sent_it_is_the_parent_and_not_linked_where_it_is_also_around_it() {
    let telemetry = Telemetry::new();
    // The sender knows its own span as a local one, and the message brings it as a remote one.
    let outer = telemetry.outer();
    let mut message = headers(&[]);
    crate::telemetry::propagation().inject(&outer, &mut message);
    let _around = outer.attach();
    drop(telemetry.instrumentation().process(from_orders(), &message, |_| {}));
    let expected = Seen::process("orders").id(TRACE, 2).child_of(1);
    assert_eq!(telemetry.seen(), [expected]);
}

#[test]
fn copies_of_a_context_that_differ_in_their_flags_are_linked_once() {
    let (sampled, unsampled) = (traceparent(7, 8, 1), traceparent(7, 8, 0));
    let message = headers(&[("traceparent", &sampled), ("traceparent", &unsampled)]);
    assert_eq!(processed(|builder| builder, &message), Seen::process("orders").link(7, 8));
}

#[test]
fn trust_decides_first_then_the_relation_and_the_ambient_span_apart_from_both() {
    let _current = remote(5, 6, TraceFlags::SAMPLED).attach();
    let root = || Seen::process("orders");
    let (child, inside) = (root().id(7, 1).child_of(8), root().id(5, 1).child_of(6));
    let (parent, link, ignore) = (Relation::Parent, Relation::Link, Relation::Ignore);
    let expected = [
        (Trust::Parent, &parent, Ambient::Ignore, child.clone()),
        (Trust::Parent, &parent, Ambient::Link, child.link(5, 6)),
        (Trust::Parent, &parent, Ambient::Parent, inside.clone().link(7, 8)),
        (Trust::Parent, &link, Ambient::Link, root().link(7, 8).link(5, 6)),
        (Trust::Parent, &ignore, Ambient::Ignore, root()),
        // Without trust there is no parent left: it becomes a link.
        (Trust::Link, &parent, Ambient::Ignore, root().link(7, 8)),
        (Trust::Link, &parent, Ambient::Link, root().link(7, 8).link(5, 6)),
        (Trust::Link, &parent, Ambient::Parent, inside.clone().link(7, 8)),
        (Trust::Link, &ignore, Ambient::Link, root().link(5, 6)),
        // And here there is no link either.
        (Trust::Ignore, &parent, Ambient::Ignore, root()),
        (Trust::Ignore, &link, Ambient::Link, root().link(5, 6)),
        (Trust::Ignore, &parent, Ambient::Parent, inside),
    ];
    for (trust, relation, ambient, expected) in expected {
        let choose = |builder: InstrumentationBuilder| {
            builder.propagation(trusting(trust)).relation(relation.clone()).ambient(ambient)
        };
        assert_eq!(processed(choose, &sent()), expected, "{trust:?} {relation:?} {ambient:?}");
    }
}

#[test]
fn a_rule_sees_the_destination_the_sender_and_the_headers() {
    let sender = |message: &ReceivedMessage<'_>| message.sender().map(|span| span.span_id());
    let rule = Relation::rule(move |message| {
        assert_eq!(message.destination().name(), Some("orders"));
        assert_eq!((message.redelivered(), message.age()), (false, None));
        assert_eq!(message.header("nowhere"), None);
        match message.header("x-partner").and_then(FieldValue::as_str) {
            Some("a") if sender(message) == Some(8.into()) => Relation::Ignore,
            Some(_) => Relation::Link,
            None => Relation::Parent,
        }
    });
    let with = |partner| [sent(), headers(&[("x-partner", partner)])].concat();
    let ruled = |builder: InstrumentationBuilder| builder.relation(rule.clone());
    assert_eq!(processed(ruled, &with("a")), Seen::process("orders"));
    assert_eq!(processed(ruled, &with("b")), Seen::process("orders").link(7, 8));
    assert_eq!(processed(ruled, &sent()), Seen::process("orders").id(7, 1).child_of(8));
    // A sender that is not trusted as a parent is known to the rule, a stranger is not.
    let linked = |builder: InstrumentationBuilder| ruled(builder).propagation(trusting(Trust::Link));
    assert_eq!(processed(linked, &with("a")), Seen::process("orders"));
    let ignored = |builder: InstrumentationBuilder| {
        let rule = Relation::rule(move |message| {
            assert_eq!(sender(message), None);
            Relation::Parent
        });
        builder.relation(rule).propagation(trusting(Trust::Ignore))
    };
    assert_eq!(processed(ignored, &sent()), Seen::process("orders"));
}

#[test]
fn names_may_come_from_a_configuration() {
    let telemetry = Telemetry::new();
    let owned = |name: &str| name.to_owned();
    let builder = telemetry.builder_of(owned("my queue")).scope(owned("mine"), owned("1.2.3"));
    let instrumentation = builder.settle_spans(true).build();
    let process = instrumentation.process(from_orders(), &headers(&[]), |details| {
        details.set(owned("of my own"), 7);
    });
    process.settling(owned("confirm"), orders, |_| {}).ended(Ok(()));
    drop(process);
    let queue = |seen: Seen| seen.scope("mine", "1.2.3").system("my queue");
    let settled = Seen::settle("confirm", "orders").id(TRACE, 2).child_of(1);
    assert_eq!(telemetry.seen(), [queue(settled), queue(Seen::process("orders").with("of my own", 7))]);
}
