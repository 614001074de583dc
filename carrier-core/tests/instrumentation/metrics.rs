//! The metrics, instrument by instrument.

use std::time::{Duration, SystemTime};

use carrier_core::instrumentation::{Destination, Details, Failure, Incoming, Instrumentation, StartTime};
use opentelemetry::KeyValue;
use opentelemetry_sdk::trace::Sampler;

use crate::measured::{Measured, text, told};
use crate::support::{Headers, from_orders, headers, orders, sent};
use crate::telemetry::{Telemetry, assert_same_duration};

const BUCKETS: [f64; 14] = [0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0];

fn with_all(telemetry: &Telemetry) -> Instrumentation {
    let builder = telemetry.builder().server("broker", Some(9092)).consumer_group("billing");
    builder.client_id("client").settle_spans(true).build()
}

/// Every operation once, each on a partition of its own number and with an error.
fn all_operations(instrumentation: &Instrumentation) {
    let failure = || Failure::new("broken", "it is broken");
    instrumentation.send(|| orders().partition("1"), &mut headers(&[]), |_| {}).ended(Err(failure()));
    let none: Result<Option<(&Incoming, &Headers)>, _> = Err(failure());
    instrumentation.received(StartTime::now(), orders().partition("2"), none, |_| {});
    let process = instrumentation.process(Incoming::new(orders().partition("3")), &sent(), |_| {});
    process.fail(failure());
    process.settling("ack", || orders().partition("4"), |_| {}).ended(Err(failure()));
}

fn common(operation: &'static str, partition: &'static str) -> Vec<KeyValue> {
    vec![
        text("messaging.destination.name", "orders"),
        text("messaging.destination.partition.id", partition),
        text("messaging.operation.name", operation),
        text("messaging.system", "test"),
        text("server.address", "broker"),
        KeyValue::new("server.port", 9092),
    ]
}

fn and(mut attributes: Vec<KeyValue>, more: &[(&'static str, &'static str)]) -> Vec<KeyValue> {
    attributes.extend(more.iter().map(|(key, value)| text(key, value)));
    attributes
}

#[test]
fn each_instrument_has_the_attributes_of_the_conventions_and_no_others() {
    let telemetry = Telemetry::new();
    all_operations(&with_all(&telemetry));
    let failed = ("error.type", "broken");
    let group = ("messaging.consumer.group.name", "billing");
    let of_type = |operation_type| ("messaging.operation.type", operation_type);
    let operation = "messaging.client.operation.duration";
    let mut of_context = and(common("process", "3"), &[group, ("carrier.context.status", "valid")]);
    of_context.retain(|attribute| attribute.key.as_str() != "messaging.operation.name");
    let mut expected = vec![
        told("carrier.received.contexts", &of_context, 1),
        told("messaging.client.consumed.messages", &and(common("process", "3"), &[group]), 1),
        told(operation, &and(common("send", "1"), &[failed, of_type("send")]), 1),
        told(operation, &and(common("receive", "2"), &[failed, group, of_type("receive")]), 1),
        told(operation, &and(common("ack", "4"), &[failed, group, of_type("settle")]), 1),
        told("messaging.client.sent.messages", &and(common("send", "1"), &[failed]), 1),
        told("messaging.process.duration", &and(common("process", "3"), &[failed, group]), 1),
    ];
    let mut measured: Vec<_> = telemetry.measured().into_iter().map(Measured::told).collect();
    let by_all = |one: &(_, _, _)| format!("{one:?}").replace("Owned", "Static");
    expected.sort_by_key(by_all);
    measured.sort_by_key(by_all);
    assert_eq!(measured, expected);
}

