//! What an injection and an extraction allocate beside the least that HTTP headers need, compared with `tests/measure/limits.txt`.
#![cfg(feature = "http")]

#[path = "../benches/cases/mod.rs"]
mod cases;

use carrier_measure::{Allocations, Counting};

#[global_allocator]
static ALLOCATOR: Counting = Counting;

#[test]
fn nothing_allocates_more_than_its_limit() {
    Allocations::check(cases::all);
}

/// A floor that did less would make ours look slow, and one that did more quick.
#[cfg(feature = "instrumentation")]
#[test]
fn the_span_by_hand_is_the_span_of_an_instrumentation() {
    use opentelemetry_sdk::trace::{InMemorySpanExporter, SdkTracerProvider};

    let exporter = InMemorySpanExporter::default();
    let provider = SdkTracerProvider::builder().with_simple_exporter(exporter.clone()).build();
    cases::instrumented::pairs(&provider);
    #[cfg(feature = "tracing-spans")]
    cases::traced::pairs(&provider);
    let spans = exporter.get_finished_spans().unwrap_or_default();
    let seen = spans.iter().map(|span| {
        let mut attributes: Vec<_> =
            span.attributes.iter().map(|pair| format!("{}={}", pair.key, pair.value)).collect();
        attributes.sort();
        (&span.name, &span.span_kind, span.parent_span_id, attributes, &span.links.links)
    });
    let seen: Vec<_> = seen.collect();
    assert_eq!(seen.len(), if cfg!(feature = "tracing-spans") { 8 } else { 4 });
    assert!(seen.chunks(2).all(|pair| pair[0] == pair[1]), "{seen:#?}");
}
