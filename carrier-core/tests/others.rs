//! Other propagators through the same functions: B3 from its published crate, Jaeger written here, since the published one
//! is for another line of OpenTelemetry.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
#![allow(deprecated, reason = "the crate is, for its exporter; its propagator is what services have")]

use std::sync::LazyLock;

use carrier_core::{Formats, InjectionOutcome, Propagation, Renamed, Trust, w3c};
use opentelemetry::Context;
use opentelemetry::baggage::BaggageExt;
use opentelemetry::propagation::text_map_propagator::FieldIter;
use opentelemetry::propagation::{Extractor, Injector, TextMapPropagator};
use opentelemetry::trace::{SpanContext, SpanId, TraceContextExt, TraceFlags, TraceId};
use opentelemetry_zipkin::{B3Encoding, Propagator};

type Headers = Vec<(String, String)>;

fn context() -> Context {
    let (trace, span) = (0x0af7_6519_16cd_43dd_8448_eb21_1c80_319c_u128, 0xb7ad_6b71_6920_3331_u64);
    let span = SpanContext::new(trace.into(), span.into(), TraceFlags::SAMPLED, true, Default::default());
    Context::new().with_remote_span_context(span)
}

fn sent(propagation: &Propagation, headers: &mut Headers) -> Vec<String> {
    assert_eq!(propagation.inject(&context(), headers).outcome(), InjectionOutcome::Written);
    headers.iter().map(|(key, value)| format!("{key}: {value}")).collect()
}

/// What was sent is received, and a bad value is no context and says so.
fn goes_round(propagation: &Propagation, headers: &Headers, field: &str) {
    let received = propagation.inspect(headers);
    assert_eq!(
        received.context().span().span_context().trace_id(),
        context().span().span_context().trace_id()
    );
    assert_eq!(received.status().label(), "valid");
    let bad = vec![(field.to_owned(), "bad".to_owned())];
    let found = propagation.inspect(&bad);
    assert!(!found.context().has_active_span());
    assert_eq!((found.status().label(), found.status().field()), ("malformed", Some(field)));
    let absent = propagation.inspect(&Headers::new());
    assert_eq!(absent.status().label(), "absent");
}

#[test]
fn b3_in_one_header_goes_round_and_replaces_the_old_one() {
    let b3 = Propagator::with_encoding(B3Encoding::SingleHeader);
    let propagation = Propagation::builder().propagator(b3).build();
    let mut headers = vec![("b3".to_owned(), "old".to_owned()), ("b3".to_owned(), "older".to_owned())];
    let lines = sent(&propagation, &mut headers);
    // That crate writes the several headers as well.
    let b3: Vec<_> = lines.iter().filter(|line| line.starts_with("b3:")).collect();
    assert_eq!(b3, ["b3: 0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-1"]);
    goes_round(&propagation, &headers, "b3");
}

#[test]
fn b3_in_several_headers_goes_round() {
    let b3 = Propagator::with_encoding(B3Encoding::MultipleHeader);
    let propagation = Propagation::builder().propagator(b3).build();
    let mut headers = Headers::new();
    let mut lines = sent(&propagation, &mut headers);
    lines.sort();
    let expected = [
        "x-b3-sampled: 1",
        "x-b3-spanid: b7ad6b7169203331",
        "x-b3-traceid: 0af7651916cd43dd8448eb211c80319c",
    ];
    assert_eq!(lines, expected);
    goes_round(&propagation, &headers, "x-b3-traceid");
}

#[test]
fn trust_works_with_b3() {
    let b3 = Propagator::with_encoding(B3Encoding::SingleHeader);
    let propagation = Propagation::builder().propagator(b3).trust(Trust::Link).build();
    let mut headers = Headers::new();
    sent(&propagation, &mut headers);
    let found = propagation.inspect(&headers);
    assert!(!found.context().has_active_span());
    assert_eq!(&found.links()[0], context().span().span_context());
}

/// The parts of Jaeger's format that a message needs: `{trace-id}:{span-id}:{parent-span-id}:{flags}`.
#[derive(Debug)]
struct Jaeger;