#[test]
fn names_units_and_buckets_are_those_of_the_conventions() {
    let telemetry = Telemetry::new();
    let instrumentation = with_all(&telemetry);
    all_operations(&instrumentation);
    let now = SystemTime::now();
    for sent_at in [now - Duration::from_secs(60), now + Duration::from_secs(3_600)] {
        let message = from_orders().sent_at(Some(sent_at)).attempts(Some(2));
        drop(instrumentation.process(message, &sent(), |_| {}));
    }
    let mut told: Vec<_> =
        telemetry.measured().into_iter().map(|it| (it.name, it.unit, it.bounds, it.scope)).collect();
    told.dedup();
    let queue: &[f64] =
        &[0.005, 0.025, 0.1, 0.25, 0.5, 1.0, 5.0, 15.0, 60.0, 300.0, 900.0, 3_600.0, 14_400.0, 86_400.0];
    let scope = ["carrier-core", env!("CARGO_PKG_VERSION"), "https://opentelemetry.io/schemas/1.44.0"];
    let expected: [(&str, &str, &[f64]); 9] = [
        ("carrier.critical.duration", "s", queue),
        ("carrier.delivery.attempts", "{attempt}", &[1.0, 2.0, 3.0, 4.0, 5.0, 10.0, 20.0, 50.0]),
        ("carrier.queue.clock_skew", "{message}", &[]),
        ("carrier.queue.duration", "s", queue),
        ("carrier.received.contexts", "{message}", &[]),
        ("messaging.client.consumed.messages", "{message}", &[]),
        ("messaging.client.operation.duration", "s", &BUCKETS),
        ("messaging.client.sent.messages", "{message}", &[]),
        ("messaging.process.duration", "s", &BUCKETS),
    ];
    let expected = expected.map(|(name, unit, bounds)| {
        (name.to_owned(), unit.to_owned(), bounds.to_vec(), scope.map(str::to_owned))
    });
    assert_eq!(told, expected);
}

#[test]
fn a_duration_is_that_of_the_span_to_the_nanosecond() {
    let telemetry = Telemetry::new();
    let instrumentation = telemetry.instrumentation();
    drop(instrumentation.process(from_orders(), &sent(), |_| {}));
    instrumentation.send(orders, &mut headers(&[]), |_| {}).ended(Ok(()));
    let seconds: Vec<_> = telemetry
        .ended()
        .iter()
        .map(|span| span.end_time.duration_since(span.start_time).unwrap().as_secs_f64())
        .collect();
    let sum = |name| telemetry.measured_by(name)[0].sum.unwrap();
    let measured = [sum("messaging.process.duration"), sum("messaging.client.operation.duration")];
    assert_eq!(seconds.len(), 2);
    for (measured, seconds) in measured.into_iter().zip(seconds) {
        assert_same_duration(measured, seconds);
    }
}

#[test]
fn a_duration_is_measured_where_no_span_is_recorded() {
    let telemetry = Telemetry::sampled_by(Sampler::AlwaysOff);
    drop(telemetry.instrumentation().process(from_orders(), &sent(), |_| {}));
    assert!(telemetry.measured_by("messaging.process.duration")[0].sum.unwrap() > 0.0);
    assert_eq!(telemetry.measured_by("messaging.client.consumed.messages")[0].count, 1);
}

#[test]
fn switched_off_nothing_is_measured() {
    let telemetry = Telemetry::new();
    let instrumentation = telemetry.builder().metrics(false).settle_spans(true).build();
    all_operations(&instrumentation);
    assert_eq!(telemetry.measured(), []);
    assert_eq!(telemetry.ended().len(), 4);
}

