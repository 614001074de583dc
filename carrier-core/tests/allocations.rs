//! What an injection and an extraction allocate, counted; and that more in a message costs no more.
#![cfg(feature = "testing")]
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::cell::Cell;
use std::hint::black_box;

use carrier_core::{FieldValue, Fields, Propagation, TextMapCarrier, TextMapReader, testing, w3c};
use carrier_measure::Counting;
use opentelemetry::Context;
use opentelemetry::propagation::{Injector, TextMapPropagator};

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// How often, and how many bytes, `work` allocates the second time, when what is made once is there.
fn allocated<T>(mut work: impl FnMut() -> T) -> (usize, usize) {
    black_box(work());
    Counting::during(work)
}

/// One value under every key, read and written without an allocation of its own.
struct One<'a>(&'a [(&'a str, &'a [u8])]);

impl TextMapReader for One<'_> {
    fn entries(&self) -> impl Iterator<Item = (&str, FieldValue<'_>)> {
        self.0.iter().map(|(key, value)| (*key, FieldValue::Bytes(value)))
    }
}

impl TextMapCarrier for One<'_> {
    fn replace(&mut self, fields: &mut Fields<'_>) {
        fields.drain().for_each(|(key, value)| drop(black_box((key, value.take_string()))));
    }
}

struct Nowhere;

impl Injector for Nowhere {
    fn set(&mut self, key: &str, value: String) {
        black_box((key, value));
    }
}

const PARENT: &[u8] = b"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

fn propagation() -> Propagation {
    Propagation::builder().propagator(w3c()).build()
}

#[test]
fn the_propagator_allocates_the_string_that_the_injector_takes_and_no_more() {
    let (propagator, cx) = (w3c(), testing::remote_context());
    assert_eq!(allocated(|| propagator.inject_context(&cx, &mut Nowhere)).0, 1);
}

#[test]
fn an_injection_allocates_the_value_and_no_more() {
    let (propagation, cx) = (propagation(), testing::remote_context());
    assert_eq!(allocated(|| propagation.inject(&cx, &mut One(&[]))).0, 1);
}

#[test]
fn an_injection_into_a_carrier_of_bytes_allocates_nothing() {
    struct Bytes;
    impl TextMapReader for Bytes {
        fn entries(&self) -> impl Iterator<Item = (&str, FieldValue<'_>)> {
            std::iter::empty()
        }
    }
    impl TextMapCarrier for Bytes {
        fn replace(&mut self, fields: &mut Fields<'_>) {
            fields.drain().for_each(|entry| assert_eq!(black_box(entry).1.as_bytes().len(), 55));
        }
    }
    let (propagation, cx) = (propagation(), testing::remote_context());
    assert_eq!(allocated(|| propagation.inject(&cx, &mut Bytes)).0, 0);
}

#[test]
fn an_extraction_allocates_the_span_of_the_context_and_no_more() {
    let propagation = propagation();
    let message = [("traceparent", PARENT)];
    assert_eq!(allocated(|| propagation.extract(&One(&message))).0, 1);
}

#[test]
fn an_extraction_of_nothing_allocates_nothing() {
    let propagation = propagation();
    assert_eq!(allocated(|| propagation.extract(&One(&[("user", b"1")]))).0, 0);
    assert_eq!(allocated(|| propagation.extract(&One(&[("traceparent", b"bad")]))).0, 0);
}

#[test]
fn a_mebibyte_allocates_no_more_than_ten_kibibytes() {
    let propagation = propagation();
    for field in ["traceparent", "tracestate", "baggage"] {
        let bytes = |length: usize| {
            let value = b"k=vvvvvvvvvvvv,".repeat(length / 15);
            let message = [("traceparent", PARENT), (field, &*value)];
            allocated(|| propagation.extract(&One(&message))).1
        };
        let (less, more) = (bytes(10 << 10), bytes(1 << 20));
        // A list is read up to its limit, which is above ten kibibytes for tracestate alone.
        assert!(more <= less * 2, "{field}: {less} and {more} bytes");
    }
}

/// As many copies of every key as one asks for; counts how many were looked at.
struct Endless(Cell<usize>);

impl TextMapReader for Endless {
    fn entries(&self) -> impl Iterator<Item = (&str, FieldValue<'_>)> {
        let fields = ["traceparent", "tracestate", "baggage"].into_iter().cycle();
        fields.map(|name| (name, FieldValue::Bytes(PARENT))).inspect(|_| self.0.set(self.0.get() + 1))
    }
}

#[test]
fn of_endless_copies_a_bounded_number_is_looked_at() {
    let message = Endless(Cell::new(0));
    let _: Context = propagation().extract(&message);
    // Three fields of 64 copies, each read alone: every third header is a copy of it.
    assert!(message.0.get() <= 3 * 3 * 65, "{}", message.0.get());
}

/// Level 2 where a trace is not recorded: with metrics off, what is left is what the sampler is asked with.
#[cfg(feature = "instrumentation")]
mod unsampled {
    use carrier_core::instrumentation::{Destination, Details, Incoming, Instrumentation};
    use opentelemetry::KeyValue;
    use opentelemetry::trace::{SpanKind, TraceContextExt as _, Tracer as _, TracerProvider as _};
    use opentelemetry_sdk::trace::{Sampler, SdkTracerProvider};

