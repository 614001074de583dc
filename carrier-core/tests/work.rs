//! The work is linear in the message, whatever it holds: headers looked at and bytes allocated are counted, not time.
#![cfg(all(feature = "testing", feature = "serde"))]
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::cell::Cell;
use std::collections::BTreeMap;

use carrier_core::{
    AsExtractor, FieldValue, Fields, FromExtractor, Propagation, StoredContext, TextMapCarrier,
    TextMapReader, testing, w3c,
};
use carrier_measure::Counting;
use opentelemetry::Context;
use opentelemetry::propagation::text_map_propagator::FieldIter;
use opentelemetry::propagation::{Extractor, Injector, TextMapCompositePropagator, TextMapPropagator};

#[global_allocator]
static ALLOCATOR: Counting = Counting;

type Pairs = Vec<(String, String)>;

/// A list that counts how many of its headers are looked at.
struct Counted {
    headers: Pairs,
    steps: Cell<usize>,
}

impl Counted {
    fn new(headers: Pairs) -> Self {
        Self { headers, steps: Cell::new(0) }
    }
}

impl TextMapReader for Counted {
    fn entries(&self) -> impl Iterator<Item = (&str, FieldValue<'_>)> {
        self.headers.entries().inspect(|_| self.steps.set(self.steps.get() + 1))
    }
}

impl TextMapCarrier for Counted {
    fn replace(&mut self, fields: &mut Fields<'_>) {
        self.steps.set(self.steps.get() + self.headers.len());
        self.headers.replace(fields);
    }
}

/// Empty copies of a field between as many other headers.
fn empty_copies(of: &str, count: usize) -> Pairs {
    let pair = |n: usize| [(of.to_owned(), String::new()), (format!("user-{n}"), "v".to_owned())];
    (0..count).flat_map(pair).collect()
}

/// Writes and reads any number of fields of its own: `declared` of them are declared, and all keys of a message are read.
#[derive(Debug)]
struct Many {
    declared: Vec<String>,
    names: Vec<String>,
}

impl Many {
    fn propagation(declared: usize, names: usize) -> Propagation {
        let name = |n: usize| format!("x-field-{n:05}");
        let many =
            Self { declared: (0..declared).map(name).collect(), names: (0..names).map(name).collect() };
        Propagation::builder().propagator(many).build()
    }
}

impl TextMapPropagator for Many {
    fn inject_context(&self, _: &Context, injector: &mut dyn Injector) {
        self.names.iter().for_each(|name| injector.set(name, "v".to_owned()));
    }

    fn extract_with_context(&self, cx: &Context, extractor: &dyn Extractor) -> Context {
        for key in extractor.keys() {
            assert!(extractor.get(key).is_some() && extractor.get_all(key).is_some(), "{key}");
        }
        cx.clone()
    }

    fn fields(&self) -> FieldIter<'_> {
        FieldIter::new(&self.declared)
    }
}

/// Writes one list.
#[derive(Debug)]
struct List(Vec<String>, usize);

impl TextMapPropagator for List {
    fn inject_context(&self, _: &Context, injector: &mut dyn Injector) {
        injector.set(&self.0[0], vec!["k=v"; self.1].join(","));
    }

    fn extract_with_context(&self, cx: &Context, _: &dyn Extractor) -> Context {
        cx.clone()
    }

    fn fields(&self) -> FieldIter<'_> {
        FieldIter::new(&self.0)
    }
}

/// Asserts that twice as much input costs at most a little more than twice as much.
#[track_caller]
fn assert_linear(what: &str, work: impl Fn(usize) -> usize) {
    let (one, two) = (work(5_000), work(10_000));
    assert!(two <= 2 * one + one / 10 + 1_000, "{what}: {one} and {two}");
}

#[test]
fn an_injection_and_an_extraction_look_at_each_header_a_few_times() {
    const COPIES: usize = 50_000;
    let ours = || Propagation::builder().propagator(w3c());
    let foreign =
        || Propagation::builder().propagator(TextMapCompositePropagator::new(vec![Box::new(w3c())]));
    for field in ["traceparent", "Tracestate", "baggage", "b3"] {
        for builder in [ours(), foreign()] {
            let propagation = builder.build();
            let mut message = Counted::new(empty_copies(field, COPIES));
            propagation.inject(&testing::remote_context(), &mut message);
            assert!(message.steps.get() <= 10 * 2 * COPIES, "{field}: {} steps", message.steps.get());
            let message = Counted::new(empty_copies(field, COPIES));
            propagation.inspect(&message);
            assert!(message.steps.get() <= 5 * 2 * COPIES, "{field}: {} steps", message.steps.get());
        }
    }
}

#[test]
fn a_propagator_that_reads_every_key_looks_at_each_header_a_few_times() {
    const HEADERS: usize = 50_000;
    let headers = || (0..HEADERS).map(|n| (format!("uberctx-{n}"), "v".to_owned())).collect();
    let propagation = Many::propagation(1, 0);
    let message = Counted::new(headers());
    propagation.extract(&message);
    assert!(message.steps.get() <= 20 * HEADERS, "{} steps", message.steps.get());
    let message = Counted::new(headers());
    propagation.extract(&FromExtractor(&AsExtractor::new(&message)));
    assert!(message.steps.get() <= 20 * HEADERS, "{} steps behind a view", message.steps.get());
}

