//! What operators see: lost contexts, critical time, attempts, and the trace that a measurement belongs to.

use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use carrier_core::Propagation;
use carrier_core::instrumentation::{Details, Failure, Incoming, Instrumentation, StartTime};
use opentelemetry::metrics::{
    Counter, Histogram, HistogramBuilder, InstrumentBuilder, InstrumentProvider, Meter, MeterProvider,
    SyncInstrument,
};
use opentelemetry::trace::{SpanContext, TraceContextExt as _};
use opentelemetry::{InstrumentationScope, KeyValue};
use opentelemetry_sdk::propagation::TraceContextPropagator;
use opentelemetry_sdk::trace::Sampler;

use crate::support::{Headers, current_span, from_orders, headers, orders, sent, traceparent};
use crate::telemetry::Telemetry;

const CONTEXTS: &str = "carrier.received.contexts";

/// Each status of one instrument, with its count.
fn statuses(telemetry: &Telemetry) -> Vec<(String, u64)> {
    let status = |attributes: &[(String, opentelemetry::Value)]| {
        let found = attributes.iter().find(|(key, _)| key == "carrier.context.status");
        found.unwrap().1.to_string()
    };
    let measured = telemetry.measured_by(CONTEXTS).into_iter();
    let mut statuses: Vec<_> = measured.map(|it| (status(&it.attributes), it.count)).collect();
    statuses.sort();
    statuses
}

fn expected(statuses: &[(&str, u64)]) -> Vec<(String, u64)> {
    statuses.iter().map(|(status, count)| ((*status).to_owned(), *count)).collect()
}

/// A message of each kind.
fn each() -> [Headers; 6] {
    let long = "k=v,".repeat(20_000);
    [
        sent(),
        headers(&[]),
        headers(&[("traceparent", "nonsense")]),
        headers(&[("traceparent", &traceparent(7, 8, 1)), ("traceparent", &traceparent(9, 10, 1))]),
        headers(&[("traceparent", &traceparent(7, 8, 1)), ("baggage", &long)]),
        headers(&[("traceparent", "")]),
    ]
}

const STATUSES: [(&str, u64); 5] =
    [("absent", 2), ("conflicting", 1), ("malformed", 1), ("over_limit", 1), ("valid", 1)];

#[test]
fn each_received_message_is_counted_by_what_was_found_of_its_context() {
    let telemetry = Telemetry::sampled_by(Sampler::AlwaysOff);
    let instrumentation = telemetry.instrumentation();
    for message in each() {
        drop(instrumentation.process(from_orders(), &message, |_| {}));
    }
    assert_eq!(statuses(&telemetry), expected(&STATUSES));
}