    use super::*;

    fn provider() -> SdkTracerProvider {
        SdkTracerProvider::builder().with_sampler(Sampler::AlwaysOff).build()
    }

    fn instrumentation() -> Instrumentation {
        let builder = Instrumentation::builder("test").tracer_provider(provider()).metrics(false);
        builder.propagation(propagation()).server("broker", Some(5672)).consumer_group("billing").build()
    }

    fn orders() -> Destination {
        Destination::new("orders").partition("3")
    }

    const SENT: [(&str, &[u8]); 1] = [("traceparent", PARENT)];

    #[test]
    fn a_send_allocates_its_name_its_attributes_its_context_and_the_header() {
        let instrumentation = instrumentation();
        let send = || instrumentation.send(orders, &mut One(&[]), |_| {}).ended(Ok(()));
        assert_eq!(allocated(send).0, 4);
    }

    #[test]
    fn a_send_allocates_no_more_than_the_same_span_by_hand() {
        let (instrumentation, propagation) = (instrumentation(), propagation());
        let tracer = provider().tracer("by hand");
        let by_hand = || {
            let builder = tracer.span_builder(format!("send {}", "orders")).with_kind(SpanKind::Producer);
            let attributes = vec![
                KeyValue::new("messaging.system", "test"),
                KeyValue::new("messaging.destination.name", "orders"),
            ];
            let cx = Context::current_with_span(builder.with_attributes(attributes).start(&tracer));
            propagation.inject(&cx, &mut One(&[]));
        };
        let send = || instrumentation.send(orders, &mut One(&[]), |_| {}).ended(Ok(()));
        assert!(allocated(send).0 <= allocated(by_hand).0);
    }

    #[test]
    fn a_process_allocates_both_contexts_its_name_and_its_attributes() {
        let instrumentation = instrumentation();
        let process = || drop(instrumentation.process(Incoming::new(orders()), &One(&SENT), |_| {}));
        assert_eq!(allocated(process).0, 4);
    }

    #[test]
    fn a_skipped_span_allocates_nothing_beside_what_carries_the_context() {
        let builder = Instrumentation::builder("test").tracer_provider(provider()).metrics(false);
        let instrumentation = builder.propagation(propagation()).skip_unsampled(true).build();
        let unsampled: [(&str, &[u8]); 1] =
            [("traceparent", b"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00")];
        let process = || instrumentation.process(Incoming::new(orders()), &One(&unsampled), |_| {});
        assert_eq!(allocated(process).0, 1, "the sender's span");
        let _current = process().context().clone().attach();
        let send = || instrumentation.send(orders, &mut One(&[]), |_| {}).ended(Ok(()));
        assert_eq!(allocated(send).0, 1, "the header");
    }

    #[test]
    fn where_telemetry_is_suppressed_nothing_is_built() {
        let instrumentation = instrumentation();
        let _suppressed = testing::remote_context().with_telemetry_suppressed().attach();
        let send = || instrumentation.send(orders, &mut One(&[]), |_| {}).ended(Ok(()));
        assert_eq!(allocated(send).0, 1, "the header");
        let process = || instrumentation.process(Incoming::new(orders()), &One(&SENT), |_| {});
        assert_eq!(allocated(process).0, 1, "the sender's span");
    }

    #[test]
    fn without_an_sdk_no_span_is_made_up() {
        let noop = opentelemetry::trace::noop::NoopTracerProvider::new();
        let builder = Instrumentation::builder("test").tracer_provider(noop).metrics(false);
        let instrumentation = builder.propagation(propagation()).build();
        let _current = testing::remote_context().attach();
        let send = || instrumentation.send(orders, &mut One(&[]), |_| {}).ended(Ok(()));
        assert_eq!(allocated(send).0, 3, "name, attributes, header");
    }

    #[test]
    fn a_tracestate_is_copied_for_the_samplers_answer_and_the_span() {
        let instrumentation = instrumentation();
        let of = |message: &[(&str, &[u8])]| {
            allocated(|| drop(instrumentation.process(Incoming::new(orders()), &One(message), |_| {}))).0
        };
        let parse = |message: &[(&str, &[u8])]| allocated(|| propagation().extract(&One(message))).0;
        let (without, with) = (&SENT[..], [SENT[0], ("tracestate", b"a=1,b=2")]);
        // One copy is a list and two strings for each of its members.
        let copies = (of(&with) - of(without) - (parse(&with) - parse(without))) / 5;
        assert_eq!(copies, 2);
    }

    #[test]
    fn the_messages_of_a_batch_are_measured_with_one_list_of_attributes() {
        let builder = Instrumentation::builder("test").tracer_provider(provider());
        let meters = opentelemetry_sdk::metrics::SdkMeterProvider::default();
        let instrumentation = builder.propagation(propagation()).meter_provider(meters).build();
        let sent_at = Some(std::time::UNIX_EPOCH);
        let of = |count: usize| {
            let message =
                || (One(&[]), Incoming::new(Destination::none()).sent_at(sent_at), |_: &mut Details<'_>| {});
            let messages = || std::iter::repeat_with(message).take(count);
            allocated(|| instrumentation.process_batch(orders(), messages(), |_| {})).0
        };
        assert_eq!(of(10), of(100));
    }
}