const UBER: &str = "uber-trace-id";
static FIELDS: LazyLock<[String; 1]> = LazyLock::new(|| [UBER.to_owned()]);

impl TextMapPropagator for Jaeger {
    fn inject_context(&self, cx: &Context, injector: &mut dyn Injector) {
        let span = cx.span();
        let span = span.span_context();
        let (trace, id, flags) = (span.trace_id(), span.span_id(), span.trace_flags().to_u8());
        injector.set(UBER, format!("{trace}:{id}:0:{flags:x}"));
    }

    fn extract_with_context(&self, cx: &Context, extractor: &dyn Extractor) -> Context {
        let parse = |text: &str| {
            let mut parts = text.split(':');
            let trace = TraceId::from_hex(parts.next()?).ok()?;
            let span = SpanId::from_hex(parts.next()?).ok()?;
            let flags = u8::from_str_radix(parts.nth(1)?, 16).ok()?;
            Some(SpanContext::new(trace, span, TraceFlags::new(flags), true, Default::default()))
        };
        extractor
            .get(UBER)
            .and_then(parse)
            .map_or_else(|| cx.clone(), |span| cx.with_remote_span_context(span))
    }

    fn fields(&self) -> FieldIter<'_> {
        FieldIter::new(&*FIELDS)
    }
}

#[test]
fn jaegers_format_goes_round() {
    let propagation = Propagation::builder().propagator(Jaeger).build();
    let mut headers = Headers::new();
    let expected = "uber-trace-id: 0af7651916cd43dd8448eb211c80319c:b7ad6b7169203331:0:1";
    assert_eq!(sent(&propagation, &mut headers), [expected]);
    goes_round(&propagation, &headers, UBER);
}

const TRACEPARENT: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
const OTHER: &str = "00-1af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

