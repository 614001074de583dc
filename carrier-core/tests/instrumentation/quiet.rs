//! Where nothing is started: suppressed telemetry, no SDK, and parents that are not sampled.

use carrier_core::instrumentation::{Details, Instrumentation, Plain, Relation, StartTime};
use carrier_core::{Propagation, Trust, w3c};
use opentelemetry::baggage::BaggageExt as _;
use opentelemetry::metrics::noop::NoopMeterProvider;
use opentelemetry::trace::noop::NoopTracerProvider;
use opentelemetry::trace::{SpanId, SpanKind, TraceContextExt as _, TraceFlags, TraceId};
use opentelemetry::{Context, KeyValue};
use opentelemetry_sdk::trace::{IdGenerator, Sampler, SamplingDecision};

use crate::seen::Seen;
use crate::support::{
    Asking, Headers, block_on, current_span, from_orders, headers, orders, remote, sent, traceparent, yielded,
};
use crate::telemetry::{TRACE, Telemetry, is_through_tracing, propagation};

fn nobody(_: &mut Details<'_>) {
    panic!("asked for details of nothing")
}

/// Only a log may show more of a message whose span is not recorded.
fn a_log(_: &mut Details<'_>) {
    assert!(is_through_tracing(), "asked for details of nothing");
}

#[test]
fn suppressed_nothing_is_started_or_counted() {
    let telemetry = Telemetry::new();
    let instrumentation = telemetry.builder().settle_spans(true).build();
    let _suppressed = Context::enter_telemetry_suppressed_scope();
    instrumentation.send(orders, &mut headers(&[]), nobody).ended(Ok(()));
    let process = instrumentation.process(from_orders(), &sent(), nobody).until_settled();
    process.settling("ack", orders, nobody).ended(Ok(()));
    drop(process);
    drop(instrumentation.process_batch(orders(), [(sent(), from_orders(), nobody)], nobody));
    instrumentation.received(StartTime::now(), orders(), Ok(Some((&from_orders(), &sent()))), nobody);
    instrumentation.settle("commit", orders, nobody).ended(Ok(()));
    assert_eq!(telemetry.seen(), []);
    assert_eq!(telemetry.measured(), []);
}

#[test]
fn suppressed_the_current_context_is_sent() {
    let telemetry = Telemetry::new();
    let current = remote(5, 6, TraceFlags::SAMPLED).with_telemetry_suppressed();
    let _current = current.attach();
    let mut message = headers(&[]);
    let sending = telemetry.instrumentation().send(orders, &mut message, nobody);
    assert_eq!(message, headers(&[("traceparent", &traceparent(5, 6, 1))]));
    assert_eq!(sending.carried().map(|span| span.span_id()), Some(6.into()));
    let context = sending.context();
    assert!(context.is_telemetry_suppressed() && context.span().span_context().span_id() == 6.into());
}

#[test]
fn suppressed_the_senders_context_reaches_the_handler_which_stays_suppressed() {
    let telemetry = Telemetry::new();
    let instrumentation = telemetry.instrumentation();
    let suppressed = Context::enter_telemetry_suppressed_scope();
    let process = instrumentation.process(from_orders(), &sent(), nobody);
    let batch = instrumentation.process_batch(orders(), [(sent(), from_orders(), nobody)], nobody);
    drop(suppressed);
    block_on(process.run(async {
        yielded().await;
        assert_eq!(current_span().span_id(), 8.into());
        assert!(Context::is_current_telemetry_suppressed());
    }));
    assert!(batch.context().is_telemetry_suppressed());
    let [of_message] = batch.contexts() else { panic!("one message") };
    assert_eq!(of_message.span().span_context().span_id(), 8.into());
    assert!(of_message.is_telemetry_suppressed());
}

fn without_an_sdk() -> Instrumentation {
    let builder = Instrumentation::builder("test").tracer_provider(NoopTracerProvider::new());
    // Not the global one, which another test may have registered by now.
    builder.meter_provider(NoopMeterProvider::new()).propagation(propagation()).build()
}

#[test]
fn without_an_sdk_the_context_goes_on_through_process_and_send() {
    let state = [("tracestate", "a=1"), ("baggage", "tenant=7")];
    let received = [sent(), headers(&state)].concat();
    let mut forwarded = headers(&[]);
    let instrumentation = without_an_sdk();
    let process = instrumentation.process(from_orders(), &received, nobody);
    block_on(process.run(async {
        yielded().await;
        instrumentation.send(orders, &mut forwarded, nobody).ended(Ok(()));
    }));
    assert_eq!(forwarded, received);
}

#[test]
fn without_an_sdk_a_linked_sender_is_passed_on_too_and_an_ignored_one_is_not() {
    let handler_of = |relation, message: &Headers| {
        let process = without_an_sdk().with_relation(relation).process(from_orders(), message, nobody);
        block_on(process.run(async { Plain(current_span().span_id()) })).0
    };
    let unsampled = headers(&[("traceparent", &traceparent(7, 8, 0))]);
    let old = Relation::rule(|_| Relation::Link);
    for relation in [Relation::Parent, Relation::Link, old] {
        assert_eq!(handler_of(relation.clone(), &sent()), 8.into(), "{relation:?}");
        assert_eq!(handler_of(relation.clone(), &unsampled), 8.into(), "{relation:?}");
    }
    assert_eq!(handler_of(Relation::Ignore, &sent()), SpanId::INVALID);
    let builder = Instrumentation::builder("test").tracer_provider(NoopTracerProvider::new());
    let partner = Propagation::builder().propagator(w3c()).trust(Trust::Link).build();
    let partner = builder.meter_provider(NoopMeterProvider::new()).propagation(partner).build();
    let process = partner.process(from_orders(), &sent(), nobody);
    assert!(!process.context().has_active_span(), "a sender that is not trusted is no parent");
}

