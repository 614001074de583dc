//! Every path through the library reads the same from the same headers, whatever their bytes.
#![cfg(feature = "http")]
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod compare;

use std::cell::RefCell;

use carrier_core::{Conflict, Propagation, Trust, W3c, w3c};
use opentelemetry::Context;
use opentelemetry::baggage::BaggageExt;
use opentelemetry::propagation::TextMapCompositePropagator;
use opentelemetry::trace::TraceContextExt;
use proptest::prelude::*;

use compare::{Raw, assert_same, install};

/// Headers for a program that installed the W3C propagator.
fn raw(pairs: &[(&str, &[u8])]) -> Raw {
    install();
    Raw(pairs.iter().map(|(name, value)| ((*name).to_owned(), value.to_vec())).collect())
}

const PARENT: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

#[test]
fn bytes_after_a_higher_version_are_no_context_on_every_path() {
    for bad in [&b"-\xff"[..], "-é".as_bytes(), b"-\x01", b"-\n"] {
        let value = [&PARENT.replacen("00", "01", 1).into_bytes(), bad].concat();
        let raw = raw(&[("traceparent", &value)]);
        assert!(!carrier_core::extract(&raw).has_active_span());
        assert_same(&raw);
    }
}

#[test]
fn a_field_name_in_another_case_is_read_and_replaced_on_every_path() {
    for name in ["Traceparent", "TRACEPARENT", "traceParent"] {
        let raw = raw(&[(name, PARENT.as_bytes()), ("TraceState", b"a=1"), ("BAGGAGE", b"k=v")]);
        let cx = carrier_core::extract(&raw);
        assert_eq!(cx.span().span_context().trace_state().header(), "a=1");
        assert_eq!((cx.has_active_span(), cx.baggage().len()), (true, 1));
        assert_same(&raw);
        let mut headers: Vec<_> = raw
            .0
            .iter()
            .map(|(name, value)| (name.clone(), String::from_utf8(value.clone()).unwrap()))
            .collect();
        let report = carrier_core::inject(&cx, &mut headers);
        assert_eq!(report.existing().map(|span| span.span_id()), Some(cx.span().span_context().span_id()));
        let names: Vec<_> = headers.iter().map(|(name, _)| &**name).collect();
        assert_eq!(names, ["traceparent", "tracestate", "baggage"]);
    }
}

#[test]
fn copies_in_different_cases_are_copies_of_one_field() {
    let other = PARENT.replace("0af7", "1af7");
    let two = raw(&[("traceparent", PARENT.as_bytes()), ("Traceparent", other.as_bytes())]);
    assert_eq!(carrier_core::inspect(&two).status().label(), "conflicting");
    let last = Propagation::builder().propagator(w3c()).conflict(Conflict::Last).build();
    assert_eq!(last.extract(&two).span().span_context().trace_id().to_string()[..1], *"1");
    assert_same(&two);
}

#[test]
#[allow(deprecated, reason = "opentelemetry-zipkin is deprecated as an exporter; its propagator is B3's")]
fn a_field_of_a_foreign_propagator_is_read_and_replaced_in_any_case() {
    let b3 = Propagation::builder().propagator(opentelemetry_zipkin::Propagator::new()).build();
    let mut sent = Vec::new();
    b3.inject(&carrier_core::extract(&raw(&[("traceparent", PARENT.as_bytes())])), &mut sent);
    for (name, _) in &mut sent {
        *name = name.to_ascii_uppercase();
    }
    let cx = b3.extract(&sent);
    assert!(cx.has_active_span(), "{sent:?}");
    let count = sent.len();
    b3.inject(&cx, &mut sent);
    assert_eq!(sent.len(), count, "{sent:?}");
}

#[test]
fn a_bad_copy_of_tracestate_is_no_tracestate_however_many_empty_ones_follow() {
    let mut copies =
        vec![("traceparent", PARENT.as_bytes()), ("tracestate", b"a=1"), ("tracestate", b"\xff")];
    copies.extend([("tracestate", &b""[..]); 63]);
    let raw = raw(&copies);
    let found = carrier_core::inspect(&raw);
    assert_eq!(found.status().label(), "malformed");
    assert_eq!(found.context().span().span_context().trace_state().header(), "");
    assert_same(&raw);
}

#[test]
fn an_accepted_baggage_value_is_sent_unchanged_however_long_its_encoding_is() {
    for value in ["=".repeat(2_731), "=".repeat(8_190), "%zz".repeat(2_700), "%FF".repeat(2_700)] {
        let text = format!("k={value}");
        let received = raw(&[("traceparent", PARENT.as_bytes()), ("baggage", text.as_bytes())]);
        assert_same(&received);
        let mut sent = std::collections::BTreeMap::new();
        let report = carrier_core::inject(&carrier_core::extract(&received), &mut sent);
        assert!(report.dropped().is_empty(), "{:?}", report.dropped());
        assert_eq!(sent["baggage"], text);
        let linked = Propagation::builder().propagator(w3c()).trust(Trust::Link).build();
        let (cx, mut sent) = (linked.extract(&received), std::collections::BTreeMap::new());
        assert!(!cx.has_active_span());
        linked.inject(&cx, &mut sent);
        assert_eq!(sent["baggage"], text);
    }
}

#[test]
fn an_extraction_in_the_destructor_of_a_thread_local_reads_the_message() {
    struct Extracts(RefCell<Option<std::sync::mpsc::Sender<bool>>>);
    impl Drop for Extracts {
        fn drop(&mut self) {
            let foreign = Propagation::builder()
                .propagator(TextMapCompositePropagator::new(vec![Box::new(W3c::trace_context())]))
                .build();
            let headers = raw(&[("traceparent", PARENT.as_bytes())]);
            let found = foreign.extract(&headers).has_active_span();
            if let Some(sender) = self.0.take() {
                let _ = sender.send(found);
            }
        }
    }
    thread_local!(static LOCAL: Extracts = const { Extracts(RefCell::new(None)) });
    let (sender, receiver) = std::sync::mpsc::channel();
    let thread = std::thread::spawn(move || {
        LOCAL.with(|local| local.0.replace(Some(sender)));
        // OpenTelemetry's own thread-local is used after ours, so its destructor runs first.
        drop(Context::new().attach());
    });
    assert_eq!(receiver.recv(), Ok(true));
    thread.join().unwrap();
}

fn any_value() -> impl Strategy<Value = Vec<u8>> {
    let near = "0[01]-[0-9a-f]{32}-[0-9a-f]{16}-0[0-3](-[ -~é]{0,3})?";
    prop_oneof![
        4 => near.prop_map(String::into_bytes),
        2 => "[a-z]=[a-z0-9=;% ]{0,6}(,[a-z]=[a-z%;]{0,4})?".prop_map(String::into_bytes),
        1 => proptest::collection::vec(any::<u8>(), 0..70),
        1 => (near, any::<u8>()).prop_map(|(text, byte)| [text.as_bytes(), &[b'-', byte]].concat()),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]
    #[test]
    fn any_bytes_are_read_the_same_on_every_path(
        headers in proptest::collection::vec(
            ("traceparent|Traceparent|tracestate|baggage|Baggage|user", any_value()), 0..6),
    ) {
        install();
        assert_same(&Raw(headers));
    }
}
