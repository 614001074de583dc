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
    fn keys(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(|(key, _)| *key)
    }

    fn get_all<'a>(&'a self, key: &str) -> impl Iterator<Item = FieldValue<'a>> {
        self.0.iter().filter(move |(name, _)| *name == key).map(|(_, value)| FieldValue::Bytes(value))
    }
}

impl TextMapCarrier for One<'_> {
    fn replace(&mut self, fields: Fields<'_>) {
        fields.into_entries().for_each(|entry| drop(black_box(entry)));
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
    fn keys(&self) -> impl Iterator<Item = &str> {
        std::iter::repeat("traceparent")
    }

    fn get_all<'a>(&'a self, _: &str) -> impl Iterator<Item = FieldValue<'a>> {
        std::iter::repeat(FieldValue::Bytes(PARENT)).inspect(|_| self.0.set(self.0.get() + 1))
    }
}

#[test]
fn of_endless_copies_a_bounded_number_is_looked_at() {
    let message = Endless(Cell::new(0));
    let _: Context = propagation().extract(&message);
    assert!(message.0.get() <= 3 * 65, "{}", message.0.get());
}