#[test]
fn the_messages_of_a_batch_are_counted_one_by_one() {
    let telemetry = Telemetry::new();
    let instrumentation = telemetry.instrumentation();
    let messages = each().map(|message| (message, from_orders(), |_: &mut Details<'_>| {}));
    drop(instrumentation.process_batch(orders(), messages, |_| {}));
    assert_eq!(statuses(&telemetry), expected(&STATUSES));
}

#[test]
fn a_message_that_was_asked_for_is_counted_there_and_not_again() {
    let telemetry = Telemetry::new();
    let instrumentation = telemetry.instrumentation();
    let message = headers(&[]);
    instrumentation.received(StartTime::now(), orders(), Ok(Some((&from_orders(), &message))), |_| {});
    drop(instrumentation.process(from_orders().already_counted(), &message, |_| {}));
    assert_eq!(statuses(&telemetry), expected(&[("absent", 1)]));
}

#[test]
fn a_foreign_propagator_that_finds_nothing_is_looked_at_more_closely() {
    let telemetry = Telemetry::new();
    let foreign = Propagation::builder().propagator(TraceContextPropagator::new()).build();
    let instrumentation = telemetry.builder().propagation(foreign).build();
    for message in each() {
        drop(instrumentation.process(from_orders(), &message, |_| {}));
    }
    // It does not read baggage, so a long one is no fault.
    let all = [("absent", 2), ("conflicting", 1), ("malformed", 1), ("valid", 2)];
    assert_eq!(statuses(&telemetry), expected(&all));
}

#[test]
fn a_context_that_is_not_trusted_is_counted_as_what_it_is() {
    let telemetry = Telemetry::new();
    for trust in [carrier_core::Trust::Link, carrier_core::Trust::Ignore] {
        let wary = Propagation::builder().propagator(carrier_core::w3c()).trust(trust).build();
        drop(telemetry.builder().propagation(wary).build().process(from_orders(), &sent(), |_| {}));
    }
    assert_eq!(statuses(&telemetry), expected(&[("valid", 2)]));
}

#[test]
fn the_critical_time_is_from_the_timestamp_to_the_end_of_a_successful_handler() {
    let telemetry = Telemetry::new();
    let instrumentation = telemetry.instrumentation();
    let minute_ago = || from_orders().sent_at(Some(SystemTime::now() - Duration::from_secs(60)));
    let process = instrumentation.process(minute_ago(), &sent(), |_| {});
    std::thread::sleep(Duration::from_millis(20));
    drop(process);
    let failed = instrumentation.process(minute_ago(), &sent(), |_| {});
    failed.fail(Failure::new("broken", ""));
    drop(failed);
    drop(instrumentation.process(from_orders(), &sent(), |_| {}));
    let sum = |name: &str| telemetry.measured_by(name).iter().map(|it| it.sum.unwrap()).sum::<f64>();
    let [critical] = telemetry.measured_by("carrier.critical.duration").try_into().unwrap();
    assert_eq!(critical.count, 1);
    let took = sum("messaging.process.duration");
    let waited = sum("carrier.queue.duration") / 2.0;
    assert!(critical.sum.unwrap() >= waited.min(60.0) && critical.sum.unwrap() > 60.02, "{critical:?}");
    assert!(critical.sum.unwrap() <= 60.0 + took + 5.0, "{critical:?}");
}

#[test]
fn each_message_of_a_batch_has_a_critical_time() {
    let telemetry = Telemetry::new();
    let old = || Some(SystemTime::now() - Duration::from_secs(1));
    let messages = || (sent(), from_orders().sent_at(old()), |_: &mut Details<'_>| {});
    drop(telemetry.instrumentation().process_batch(orders(), [messages(), messages()], |_| {}));
    let [critical] = telemetry.measured_by("carrier.critical.duration").try_into().unwrap();
    assert_eq!(critical.count, 2);
}

#[test]
fn attempts_are_measured_if_the_broker_counts_them() {
    let telemetry = Telemetry::new();
    let instrumentation = telemetry.instrumentation();
    for attempts in [None, Some(1), Some(3)] {
        drop(instrumentation.process(from_orders().attempts(attempts), &sent(), |_| {}));
    }
    let [attempts] = telemetry.measured_by("carrier.delivery.attempts").try_into().unwrap();
    assert_eq!((attempts.count, attempts.sum), (2, Some(4.0)));
}

/// A meter whose instruments remember which span was current when they were used.
#[derive(Default, Clone)]
struct Watching(Arc<Mutex<Vec<SpanContext>>>);

impl<T> SyncInstrument<T> for Watching {
    fn measure(&self, _: T, _: &[KeyValue]) {
        self.0.lock().unwrap().push(current_span());
    }
}

impl InstrumentProvider for Watching {
    fn u64_counter(&self, _: InstrumentBuilder<'_, Counter<u64>>) -> Counter<u64> {
        Counter::new(Arc::new(self.clone()))
    }

    fn f64_histogram(&self, _: HistogramBuilder<'_, Histogram<f64>>) -> Histogram<f64> {
        Histogram::new(Arc::new(self.clone()))
    }

    fn u64_histogram(&self, _: HistogramBuilder<'_, Histogram<u64>>) -> Histogram<u64> {
        Histogram::new(Arc::new(self.clone()))
    }
}

impl MeterProvider for Watching {
    fn meter_with_scope(&self, _: InstrumentationScope) -> Meter {
        Meter::new(Arc::new(self.clone()))
    }
}

/// For exemplars, which have the trace of the current span.
#[test]
fn everything_is_recorded_inside_of_the_operations_context() {
    let (telemetry, watching) = (Telemetry::new(), Watching::default());
    let instrumentation: Instrumentation = telemetry.builder().meter_provider(watching.clone()).build();
    let sending = instrumentation.send(orders, &mut headers(&[]), |_| {});
    let of_send = sending.context().span().span_context().clone();
    sending.ended(Ok(()));
    let message = Incoming::new(orders()).sent_at(Some(SystemTime::UNIX_EPOCH)).attempts(Some(1));
    let process = instrumentation.process(message, &sent(), |_| {});
    let of_process = process.context().span().span_context().clone();
    drop(process);
    let seen = watching.0.lock().unwrap().clone();
    // Duration and count; time in the queue, attempts, consumed, contexts, duration, critical time.
    let (sent, processed) = seen.split_at(2);
    assert!(sent.iter().all(|span| *span == of_send), "{sent:?}");
    assert!(processed.len() == 6 && processed.iter().all(|span| *span == of_process), "{processed:?}");
}
