//! The callbacks of a user's context: what is current in them, and what happens if they panic.

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::time::Instant;

use opentelemetry::trace::noop::NoopTracerProvider;
use opentelemetry::trace::{SpanId, TraceContextExt as _};
use opentelemetry_sdk::trace::Sampler;
use rdkafka::statistics::Statistics;

use super::*;

const LIMIT: Duration = Duration::from_secs(10);

/// A context whose callbacks panic: each delivery with its opaque, unless that is even.
#[derive(Clone, Default)]
struct Panicking {
    in_statistics: bool,
    delivered: Arc<Mutex<Vec<usize>>>,
}

impl ClientContext for Panicking {
    fn stats(&self, _: Statistics) {
        if self.in_statistics {
            resume_unwind(Box::new("statistics"));
        }
    }
}

impl ProducerContext for Panicking {
    type DeliveryOpaque = usize;

    fn delivery(&self, _: &DeliveryResult<'_>, opaque: usize) {
        self.delivered.lock().unwrap().push(opaque);
        if opaque % 2 == 1 {
            // As a panic, but without a message.
            resume_unwind(Box::new(opaque));
        }
    }
}

/// A record that no broker takes.
fn record<D: rdkafka::util::IntoOpaque>(opaque: D) -> BaseRecord<'static, (), str, D> {
    BaseRecord::with_opaque_to("orders", opaque).payload("p")
}

/// What a call panics with.
fn panic_of(call: impl FnOnce()) -> Option<Box<dyn std::any::Any + Send>> {
    catch_unwind(AssertUnwindSafe(call)).err()
}

fn spans(recorded: &Recorded) -> Vec<SpanData> {
    recorded.exporter.get_finished_spans().unwrap()
}

fn wait_for(what: impl Fn() -> bool) {
    let start = Instant::now();
    while !what() {
        assert!(start.elapsed() < LIMIT, "not within {LIMIT:?}");
        std::thread::sleep(Duration::from_millis(1));
    }
}

#[test]
fn a_delivery_callback_that_panics_loses_no_report_and_the_panic_is_polls() {
    let (recorded, context) = (recorded(|builder| builder), Panicking::default());
    let producer = recorded.kafka.base_producer_with_context(&ClientConfig::new(), context.clone()).unwrap();
    (0..10).for_each(|opaque| producer.send(record(opaque)).unwrap());
    producer.purge(PurgeConfig::default().queue());
    let panic = panic_of(|| producer.poll(Duration::from_millis(500)));
    assert_eq!(panic.unwrap().downcast_ref(), Some(&1_usize));
    assert_eq!(*context.delivered.lock().unwrap(), (0..10).collect::<Vec<_>>());
    let spans = spans(&recorded);
    assert_eq!(spans.len(), 10);
    assert!(spans.iter().all(|span| error_type(span).as_deref() == Some("_PURGE_QUEUE")), "{spans:?}");
    producer.poll(Duration::ZERO);
    producer.flush(LIMIT).unwrap();
}

#[test]
fn a_threaded_producer_goes_on_after_a_panic_and_flush_resumes_it() {
    let (recorded, context) = (recorded(|builder| builder), Panicking::default());
    let config = ClientConfig::new();
    let producer = recorded.kafka.threaded_producer_with_context(&config, context.clone()).unwrap();
    for count in [3, 6] {
        (0..3).for_each(|_| producer.send(record(1)).unwrap());
        producer.purge(PurgeConfig::default().queue());
        wait_for(|| spans(&recorded).len() == count && context.delivered.lock().unwrap().len() == count);
    }
    let panic = panic_of(|| producer.flush(LIMIT).unwrap());
    assert_eq!(panic.unwrap().downcast_ref(), Some(&1_usize));
    producer.flush(LIMIT).unwrap();
}

#[test]
fn another_callback_that_panics_does_not_end_the_producers_thread() {
    let (recorded, context) =
        (recorded(|builder| builder), Panicking { in_statistics: true, ..Panicking::default() });
    let mut config = ClientConfig::new();
    config.set("statistics.interval.ms", "1");
    let producer = recorded.kafka.threaded_producer_with_context(&config, context).unwrap();
    wait_for(|| panic_of(|| producer.poll(Duration::ZERO)).is_some());
    producer.send(record(0)).unwrap();
    producer.purge(PurgeConfig::default().queue());
    wait_for(|| spans(&recorded).len() == 1);
}