#[test]
fn a_propagator_with_thousands_of_fields_looks_at_each_header_a_few_times() {
    for declared in [0, 8_000] {
        let propagation = Many::propagation(declared, 8_000);
        let mut message = Counted::new(empty_copies("x-field-00007", 5_000));
        message.headers.retain(|(name, _)| name.starts_with("x-field"));
        message.headers.iter_mut().for_each(|(_, value)| *value = "v".to_owned());
        let count = message.headers.len();
        let report = propagation.inject(&Context::new(), &mut message);
        assert_eq!((report.fields().len(), message.headers.len()), (8_000, 8_000));
        assert!(message.steps.get() <= 30 * count, "{declared} declared: {} steps", message.steps.get());
        let other = Counted::new((0..1_000).map(|n| (format!("user-{n}"), "v".to_owned())).collect());
        assert_eq!(propagation.inspect(&other).status().label(), "absent");
        assert!(other.steps.get() <= 25 * 1_000, "{declared} declared: {} steps", other.steps.get());
    }
}

#[test]
fn a_list_of_a_foreign_propagator_allocates_in_proportion_to_its_length() {
    for field in ["baggage", "tracestate", "x-list"] {
        assert_linear(field, |members| {
            let propagation =
                Propagation::builder().propagator(List(vec![field.to_owned()], members)).build();
            let mut headers = Pairs::new();
            Counting::during(|| propagation.inject(&testing::remote_context(), &mut headers)).1
        });
    }
}

#[test]
fn many_members_of_a_list_that_is_read_allocate_no_more_than_the_limits() {
    let propagation = Propagation::w3c();
    for field in ["tracestate", "baggage"] {
        let allocated = |members: usize| {
            let parent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
            let list =
                (0..members).map(|n| format!("k{n}={}", "=".repeat(n % 9))).collect::<Vec<_>>().join(",");
            let headers: Pairs = [("traceparent", parent), (field, &list)]
                .map(|(key, value)| (key.into(), value.into()))
                .into();
            let mut sent = Pairs::new();
            Counting::during(|| propagation.inject(&propagation.extract(&headers), &mut sent)).1
        };
        let (less, more) = (allocated(2_000), allocated(200_000));
        assert!(more <= less + less / 2, "{field}: {less} and {more} bytes");
    }
}

const MIB: usize = 1 << 20;

/// The most bytes that a text of 16 MiB may allocate.
const BOUND: usize = 8 * MIB;

#[test]
fn sixteen_mebibytes_of_properties_cost_no_more_than_the_limits() {
    let entry = "k=".to_owned() + &"\\u00e9".repeat(1_000) + "\n";
    for (what, text) in [
        ("one line", "a=".to_owned() + &"v".repeat(16 * MIB)),
        ("one name", "n".repeat(16 * MIB)),
        ("one line of escapes", "a=".to_owned() + &"\\u00e9".repeat(16 * MIB / 6)),
        ("one continued line", "a=\\\n".to_owned() + &"v\\\n".repeat(16 * MIB / 3)),
        ("short lines", (0..2 * MIB).map(|n| format!("{n}=v\n")).collect()),
        ("one name again and again", "k=v\n".repeat(4 * MIB)),
        ("one name with escapes", entry.repeat(16 * MIB / entry.len())),
        ("blank lines", "\n".repeat(16 * MIB)),
        ("comments", "# c\n".repeat(4 * MIB)),
    ] {
        let (_, bytes) = Counting::during(|| StoredContext::from_properties(&text));
        // An escaped text is decoded as UTF-16 first.
        let bound = if what.ends_with("escapes") { 4 * BOUND } else { 2 * MIB };
        assert!(bytes <= bound, "{what}: {bytes} bytes");
    }
}

#[test]
fn sixteen_mebibytes_of_every_format_cost_no_more_than_the_limits() {
    let many: BTreeMap<_, _> = (0..MIB / 2).map(|n| (format!("{n:08}"), "v".repeat(16))).collect();
    let large = BTreeMap::from([("k".to_owned(), "v".repeat(16 * MIB))]);
    let name = BTreeMap::from([("k".repeat(16 * MIB), "v".to_owned())]);
    for (what, map) in [("many entries", many), ("a large value", large), ("a large name", name)] {
        let mut cbor = Vec::new();
        ciborium::into_writer(&map, &mut cbor).unwrap();
        let json = serde_json::to_vec(&map).unwrap();
        let message_pack = rmp_serde::to_vec(&map).unwrap();
        let postcard = postcard::to_allocvec(&map).unwrap();
        let costs = [
            ("JSON", Counting::during(|| serde_json::from_slice::<StoredContext>(&json).unwrap())),
            ("CBOR", Counting::during(|| ciborium::from_reader::<StoredContext, _>(&*cbor).unwrap())),
            (
                "MessagePack",
                Counting::during(|| rmp_serde::from_slice::<StoredContext>(&message_pack).unwrap()),
            ),
            ("Postcard", Counting::during(|| postcard::from_bytes::<StoredContext>(&postcard).unwrap())),
        ];
        for (format, (_, bytes)) in costs {
            // CBOR's reader collects a text before it shows it.
            let own = if format == "CBOR" { 2 * cbor.len() } else { 0 };
            assert!(bytes <= BOUND + own, "{what} in {format}: {bytes} bytes");
        }
    }
}
