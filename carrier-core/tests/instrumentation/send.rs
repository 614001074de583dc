//! The producer's side.

use std::cell::Cell;
use std::collections::HashMap;
use std::time::{Duration, Instant};

use carrier_core::instrumentation::{Destination, Failure};
use carrier_core::{Budget, Existing, InjectionOutcome, Propagation, W3c, w3c};
use opentelemetry::baggage::BaggageExt as _;
use opentelemetry::trace::{SpanKind, TraceContextExt as _, TraceFlags};
use opentelemetry::{Context, KeyValue};
use opentelemetry_sdk::trace::{Sampler, SamplingDecision};

use crate::measured::{text, told};
use crate::seen::{Seen, sorted};
use crate::support::{Asked, Asking, headers, orders, remote, sent, traceparent};
use crate::telemetry::{TRACE, Telemetry, assert_same_duration, is_through_tracing};

#[test]
fn a_message_that_is_sent_carries_a_producer_span_below_the_current_one() {
    let telemetry = Telemetry::new();
    let _current = remote(5, 6, TraceFlags::SAMPLED).attach();
    let mut message = HashMap::new();
    let sending = telemetry.instrumentation().send(orders, &mut message, |details| {
        details.set("messaging.message.body.size", 3);
    });
    assert_eq!(message, HashMap::from([("traceparent".to_owned(), traceparent(5, 1, 1))]));
    assert_eq!(sending.carried().as_ref(), Some(sending.context().span().span_context()));
    assert_eq!(sending.injection().outcome(), InjectionOutcome::Written);
    assert_eq!(telemetry.seen(), [], "it waits for the outcome");
    sending.ended(Ok(()));
    let expected = Seen::send("orders").id(5, 1).child_of(6).with("messaging.message.body.size", 3);
    assert_eq!(telemetry.seen(), [expected]);
}

#[test]
fn a_budget_of_the_instrumentation_limits_a_message_also_if_telemetry_is_suppressed() {
    let fields = |added: Option<usize>, is_suppressed: bool| {
        let builder = Telemetry::new().builder().budget(Budget::bytes(1_000));
        let instrumentation = match added {
            Some(added) => builder.budget(Budget::bytes(added)).budget(Budget::bytes(1_000)).build(),
            None => builder.build(),
        };
        let current = remote(5, 6, TraceFlags::SAMPLED).with_baggage([KeyValue::new("tenant", "blue")]);
        let current = if is_suppressed { current.with_telemetry_suppressed() } else { current };
        let _current = current.attach();
        let mut message = HashMap::new();
        instrumentation.send(orders, &mut message, |_| {}).ended(Ok(()));
        let mut fields: Vec<_> = message.into_keys().collect();
        fields.sort();
        fields
    };
    for is_suppressed in [false, true] {
        assert_eq!(fields(None, is_suppressed), ["baggage", "traceparent"]);
        assert_eq!(fields(Some(80), is_suppressed), ["traceparent"]);
    }
}

#[test]
fn a_span_says_that_its_message_has_no_headers_for_lack_of_room() {
    const LEFT_OUT: &str = "carrier.context.left_out";
    let small = Telemetry::new();
    let instrumentation = small.builder().budget(Budget::message(10)).build();
    let sending = instrumentation.send(orders, &mut HashMap::new(), |_| {});
    assert_eq!((sending.injection().outcome(), sending.carried()), (InjectionOutcome::NoRoom, None));
    sending.ended(Ok(()));
    assert_eq!(small.seen(), [Seen::send("orders").with(LEFT_OUT, true)]);
    // Also if only the client knows the limit.
    let room = Telemetry::new();
    let mut sending = room.instrumentation().send(orders, &mut sent(), |_| {});
    sending.left_out();
    assert_eq!((sending.injection().outcome(), sending.carried()), (InjectionOutcome::NoRoom, None));
    assert!(sending.injection().existing().is_some());
    sending.ended(Ok(()));
    assert_eq!(room.seen(), [Seen::send("orders").id(7, 1).child_of(8).with(LEFT_OUT, true)]);
}

#[test]
fn without_a_current_span_it_is_a_root() {
    let telemetry = Telemetry::new();
    telemetry.instrumentation().send(orders, &mut headers(&[]), |_| {}).ended(Ok(()));
    assert_eq!(telemetry.seen(), [Seen::send("orders")]);
}

#[test]
fn a_context_that_is_replaced_is_linked() {
    let telemetry = Telemetry::new();
    let _current = remote(5, 6, TraceFlags::SAMPLED).attach();
    let mut message = sent();
    telemetry.instrumentation().send(orders, &mut message, |_| {}).ended(Ok(()));
    assert_eq!(telemetry.seen(), [Seen::send("orders").id(5, 1).child_of(6).link(7, 8)]);
    assert_eq!(message, headers(&[("traceparent", &traceparent(5, 1, 1))]));
}