#[test]
fn only_what_has_few_values_is_on_a_metric() {
    let telemetry = Telemetry::new();
    let instrumentation = telemetry.instrumentation();
    for destination in [
        Destination::new("r.1").template("r.{n}"),
        Destination::new("amq.gen-1").anonymous(),
        Destination::new("tmp").temporary(),
        Destination::new("x:key:q").on_metrics(Some("x:q")),
        Destination::none(),
    ] {
        instrumentation.send(|| destination.clone(), &mut headers(&[]), |_| {}).ended(Ok(()));
    }
    let base = || vec![text("messaging.operation.name", "send"), text("messaging.system", "test")];
    let sent = "messaging.client.sent.messages";
    let mut expected = [
        told(sent, &base(), 3),
        told(sent, &and(base(), &[("messaging.destination.name", "x:q")]), 1),
        told(sent, &and(base(), &[("messaging.destination.template", "r.{n}")]), 1),
    ];
    let mut measured: Vec<_> = telemetry.measured_by(sent).into_iter().map(Measured::told).collect();
    expected.sort_by_key(|it| it.1.len());
    measured.sort_by_key(|it| (it.1.len(), format!("{:?}", it.1.first())));
    assert_eq!(measured, expected);
}

fn queue(telemetry: &Telemetry, name: &str) -> Vec<(u64, Option<f64>)> {
    telemetry.measured_by(name).into_iter().map(|it| (it.count, it.sum)).collect()
}

#[test]
fn the_time_in_the_queue_is_measured_where_it_is_known() {
    let telemetry = Telemetry::new();
    let instrumentation = telemetry.instrumentation();
    let waited = Duration::from_secs(90);
    let before = SystemTime::now();
    drop(instrumentation.process(from_orders().sent_at(Some(before - waited)), &sent(), |_| {}));
    drop(instrumentation.process(from_orders(), &sent(), |_| {}));
    let at_most = (waited + before.elapsed().unwrap()).as_secs_f64();
    let [(1, Some(seconds))] = queue(&telemetry, "carrier.queue.duration")[..] else {
        panic!("one message has a timestamp")
    };
    assert!((90.0..=at_most).contains(&seconds), "{seconds}");
    assert_eq!(queue(&telemetry, "carrier.queue.clock_skew"), []);
    let of_span = |span: &opentelemetry_sdk::trace::SpanData| {
        span.attributes
            .iter()
            .find(|it| it.key.as_str() == "carrier.queue.duration")
            .map(|it| it.value.clone())
    };
    let on_spans: Vec<_> = telemetry.ended().iter().map(of_span).collect();
    assert_eq!(on_spans, [Some(seconds.into()), None], "the same on the span");
    let attributes = [text("messaging.destination.name", "orders"), text("messaging.system", "test")];
    let told_of = told("carrier.queue.duration", &attributes, 1);
    assert_eq!(telemetry.measured_by("carrier.queue.duration").remove(0).told(), told_of);
}

#[test]
fn a_message_from_the_future_is_counted_apart_and_not_measured() {
    let telemetry = Telemetry::new();
    let instrumentation = telemetry.instrumentation();
    let future = from_orders().sent_at(Some(SystemTime::now() + Duration::from_secs(3_600)));
    drop(instrumentation.process(future.clone(), &sent(), |_| {}));
    let batch = [(headers(&[]), future, |_: &mut Details<'_>| {})];
    drop(instrumentation.process_batch(orders(), batch, |_| {}));
    assert_eq!(queue(&telemetry, "carrier.queue.duration"), []);
    assert_eq!(queue(&telemetry, "carrier.queue.clock_skew"), [(2, None)]);
}

#[test]
fn of_a_batch_every_message_is_counted_and_the_batch_is_measured_once() {
    let telemetry = Telemetry::new();
    let hour_ago = SystemTime::now() - Duration::from_secs(3_600);
    let message = || (headers(&[]), from_orders().sent_at(Some(hour_ago)), |_: &mut Details<'_>| {});
    let counted = (headers(&[]), from_orders().already_counted(), message().2);
    let batch = [message(), message(), counted];
    drop(telemetry.instrumentation().process_batch(orders(), batch, |_| {}));
    assert_eq!(telemetry.measured_by("messaging.client.consumed.messages")[0].count, 2);
    assert_eq!(telemetry.measured_by("messaging.process.duration")[0].count, 1);
    assert_eq!(telemetry.measured_by("carrier.queue.duration")[0].count, 2);
}
