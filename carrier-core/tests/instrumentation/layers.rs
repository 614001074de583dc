//! Spans through `tracing` with other layers, with filters, and without a layer.

use carrier_core::instrumentation::{Failure, Instrumentation, Relation, StartTime};
use opentelemetry::KeyValue;
use opentelemetry::baggage::BaggageExt as _;
use opentelemetry::trace::{SpanId, Status, TraceContextExt as _, TraceFlags};
use tracing::level_filters::LevelFilter;
use tracing_subscriber::filter::{EnvFilter, filter_fn};
use tracing_subscriber::layer::{Layer as _, SubscriberExt as _};
use tracing_subscriber::registry::Registry;

use crate::log::Log;
use crate::seen::Seen;
use crate::support::{current_span, from_orders, headers, orders, remote, sent, traceparent};
use crate::telemetry::{TRACE, Telemetry, layer, propagation};
use crate::traced::with_ids;

#[test]
fn without_an_opentelemetry_layer_the_senders_context_is_the_handlers() {
    let telemetry = Telemetry::new();
    let (log, _default) = Log::alone();
    let received = [sent(), headers(&[("baggage", "tenant=7")])].concat();
    for relation in [Relation::Parent, Relation::Link] {
        let instrumentation = telemetry.builder().relation(relation).build();
        let process = instrumentation.process(from_orders(), &received, |_| {});
        let mut forwarded = headers(&[]);
        process.in_scope(|| {
            tracing::info!("handled");
            instrumentation.send(orders, &mut forwarded, |_| {}).ended(Ok(()));
        });
        assert_eq!(forwarded, received);
        assert_eq!(log.lines(), [r#"process{messaging.destination.name="orders"}: handled"#]);
    }
    assert_eq!(telemetry.seen(), []);
    assert_eq!(telemetry.measured_by("messaging.process.duration")[0].count, 2);
}

#[test]
fn a_span_around_that_is_not_ours_is_neither_changed_nor_ended() {
    let telemetry = Telemetry::new();
    let outer = telemetry.outer();
    let (_log, _default) = Log::alone();
    let around = outer.clone().attach();
    let failed = Err(Failure::new("nack", "refused"));
    telemetry.instrumentation().send(orders, &mut headers(&[]), with_ids).ended(failed);
    drop(telemetry.instrumentation().send(orders, &mut headers(&[]), with_ids));
    assert!(outer.span().is_recording());
    drop((around, outer));
    let [outer] = telemetry.ended().try_into().unwrap();
    assert_eq!((outer.name.as_ref(), outer.status, outer.attributes), ("outer", Status::Unset, vec![]));
}

#[test]
fn a_filter_switches_the_spans_off_and_the_context_goes_on() {
    let telemetry = Telemetry::new();
    for filter in ["info,carrier=off", "warn"] {
        let log = Log::default();
        let tracer = telemetry.tracer();
        let subscriber =
            Registry::default().with(EnvFilter::new(filter)).with(layer(tracer)).with(log.layer());
        let _default = tracing::subscriber::set_default(subscriber);
        let instrumentation = telemetry.instrumentation();
        let process = instrumentation.process(from_orders(), &sent(), |_| panic!("asked for details"));
        process.in_scope(|| {
            assert_eq!(current_span().span_id(), 8.into());
            tracing::warn!("handled");
        });
        let mut message = headers(&[]);
        let _current = remote(5, 6, TraceFlags::SAMPLED).with_baggage([KeyValue::new("k", "v")]).attach();
        instrumentation.send(orders, &mut message, |_| {}).ended(Ok(()));
        instrumentation.received(StartTime::now(), orders(), Ok(Some((&from_orders(), &sent()))), |_| {});
        assert_eq!(message, headers(&[("traceparent", &traceparent(5, 6, 1)), ("baggage", "k=v")]));
        assert_eq!(log.lines(), ["handled"], "{filter}");
        assert_eq!(telemetry.seen(), []);
    }
}

#[test]
fn a_filter_of_the_opentelemetry_layer_alone_leaves_the_log_as_it_is() {
    let telemetry = Telemetry::new();
    let (log, tracer) = (Log::default(), telemetry.tracer());
    let filtered = layer(tracer).with_filter(filter_fn(|metadata| metadata.target() != "carrier"));
    let subscriber = Registry::default().with(filtered).with(log.layer());
    let _default = tracing::subscriber::set_default(subscriber);
    let instrumentation = telemetry.builder().settle_spans(true).build();
    let process = instrumentation.process(from_orders(), &sent(), with_ids);
    process.in_scope(|| {
        assert_eq!(current_span().span_id(), 8.into());
        tracing::info!("handled");
    });
    process.settling("ack", orders, |_| {}).ended(Ok(()));
    instrumentation.received(StartTime::now(), orders(), Ok(Some((&from_orders(), &sent()))), |_| {});
    drop(process);
    assert_eq!(telemetry.seen(), []);
    let [line] = log.lines().try_into().unwrap();
    assert!(line.contains("messaging.kafka.offset=17"), "{line}");
}

#[test]
fn a_filter_of_the_log_alone_leaves_the_exported_span_as_it_is() {
    let telemetry = Telemetry::new();
    let (log, tracer) = (Log::default(), telemetry.tracer());
    let subscriber = Registry::default().with(layer(tracer)).with(log.layer().with_filter(LevelFilter::WARN));
    let _default = tracing::subscriber::set_default(subscriber);
    drop(telemetry.instrumentation().process(from_orders(), &sent(), with_ids));
    let expected = Seen::process("orders").id(7, 1).child_of(8).with("messaging.kafka.offset", 17);
    let expected = expected.with("messaging.message.id", "m1").with("messaging.message.body.size", 3);
    assert_eq!(telemetry.seen(), [expected]);
}

#[test]
fn a_layer_that_activates_no_contexts_is_no_trouble() {
    let telemetry = Telemetry::new();
    let layer = layer(telemetry.tracer()).with_context_activation(false);
    let _default = tracing::subscriber::set_default(Registry::default().with(layer));
    let process = telemetry.instrumentation().process(from_orders(), &sent(), |_| {});
    process.in_scope(|| tracing::info_span!("instrumented").in_scope(|| {}));
    drop(process);
    let parents: Vec<_> = telemetry.ended().iter().map(|span| span.parent_span_id).collect();
    assert_eq!(parents, [1.into(), 8.into()]);
}

#[test]
fn by_default_the_layer_adds_the_thread_and_the_target_and_an_error_event_fails_the_span() {
    let telemetry = Telemetry::new();
    let layer = tracing_opentelemetry::layer().with_tracer(telemetry.tracer());
    let _default = tracing::subscriber::set_default(Registry::default().with(layer));
    let process = telemetry.instrumentation().process(from_orders(), &headers(&[]), |_| {});
    process.in_scope(|| tracing::error!("disk on fire"));
    drop(process);
    let [span] = telemetry.ended().try_into().unwrap();
    assert_eq!(span.status, Status::error(""));
    let added = span.attributes.iter().map(|attribute| attribute.key.as_str());
    let added: Vec<_> = added.filter(|key| !key.starts_with("messaging.")).collect();
    assert_eq!(added, ["thread.id", "thread.name", "target"]);
}

#[test]
fn a_span_of_an_instrumentation_without_the_option_is_as_before() {
    let telemetry = Telemetry::new();
    let through = telemetry.instrumentation();
    let other = telemetry.builder().tracing_spans(false).build();
    let process = through.process(from_orders(), &headers(&[]), |_| {});
    process.in_scope(|| {
        let nested =
            other.process(from_orders(), &headers(&[]), |span| span.set("messaging.message.id", "m2"));
        nested.in_scope(|| tracing::info!("of the outer span"));
    });
    drop(process);
    let nested = Seen::process("orders").id(TRACE + 1, 2).link(TRACE, 1).with("messaging.message.id", "m2");
    let [inner, outer] = telemetry.ended().try_into().unwrap();
    assert_eq!(Seen::of(&inner), nested);
    assert_eq!((outer.parent_span_id, outer.events.len()), (SpanId::INVALID, 1));
}

#[test]
fn without_a_subscriber_a_context_goes_on() {
    let instrumentation =
        Instrumentation::builder("test").tracing_spans(true).propagation(propagation()).build();
    let process = instrumentation.process(from_orders(), &sent(), |_| {});
    process.in_scope(|| assert_eq!(current_span().span_id(), 8.into()));
}

#[test]
fn a_layer_without_a_provider_passes_the_context_on() {
    let telemetry = Telemetry::new();
    let outer = telemetry.outer();
    let _default = tracing::subscriber::set_default(Registry::default().with(tracing_opentelemetry::layer()));
    let process = telemetry.instrumentation().process(from_orders(), &sent(), with_ids);
    process.in_scope(|| assert_eq!(current_span().span_id(), 8.into()));
    let around = outer.clone().attach();
    let sending = telemetry.instrumentation().send(orders, &mut headers(&[]), with_ids);
    assert!(sending.context().span().is_recording(), "the span around it is current");
    sending.ended(Err(Failure::new("nack", "refused")));
    assert!(outer.span().is_recording());
    drop((around, outer));
    let [outer] = telemetry.ended().try_into().unwrap();
    assert_eq!((outer.status, outer.attributes), (Status::Unset, vec![]));
}