#[test]
fn where_the_message_keeps_its_context_it_is_a_client_span_with_a_link() {
    for existing in [Existing::Keep, Existing::LeaveAlone] {
        let telemetry = Telemetry::new();
        let _current = remote(5, 6, TraceFlags::SAMPLED).attach();
        let propagation = Propagation::builder().propagator(w3c()).existing(existing).build();
        let (mut message, instrumentation) = (sent(), telemetry.instrumentation());
        let sending = instrumentation.with_propagation(propagation).send(orders, &mut message, |_| {});
        assert_eq!(sending.carried().map(|span| span.span_id()), Some(8.into()), "{existing:?}");
        sending.ended(Ok(()));
        assert_eq!(message, sent(), "{existing:?}");
        let expected = Seen::send("orders").kind(SpanKind::Client).id(5, 1).child_of(6).link(7, 8);
        assert_eq!(telemetry.seen(), [expected], "{existing:?}");
    }
}

#[test]
fn where_propagation_is_off_it_is_a_client_span() {
    let telemetry = Telemetry::new();
    let instrumentation = telemetry.builder().propagation(Propagation::off()).build();
    let mut message = sent();
    let sending = instrumentation.send(orders, &mut message, |_| {});
    assert_eq!(sending.carried(), None);
    sending.ended(Ok(()));
    assert_eq!(message, sent());
    assert_eq!(telemetry.seen(), [Seen::send("orders").kind(SpanKind::Client)]);
}

#[test]
fn where_only_baggage_is_written_it_is_a_client_span() {
    let telemetry = Telemetry::new();
    let baggage = Propagation::builder().propagator(W3c::baggage()).build();
    let _current = Context::new().with_baggage([KeyValue::new("tenant", "7")]).attach();
    let mut message = headers(&[]);
    let instrumentation = telemetry.builder().propagation(baggage).build();
    let sending = instrumentation.send(orders, &mut message, |_| {});
    assert_eq!(sending.carried(), None);
    sending.ended(Ok(()));
    assert_eq!(message, headers(&[("baggage", "tenant=7")]));
    assert_eq!(telemetry.seen(), [Seen::send("orders").kind(SpanKind::Client)]);
}

#[test]
fn a_sampler_is_asked_with_what_it_may_want_and_no_more() {
    let sampler = Asking::and(SamplingDecision::RecordAndSample);
    let telemetry = Telemetry::sampled_by(sampler.clone());
    let instrumentation = telemetry
        .builder()
        .server("broker", Some(5672))
        .client_id("client")
        .consumer_group("for consumers only")
        .build();
    let _current = remote(5, 6, TraceFlags::SAMPLED).attach();
    let destination = Destination::new("o.1").template("o.{n}").partition("3").temporary();
    instrumentation
        .send(|| destination.clone(), &mut sent(), |details| details.set("other", 1))
        .ended(Ok(()));
    let attributes = [
        text("messaging.destination.name", "o.1"),
        text("messaging.destination.partition.id", "3"),
        text("messaging.destination.template", "o.{n}"),
        text("messaging.operation.name", "send"),
        text("messaging.operation.type", "send"),
        text("messaging.system", "test"),
        text("server.address", "broker"),
        KeyValue::new("server.port", 5672),
    ];
    let asked = Asked {
        name: "send o.{n}".to_owned(),
        kind: SpanKind::Producer,
        attributes: sorted(&attributes),
        links: vec![(7, 8, Vec::new())],
    };
    assert_eq!(sampler.asked(), [asked]);
    let expected = Seen::send("o.1")
        .named("send o.{n}")
        .id(5, 1)
        .child_of(6)
        .link(7, 8)
        .with("messaging.destination.partition.id", "3")
        .with("messaging.destination.template", "o.{n}")
        .with("messaging.destination.temporary", true)
        .with("messaging.client.id", "client")
        .with("server.address", "broker")
        .with("server.port", 5672)
        .with("other", 1);
    assert_eq!(telemetry.seen(), [expected]);
}

#[test]
fn what_no_sampler_wants_is_built_for_a_recorded_span_only() {
    for (decision, is_asked) in [
        (SamplingDecision::Drop, false),
        (SamplingDecision::RecordOnly, true),
        (SamplingDecision::RecordAndSample, true),
    ] {
        let telemetry = Telemetry::sampled_by(Asking::and(decision.clone()));
        let (at_start, later) = (Cell::new(false), Cell::new(false));
        let sending = telemetry.instrumentation().send(orders, &mut headers(&[]), |_| at_start.set(true));
        sending.details(|_| later.set(true));
        // A log shows them too.
        let is_asked = is_asked || is_through_tracing();
        assert_eq!((at_start.get(), later.get()), (is_asked, is_asked), "{decision:?}");
    }
}

#[test]
fn what_is_not_sampled_says_so_in_the_message_and_is_counted() {
    let telemetry = Telemetry::sampled_by(Sampler::AlwaysOff);
    let mut message = headers(&[]);
    telemetry.instrumentation().send(orders, &mut message, |_| {}).ended(Ok(()));
    assert_eq!(message, headers(&[("traceparent", &traceparent(TRACE, 1, 0))]));
    assert_eq!(telemetry.seen(), []);
    let counted: Vec<_> = telemetry.measured().into_iter().map(|it| (it.name, it.count)).collect();
    let expected = [("messaging.client.operation.duration", 1), ("messaging.client.sent.messages", 1)];
    assert_eq!(counted, expected.map(|(name, count)| (name.to_owned(), count)));
}

