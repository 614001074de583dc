//! Other propagators through the same functions: B3 from its published crate, Jaeger written here, since the published one
//! is for another line of OpenTelemetry.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
#![allow(deprecated, reason = "the crate is, for its exporter; its propagator is what services have")]

use std::sync::LazyLock;

use carrier_core::{InjectionOutcome, Propagation, Trust};
use opentelemetry::Context;
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