fn pairs(pairs: &[(&str, &str)]) -> Headers {
    pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

/// W3C is written; B3 and Jaeger's format are read too.
fn migration() -> Propagation {
    let b3 = Propagator::with_encoding(B3Encoding::SingleAndMultiHeader);
    Propagation::builder().propagator(Formats::writing(w3c()).reading(b3).reading(Jaeger)).build()
}

#[test]
fn of_several_formats_each_is_read() {
    for headers in [
        pairs(&[("traceparent", TRACEPARENT)]),
        pairs(&[("b3", "0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-1")]),
        pairs(&[
            ("X-B3-TraceId", "0af7651916cd43dd8448eb211c80319c"),
            ("X-B3-SpanId", "b7ad6b7169203331"),
            ("X-B3-Sampled", "1"),
        ]),
        pairs(&[("uber-trace-id", "0af7651916cd43dd8448eb211c80319c:b7ad6b7169203331:0:1")]),
    ] {
        let found = migration().inspect(&headers);
        assert_eq!(found.status().label(), "valid", "{headers:?}");
        assert_eq!(found.context().span().span_context(), context().span().span_context(), "{headers:?}");
    }
    assert_eq!(migration().inspect(&Headers::new()).status().label(), "absent");
}

#[test]
fn the_format_that_is_written_is_read_first() {
    let other = ("b3", "1af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-1");
    let both = pairs(&[other, ("traceparent", TRACEPARENT)]);
    assert_eq!(migration().extract(&both).span().span_context(), context().span().span_context());
    let bad = migration().inspect(&pairs(&[other, ("traceparent", "bad"), ("baggage", "k=v")]));
    assert_eq!((bad.status().label(), bad.status().field()), ("malformed", Some("traceparent")));
    assert_eq!(bad.context().span().span_context().trace_id().to_string()[..1], *"1");
    assert_eq!(bad.context().baggage().len(), 1);
}

#[test]
fn of_several_formats_one_is_written_and_old_headers_of_all_go() {
    let mut headers = pairs(&[
        ("b3", "1af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-1"),
        ("X-B3-TraceId", "old"),
        ("uber-trace-id", "old"),
        ("user", "u"),
    ]);
    let report = migration().inject(&context(), &mut headers);
    assert_eq!(
        report.existing().map(|span| span.trace_id().to_string()[..1].to_owned()),
        Some("1".to_owned())
    );
    assert_eq!(headers, pairs(&[("user", "u"), ("traceparent", TRACEPARENT)]));
}

#[test]
fn flags_of_another_format_are_not_taken_for_w3cs() {
    // Without a sampling decision that propagator sets the bit that is W3C's random flag.
    let cx = migration().extract(&pairs(&[("b3", "0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331")]));
    let mut sent = Headers::new();
    migration().inject(&cx, &mut sent);
    assert_eq!(sent, pairs(&[("traceparent", &TRACEPARENT.replace("-01", "-00"))]));
}

#[test]
fn trust_and_existing_contexts_work_with_several_formats() {
    let formats = || Formats::writing(w3c()).reading(Propagator::with_encoding(B3Encoding::SingleHeader));
    let b3 = pairs(&[("b3", "0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-1")]);
    let linked = Propagation::builder().propagator(formats()).trust(Trust::Link).build().inspect(&b3);
    assert!(!linked.context().has_active_span());
    assert_eq!(&linked.links()[0], context().span().span_context());
    let keep = Propagation::builder().propagator(formats()).existing(carrier_core::Existing::Keep).build();
    let mut kept = b3.clone();
    assert_eq!(keep.inject(&context(), &mut kept).outcome(), InjectionOutcome::Kept);
    assert_eq!(kept, b3);
}

#[test]
fn headers_with_other_names_go_round_and_the_usual_names_are_not_theirs() {
    let renamed = || Renamed::new(w3c(), |name| format!("x-{name}"));
    let propagation = Propagation::builder().propagator(renamed()).build();
    let mut headers = pairs(&[("X-TraceParent", OTHER), ("traceparent", OTHER)]);
    let value = "v".repeat(8_000);
    let cx = context().with_baggage([opentelemetry::KeyValue::new("k", value.clone())]);
    propagation.inject(&cx, &mut headers);
    let baggage = format!("k={value}");
    let expected = [("traceparent", OTHER), ("x-traceparent", TRACEPARENT), ("x-baggage", &baggage)];
    assert_eq!(headers, pairs(&expected));
    let found = propagation.inspect(&headers);
    assert_eq!(found.status().label(), "valid");
    assert_eq!(found.context().span().span_context(), context().span().span_context());
    assert_eq!(found.context().baggage().get("k").map(ToString::to_string), Some(value));
    let bad = propagation.inspect(&pairs(&[("x-traceparent", &TRACEPARENT[..54])]));
    assert_eq!((bad.status().label(), bad.status().field()), ("malformed", Some("x-traceparent")));
    let two = pairs(&[("x-traceparent", TRACEPARENT), ("x-traceparent", OTHER)]);
    assert!(!propagation.extract(&two).has_active_span());
    // As one of several formats: the migration from the one name to the other.
    let formats = Formats::writing(w3c()).reading(renamed());
    let migration = Propagation::builder().propagator(formats).build();
    assert!(migration.extract(&pairs(&[("x-traceparent", TRACEPARENT)])).has_active_span());
}

#[test]
fn a_propagator_that_lists_keys_finds_its_fields_under_other_names() {
    #[derive(Debug)]
    struct Lists;
    impl TextMapPropagator for Lists {
        fn inject_context(&self, _: &Context, _: &mut dyn Injector) {}

        fn extract_with_context(&self, cx: &Context, extractor: &dyn Extractor) -> Context {
            assert_eq!(extractor.keys(), [UBER]);
            cx.clone()
        }

        fn fields(&self) -> FieldIter<'_> {
            FieldIter::new(&*FIELDS)
        }
    }
    let renamed = Renamed::new(Lists, |name| format!("x-{name}"));
    Propagation::builder()
        .propagator(renamed)
        .build()
        .extract(&pairs(&[("x-uber-trace-id", "1"), ("a", "b")]));
}