#[test]
fn one_that_nobody_waits_for_ends_once_with_its_outcome_unknown() {
    let telemetry = Telemetry::new();
    let sending = telemetry.instrumentation().send(orders, &mut headers(&[]), |_| {});
    let kept = sending.context();
    drop(sending);
    assert_eq!(telemetry.seen(), [Seen::send("orders")]);
    drop(kept);
    assert_eq!(telemetry.seen(), []);
    assert_eq!(telemetry.measured(), [], "whether it was sent is unknown");
}

#[test]
fn an_outcome_that_is_reported_late_ends_the_span_and_the_metric_when_it_was_known() {
    for has_metrics in [true, false] {
        let telemetry = Telemetry::new();
        let instrumentation = telemetry.builder().metrics(has_metrics).build();
        let sending = instrumentation.send(orders, &mut headers(&[]), |_| {});
        std::thread::sleep(Duration::from_millis(20));
        let known = Instant::now();
        std::thread::sleep(Duration::from_millis(200));
        sending.ended_at(Err(Failure::new("nack", "refused")), known);
        let [span] = telemetry.ended().try_into().unwrap();
        assert_eq!(Seen::of(&span), Seen::send("orders").failed("nack", "refused"));
        let took = span.end_time.duration_since(span.start_time).unwrap();
        assert!((Duration::from_millis(20)..Duration::from_millis(200)).contains(&took), "{took:?}");
        if has_metrics {
            let measured = telemetry.measured_by("messaging.client.operation.duration")[0].sum.unwrap();
            assert_same_duration(measured, took.as_secs_f64());
        }
    }
}

#[test]
fn an_outcome_from_before_the_start_takes_no_time() {
    let telemetry = Telemetry::new();
    let before = Instant::now();
    telemetry.instrumentation().send(orders, &mut headers(&[]), |_| {}).ended_at(Ok(()), before);
    assert_eq!(telemetry.measured_by("messaging.client.operation.duration")[0].sum, Some(0.0));
}

#[test]
fn an_answer_that_arrived_earlier_is_the_end_of_the_span_and_of_the_duration() {
    for has_metrics in [true, false] {
        let telemetry = Telemetry::new();
        let instrumentation = telemetry.builder().metrics(has_metrics).build();
        let sending = instrumentation.send(orders, &mut headers(&[]), |_| {});
        let arrived = Instant::now();
        std::thread::sleep(Duration::from_millis(200));
        sending.ended_at(Ok(()), arrived);
        let [span] = telemetry.ended().try_into().unwrap();
        let took = span.end_time.duration_since(span.start_time).unwrap();
        assert!(took < Duration::from_millis(100), "{took:?}");
    }
}

#[test]
fn a_failure_is_on_the_span_its_status_and_the_metrics() {
    let telemetry = Telemetry::new();
    let sending = telemetry.instrumentation().send(orders, &mut headers(&[]), |_| {});
    sending.ended(Err(Failure::new("NO_ROUTE", "orders has no queue")));
    assert_eq!(telemetry.seen(), [Seen::send("orders").failed("NO_ROUTE", "orders has no queue")]);
    let attributes = [
        text("error.type", "NO_ROUTE"),
        text("messaging.destination.name", "orders"),
        text("messaging.operation.name", "send"),
        text("messaging.operation.type", "send"),
        text("messaging.system", "test"),
    ];
    let without_type: Vec<_> =
        attributes.iter().filter(|it| it.key.as_str() != "messaging.operation.type").cloned().collect();
    let measured: Vec<_> = telemetry.measured().into_iter().map(|it| it.told()).collect();
    let expected = [
        told("messaging.client.operation.duration", &attributes, 1),
        told("messaging.client.sent.messages", &without_type, 1),
    ];
    assert_eq!(measured, expected);
}

#[test]
fn a_partition_that_the_broker_chose_is_on_the_span_and_the_metrics_once() {
    let telemetry = Telemetry::new();
    let instrumentation = telemetry.instrumentation();
    for known in [None, Some("3")] {
        let destination = known.map_or_else(orders, |id| orders().partition(id));
        let mut sending = instrumentation.send(|| destination.clone(), &mut headers(&[]), |_| {});
        sending.details(|details| details.set("messaging.kafka.offset", 9));
        sending.partition("3");
        sending.ended(Ok(()));
    }
    let expected = Seen::send("orders")
        .with("messaging.destination.partition.id", "3")
        .with("messaging.kafka.offset", 9);
    assert_eq!(telemetry.seen(), [expected.clone(), expected.id(TRACE + 1, 2)]);
    let sent = telemetry.measured_by("messaging.client.sent.messages");
    let attributes = [
        text("messaging.destination.name", "orders"),
        text("messaging.destination.partition.id", "3"),
        text("messaging.operation.name", "send"),
        text("messaging.system", "test"),
    ];
    assert_eq!((&sent[0].attributes, sent[0].count), (&sorted(&attributes), 2));
}