#[test]
fn a_panic_is_not_resumed_while_another_one_unwinds() {
    struct Flushing<'a>(&'a BaseProducer<Panicking>);
    impl Drop for Flushing<'_> {
        fn drop(&mut self) {
            self.0.flush(LIMIT).unwrap();
        }
    }
    let recorded = recorded(|builder| builder);
    let producer =
        recorded.kafka.base_producer_with_context(&ClientConfig::new(), Panicking::default()).unwrap();
    producer.send(record(1)).unwrap();
    producer.purge(PurgeConfig::default().queue());
    let panic = panic_of(|| {
        let _flushing = Flushing(&producer);
        resume_unwind(Box::new("another"));
    });
    assert_eq!(panic.unwrap().downcast_ref(), Some(&"another"));
    assert_eq!(spans(&recorded).len(), 1);
}

/// A context that remembers which span is current in `delivery`, and which one the message carries.
#[derive(Clone, Default)]
struct Looking(Arc<Mutex<Vec<(SpanId, SpanId)>>>);

impl ClientContext for Looking {}

impl ProducerContext for Looking {
    type DeliveryOpaque = ();

    fn delivery(&self, result: &DeliveryResult<'_>, (): ()) {
        let (Ok(message) | Err((_, message))) = result;
        let carried = crate::extract_with(&Propagation::w3c(), message);
        let ids = [Context::current(), carried].map(|cx| cx.span().span_context().span_id());
        self.0.lock().unwrap().push((ids[0], ids[1]));
    }
}

/// The span that is current in `delivery`, and the one that the message carries, of a message that is sent below `parent`.
fn looked_at(kafka: &Instrumentation, parent: &Context) -> (SpanId, SpanId) {
    let looking = Looking::default();
    let producer = kafka.base_producer_with_context(&ClientConfig::new(), looking.clone()).unwrap();
    let sending = parent.clone().attach();
    producer.send(record(())).unwrap();
    drop(sending);
    producer.purge(PurgeConfig::default().queue());
    // The caller's own span is not that of the message.
    let _polling = testing_context().attach();
    producer.flush(LIMIT).unwrap();
    let seen = looking.0.lock().unwrap();
    assert_eq!(seen.len(), 1);
    seen[0]
}

/// A context with a span that is neither the sender's nor the message's.
fn testing_context() -> Context {
    let remote = remote_context();
    let span = remote.span().span_context().clone();
    let (trace, flags, state) = (span.trace_id(), span.trace_flags(), span.trace_state().clone());
    let other = opentelemetry::trace::SpanContext::new(trace, SpanId::from(7), flags, true, state);
    Context::new().with_remote_span_context(other)
}

#[test]
fn in_a_delivery_callback_the_span_is_current_that_the_message_carries() {
    let (parent, none) = (remote_context(), Context::new());
    let propagation = Propagation::w3c();
    let builder = || Instrumentation::builder().propagation(propagation.clone()).metrics(false);
    let unsampled = SdkTracerProvider::builder().with_sampler(Sampler::AlwaysOff).build();
    let without_sdk = builder().tracer_provider(NoopTracerProvider::new()).build();
    for kafka in
        [recorded(|builder| builder).kafka, builder().tracer_provider(unsampled).build(), without_sdk.clone()]
    {
        let (current, carried) = looked_at(&kafka, &parent);
        assert_eq!(current, carried);
        assert_ne!(current, SpanId::INVALID);
    }
    let suppressed = recorded(|builder| builder).kafka;
    let (current, carried) = looked_at(&suppressed, &parent.clone().with_telemetry_suppressed());
    assert_eq!((current, carried), [parent.span().span_context().span_id(); 2].into());
    // A message without a context: not that of the one who polls.
    assert_eq!(looked_at(&without_sdk, &none), (SpanId::INVALID, SpanId::INVALID));
}