#[test]
fn without_an_sdk_and_a_context_nothing_is_written() {
    let instrumentation = without_an_sdk();
    let mut message = headers(&[("user", "1")]);
    let sending = instrumentation.send(orders, &mut message, nobody);
    assert!(!sending.context().has_active_span(), "an invalid span would hide that there is none");
    assert_eq!(sending.carried(), None);
    assert_eq!(message, headers(&[("user", "1")]));
}

#[test]
fn how_a_message_ended_is_told_where_its_span_is_recorded_or_there_are_metrics() {
    for (is_recorded, metrics) in [(true, true), (true, false), (false, true), (false, false)] {
        let sampler = if is_recorded { Sampler::AlwaysOn } else { Sampler::AlwaysOff };
        let instrumentation = Telemetry::sampled_by(sampler).builder().metrics(metrics).build();
        let sending = instrumentation.send(orders, &mut headers(&[]), |_| {});
        assert_eq!(
            sending.is_observed(),
            is_recorded || metrics || is_through_tracing(),
            "{is_recorded} {metrics}"
        );
    }
}

#[test]
fn where_unsampled_parents_are_skipped_no_sampler_is_asked() {
    let sampler = Asking::and(SamplingDecision::RecordAndSample);
    let telemetry = Telemetry::sampled_by(sampler.clone());
    let instrumentation = telemetry.builder().skip_unsampled(true).build();
    let unsampled = headers(&[("traceparent", &traceparent(7, 8, 0))]);
    let mut forwarded = headers(&[]);
    let process = instrumentation.process(from_orders(), &unsampled, nobody);
    block_on(process.run(async {
        instrumentation.send(orders, &mut forwarded, nobody).ended(Ok(()));
    }));
    assert_eq!(forwarded, unsampled, "the sender's context goes on");
    assert_eq!(sampler.asked(), []);
    assert_eq!(telemetry.measured_by("messaging.process.duration")[0].count, 1);
    assert_eq!(telemetry.measured_by("messaging.client.sent.messages")[0].count, 1);
    drop(instrumentation.process(from_orders(), &sent(), |_| {}));
    drop(instrumentation.process(from_orders(), &headers(&[]), |_| {}));
    let expected = [Seen::process("orders").id(7, 1).child_of(8), Seen::process("orders").id(TRACE, 2)];
    assert_eq!(telemetry.seen(), expected, "sampled parents and roots are not skipped");
}

#[test]
fn by_default_a_sampler_is_asked_whatever_the_parent_is() {
    let sampler = Asking::and(SamplingDecision::Drop);
    let telemetry = Telemetry::sampled_by(sampler.clone());
    let unsampled = headers(&[("traceparent", &traceparent(7, 8, 0))]);
    drop(telemetry.instrumentation().process(from_orders(), &unsampled, a_log));
    assert_eq!(sampler.asked().len(), 1);
}

#[test]
fn a_provider_that_is_shut_down_passes_the_context_on() {
    let telemetry = Telemetry::new();
    telemetry.provider.shutdown().unwrap();
    let _current = remote(5, 6, TraceFlags::SAMPLED).with_baggage([KeyValue::new("k", "v")]).attach();
    let mut message = headers(&[]);
    telemetry.instrumentation().send(orders, &mut message, a_log).ended(Ok(()));
    assert_eq!(message, headers(&[("traceparent", &traceparent(5, 6, 1)), ("baggage", "k=v")]));
}

#[test]
fn a_recorded_span_without_ids_does_not_end_the_one_around_it() {
    #[derive(Debug)]
    struct Zeros;
    impl IdGenerator for Zeros {
        fn new_trace_id(&self) -> TraceId {
            TraceId::INVALID
        }

        fn new_span_id(&self) -> SpanId {
            SpanId::INVALID
        }
    }
    let program = Telemetry::new();
    let outer = program.outer();
    let _around = outer.clone().attach();
    let broken = Telemetry::with(Sampler::AlwaysOn, Zeros);
    let mut message = headers(&[]);
    broken.instrumentation().send(orders, &mut message, |_| {}).ended(Ok(()));
    assert!(outer.span().is_recording());
    assert_eq!(message, headers(&[("traceparent", &traceparent(TRACE, 1, 1))]), "its context goes on");
}

/// The only test that registers anything for all of the process.
#[test]
fn providers_are_the_global_ones_when_an_instrumentation_is_built() {
    let build = || Instrumentation::builder("test").propagation(propagation()).build();
    let too_early = build();
    let telemetry = Telemetry::sampled_by(Sampler::AlwaysOn);
    let (spans, later) = telemetry.register();
    too_early.send(orders, &mut headers(&[]), |_| {}).ended(Ok(()));
    assert_eq!(spans.get_finished_spans().unwrap().len(), 0);
    assert_eq!(later(), []);
    build().send(orders, &mut headers(&[]), |_| {}).ended(Ok(()));
    let seen: Vec<_> = spans.get_finished_spans().unwrap().iter().map(Seen::of).collect();
    assert_eq!(seen, [Seen::send("orders").kind(SpanKind::Producer)]);
    assert_eq!(later().len(), 2);
}
