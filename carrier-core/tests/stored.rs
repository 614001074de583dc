//! Stored contexts: round trips through formats of every kind, and what a hostile row can do.
#![cfg(feature = "serde")]
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
#![allow(deprecated, reason = "the crate of the B3 propagator is, for its exporter")]

use std::collections::BTreeMap;

use carrier_core::{Budget, FieldNames, Propagation, StoredContext, TextMapReader, w3c};
use ciborium::Value as Cbor;
use opentelemetry::baggage::BaggageExt;
use opentelemetry::trace::{SpanContext, TraceContextExt, TraceFlags, TraceState, Tracer, TracerProvider};
use opentelemetry::{Context, KeyValue};
use opentelemetry_sdk::trace::SdkTracerProvider;
use proptest::collection::{btree_map, hash_map, vec};
use proptest::prelude::*;
use serde::{Deserialize, Serialize};
use serde_json::{Value as Json, json};

const PARENT: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

fn ours() -> Propagation {
    Propagation::builder().propagator(w3c()).build()
}

fn capture(propagation: &Propagation, cx: &Context) -> StoredContext {
    let mut stored = StoredContext::default();
    propagation.inject(cx, &mut stored);
    stored
}

fn json(value: Json) -> StoredContext {
    serde_json::from_str(&value.to_string()).unwrap()
}

fn to_cbor(value: &impl Serialize) -> Vec<u8> {
    let mut bytes = Vec::new();
    ciborium::into_writer(value, &mut bytes).unwrap();
    bytes
}

/// A CBOR value through CBOR, and through MessagePack.
fn binary(value: &Cbor) -> [StoredContext; 2] {
    let message_pack = rmp_serde::to_vec(value).unwrap();
    [ciborium::from_reader(&*to_cbor(value)).unwrap(), rmp_serde::from_slice(&message_pack).unwrap()]
}

/// What comes back from every format: two for people, two that describe their values, one that does not, properties.
fn from_every_format(stored: &StoredContext) -> [(&'static str, StoredContext); 6] {
    let cbor = to_cbor(stored);
    let message_pack = rmp_serde::to_vec(stored).unwrap();
    let postcard = postcard::to_allocvec(stored).unwrap();
    [
        ("JSON", serde_json::from_str(&serde_json::to_string(stored).unwrap()).unwrap()),
        ("a JSON value", serde_json::from_value(serde_json::to_value(stored).unwrap()).unwrap()),
        ("CBOR", ciborium::from_reader(&*cbor).unwrap()),
        ("MessagePack", rmp_serde::from_slice(&message_pack).unwrap()),
        ("Postcard", postcard::from_bytes(&postcard).unwrap()),
        ("properties", StoredContext::from_properties(&stored.to_properties())),
    ]
}

#[test]
fn it_is_a_flat_map_sorted_by_name() {
    let stored = json(json!({ "traceparent": PARENT, "baggage": "k=v" }));
    let text = format!(r#"{{"baggage":"k=v","traceparent":"{PARENT}"}}"#);
    assert_eq!(serde_json::to_string(&stored).unwrap(), text);
    let cx = ours().extract(&stored);
    assert_eq!(capture(&ours(), &cx), stored);
}

#[test]
fn a_trace_context_alone_is_one_line_of_properties() {
    let stored = json(json!({ "traceparent": PARENT }));
    assert_eq!(stored.to_properties(), format!("traceparent={PARENT}"));
}

#[test]
fn nothing_to_carry_is_nothing_stored() {
    let stored = StoredContext::capture(&Context::new());
    assert!(stored.is_empty());
    assert_eq!(stored, StoredContext::default());
    assert_eq!(stored.to_properties(), "");
    for (format, read) in from_every_format(&stored) {
        assert_eq!(read, stored, "{format}");
        assert!(!read.extract().has_active_span(), "{format}");
    }
}

#[test]
fn what_was_current_when_the_row_was_written_goes_on_and_not_what_is_when_it_is_relayed() {
    let tracer = SdkTracerProvider::builder().build().tracer("test");
    let trace_of = |cx: &Context| cx.span().span_context().trace_id();
    let (row, order) = {
        let order = Context::new().with_span(tracer.start_with_context("order", &Context::new()));
        let _order = order.clone().attach();
        let row = serde_json::to_string(&StoredContext::capture(&Context::current())).unwrap();
        order.span().end();
        (row, order)
    };

    let relay = Context::new().with_span(tracer.start_with_context("relay", &Context::new()));
    let _relay = relay.clone().attach();
    let stored: StoredContext = serde_json::from_str(&row).unwrap();
    let cx = stored.extract();
    assert_eq!(cx.span().span_context().span_id(), order.span().span_context().span_id());
    let send = cx.with_span(tracer.start_with_context("send", &cx));
    assert_eq!(trace_of(&send), trace_of(&order));
    assert_ne!(trace_of(&send), trace_of(&relay));
}

#[test]
fn the_fields_of_any_propagator_are_stored() {
    let b3 = Propagation::builder().propagator(opentelemetry_zipkin::Propagator::new()).build();
    let cx = ours().extract(&json(json!({ "traceparent": PARENT })));
    let stored = capture(&b3, &cx);
    assert!(stored.entries().all(|(key, _)| key.contains("b3")) && !stored.is_empty(), "{stored:?}");
    for (format, read) in from_every_format(&stored) {
        assert_eq!(b3.extract(&read).span().span_context(), cx.span().span_context(), "{format}");
    }
}

#[test]
fn an_injection_replaces_the_old_context_and_leaves_other_entries() {
    let old = json!({ "traceparent": PARENT, "tracestate": "a=1", "baggage": "k=v", "other": "1" });
    let mut stored = json(old);
    let new = PARENT.replace('a', "b");
    let cx = ours().extract(&json(json!({ "traceparent": new })));
    ours().inject(&cx, &mut stored);
    assert_eq!(stored, json(json!({ "traceparent": new, "other": "1" })));
}

#[test]
fn capturing_keeps_to_the_budget() {
    let cx = Context::new().with_baggage([KeyValue::new("k", "v".repeat(100))]);
    let small = Propagation::builder().propagator(w3c()).budget(Budget::bytes(50)).build();
    assert!(!capture(&ours(), &cx).is_empty());
    assert!(capture(&small, &cx).is_empty());
}

#[test]
fn what_is_stored_is_read_as_strictly_as_a_message() {
    for (key, value) in [
        ("traceparent", "00-0-0-00"),
        ("traceparent", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01\r\nevil: 1"),
        ("traceparent", "ü"),
        ("traceparent", ""),
        ("tracestate", "BAD"),
        ("baggage", "k=v,bad"),
        ("baggage", "k=\u{0}"),
    ] {
        let stored = json(json!({ key: value }));
        let message = vec![(key.to_owned(), value.to_owned())];
        let (found, expected) = (ours().inspect(&stored), ours().inspect(&message));
        assert_eq!(found.status(), expected.status(), "{key}: {value:?}");
        assert_eq!(found.context().baggage().len(), expected.context().baggage().len());
    }
}

#[test]
fn in_json_what_is_no_text_is_left_out() {
    for value in [
        json!(null),
        json!(true),
        json!(7),
        json!(-7),
        json!(0.5),
        json!([]),
        json!([[PARENT]]),
        json!({}),
        json!({ "traceparent": PARENT }),
    ] {
        let stored = json(json!({ "a": value, "traceparent": PARENT, "z": value }));
        assert_eq!(stored, json(json!({ "traceparent": PARENT })), "{value}");
    }
}

#[test]
fn in_binary_formats_that_describe_their_values_what_is_no_text_is_left_out() {
    let text = |text: &str| Cbor::Text(text.to_owned());
    let context = json(json!({ "traceparent": PARENT }));
    for value in [
        Cbor::Null,
        Cbor::Bool(true),
        Cbor::Integer(7.into()),
        Cbor::Integer(u64::MAX.into()),
        Cbor::Integer((-7).into()),
        Cbor::Float(0.5),
        Cbor::Bytes(vec![0xff, 0xfe]),
        Cbor::Array(vec![text("a"), Cbor::Array(vec![Cbor::Null])]),
        Cbor::Map(vec![(text("traceparent"), text(PARENT))]),
    ] {
        for place in 0..2 {
            let mut entries = vec![(text("traceparent"), text(PARENT)), (text("zzz"), text("z"))];
            entries.insert(place, (text("x"), value.clone()));
            entries.remove(2);
            for stored in binary(&Cbor::Map(entries)) {
                assert_eq!(stored, context, "{value:?} at {place}");
            }
        }
    }
    // A name that is no text, and text as bytes: the latter as in a message.
    let entries = vec![
        (text("traceparent"), Cbor::Bytes(PARENT.into())),
        (Cbor::Integer(7.into()), text("7")),
        (Cbor::Null, Cbor::Null),
    ];
    for stored in binary(&Cbor::Map(entries)) {
        assert_eq!(stored, context);
    }
    // Tagged text is text, another tagged value none.
    let tagged = |value| Cbor::Tag(1_000, Box::new(value));
    let entries = vec![(text("traceparent"), tagged(text(PARENT))), (text("x"), tagged(Cbor::Array(vec![])))];
    let stored: StoredContext = ciborium::from_reader(&*to_cbor(&Cbor::Map(entries))).unwrap();
    assert_eq!(stored, context);
}

#[test]
fn what_is_no_map_at_all_is_an_empty_context() {
    for value in
        [json!(null), json!(true), json!(7), json!(0.5), json!(PARENT), json!([{ "traceparent": PARENT }])]
    {
        assert!(json(value.clone()).is_empty(), "{value}");
        assert!(
            rmp_serde::from_slice::<StoredContext>(&rmp_serde::to_vec(&value).unwrap()).unwrap().is_empty()
        );
        // CBOR insists on what it is asked for.
        assert!(ciborium::from_reader::<StoredContext, _>(&*to_cbor(&value)).is_err(), "{value}");
    }
}

#[test]
fn of_entries_with_one_name_the_last_text_counts() {
    let text = r#"{"a":"1","b":"2","a":"3","b":null}"#;
    let stored: StoredContext = serde_json::from_str(text).unwrap();
    assert_eq!(stored, json(json!({ "a": "3", "b": "2" })));
}

#[test]
fn it_goes_into_structs_options_and_flattened_rows() {
    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    struct Row {
        order: u64,
        stored: Option<StoredContext>,
        #[serde(default)]
        late: StoredContext,
        #[serde(flatten)]
        flat: StoredContext,
    }
    let context = json(json!({ "traceparent": PARENT }));
    let row = Row { order: 7, stored: Some(context.clone()), late: StoredContext::default(), flat: context };
    let text = serde_json::to_string(&row).unwrap();
    assert_eq!(serde_json::from_str::<Row>(&text).unwrap(), row);
    assert_eq!(ciborium::from_reader::<Row, _>(&*to_cbor(&row)).unwrap(), row);
    let old: Row =
        serde_json::from_value(json!({ "order": 7, "stored": null, "weight": 12, "to": "x" })).unwrap();
    assert_eq!((old.stored, old.flat), (None, json(json!({ "to": "x" }))));

    let rows = vec![
        (1u8, Some(json(json!({ "a": "1", "b": "2" })))),
        (2, None),
        (3, Some(StoredContext::default())),
    ];
    let bytes = postcard::to_allocvec(&rows).unwrap();
    assert_eq!(postcard::from_bytes::<Vec<(u8, Option<StoredContext>)>>(&bytes).unwrap(), rows);
}

#[test]
fn a_hostile_row_leaves_no_more_than_the_limits() {
    let many: BTreeMap<String, String> = (0..10_000).map(|n| (format!("{n:05}"), n.to_string())).collect();
    let text = many.iter().map(|(key, value)| format!("{key}={value}\n")).collect::<String>();
    for stored in [
        serde_json::from_value(json!(many)).unwrap(),
        ciborium::from_reader(&*to_cbor(&many)).unwrap(),
        postcard::from_bytes(&postcard::to_allocvec(&many).unwrap()).unwrap(),
        StoredContext::from_properties(&text),
    ] {
        assert_eq!(stored.entries().count(), 64);
        assert!(stored.entries().all(|(key, _)| *key < *"00064"));
    }

    let mut repeated: String = (0..64).map(|n| format!("{n}=old\n")).collect();
    repeated.push_str("0=new\n64=beyond");
    let stored = StoredContext::from_properties(&repeated);
    assert_eq!(
        stored.find(&FieldNames::new(&["0"])).next().and_then(|(_, value)| value.as_str()),
        Some("new")
    );
    assert_eq!(stored.find(&FieldNames::new(&["64"])).count(), 0);

    let (key, value) = ("k".repeat(255), "v".repeat(16_447));
    let whole = json(json!({ &key: value }));
    assert_eq!(whole.entries().count(), 1);
    for (_, read) in from_every_format(&whole) {
        assert_eq!(read, whole);
    }
    let longer = BTreeMap::from([(format!("{key}k"), "v".to_owned()), ("k".to_owned(), format!("{value}v"))]);
    assert!(json(json!(longer)).is_empty());
    assert!(ciborium::from_reader::<StoredContext, _>(&*to_cbor(&longer)).unwrap().is_empty());
    assert!(
        postcard::from_bytes::<StoredContext>(&postcard::to_allocvec(&longer).unwrap()).unwrap().is_empty()
    );

    let deep = format!(r#"{{"a":{}{},"traceparent":"{PARENT}"}}"#, "[".repeat(100_000), "]".repeat(100_000));
    let stored: StoredContext = serde_json::from_str(&deep).unwrap();
    assert_eq!(stored, json(json!({ "traceparent": PARENT })));
}

#[test]
fn a_row_that_is_cut_off_is_an_error_of_its_format() {
    let stored = json(json!({ "baggage": "k=v", "traceparent": PARENT }));
    let (cbor, postcard) = (to_cbor(&stored), postcard::to_allocvec(&stored).unwrap());
    let (text, message_pack) = (serde_json::to_vec(&stored).unwrap(), rmp_serde::to_vec(&stored).unwrap());
    for cut in 0..60 {
        assert!(serde_json::from_slice::<StoredContext>(&text[..cut]).is_err());
        assert!(ciborium::from_reader::<StoredContext, _>(&cbor[..cut]).is_err());
        assert!(rmp_serde::from_slice::<StoredContext>(&message_pack[..cut]).is_err());
        assert!(postcard::from_bytes::<StoredContext>(&postcard[..cut]).is_err());
    }
}

#[test]
fn a_broken_first_value_is_not_taken_for_the_text_behind_it() {
    // A map with "a", a list of two, of which the first is no CBOR and the second the text "b".
    let broken = [0xa1, 0x61, b'a', 0x82, 0x1c, 0x61, b'b'];
    assert!(ciborium::from_reader::<StoredContext, _>(&broken[..]).is_err());
}

/// Any JSON at all.
fn any_json() -> impl Strategy<Value = Json> {
    let leaf = prop_oneof![
        Just(Json::Null),
        any::<bool>().prop_map(Json::from),
        any::<i64>().prop_map(Json::from),
        any::<f64>().prop_map(Json::from),
        any::<String>().prop_map(Json::from),
    ];
    leaf.prop_recursive(4, 32, 6, |inner| {
        prop_oneof![
            vec(inner.clone(), 0..6).prop_map(Json::from),
            btree_map("traceparent|baggage|\\PC{0,8}", inner, 0..6).prop_map(|map| json!(map)),
        ]
    })
}

proptest! {
    #[test]
    fn a_captured_context_comes_back_from_every_format(
        trace in 1u128.., span in 1u64.., flags in 0u8..4,
        state in btree_map("[a-z][a-z0-9_*/-]{0,20}", "[!-+--<>-~]{1,20}", 0..8),
        baggage in hash_map("[a-z]{1,8}", "\\PC{0,40}", 0..5),
    ) {
        let state = TraceState::from_key_value(state).unwrap();
        let span = SpanContext::new(trace.into(), span.into(), TraceFlags::new(flags), true, state);
        let baggage = baggage.into_iter().map(|(key, value)| KeyValue::new(key, value));
        let cx = Context::new().with_remote_span_context(span).with_baggage(baggage);
        let stored = capture(&ours(), &cx);
        for (format, read) in from_every_format(&stored) {
            prop_assert_eq!(&read, &stored, "{}", format);
            let found = ours().inspect(&read);
            prop_assert_eq!(found.status().label(), "valid");
            let span_of = |cx: &Context| cx.span().span_context().clone();
            prop_assert_eq!(span_of(found.context()), span_of(&cx));
            for (key, (value, _)) in cx.baggage() {
                prop_assert_eq!(found.context().baggage().get(key), Some(value));
            }
            prop_assert_eq!(found.context().baggage().len(), cx.baggage().len());
        }
    }

    #[test]
    fn entries_of_another_version_survive_every_format(
        entries in btree_map(any::<String>(), any::<String>(), 0..8),
    ) {
        let stored = json(json!(entries));
        prop_assert_eq!(stored.entries().count(), entries.len());
        for (format, read) in from_every_format(&stored) {
            prop_assert_eq!(&read, &stored, "{}", format);
        }
    }

    #[test]
    fn no_json_fails_and_only_text_is_kept(value in any_json()) {
        let texts = value.as_object().into_iter().flatten().filter(|(_, value)| value.is_string()).count();
        let stored: StoredContext = serde_json::from_str(&value.to_string()).unwrap();
        prop_assert_eq!(stored.entries().count(), texts);
        ours().extract(&stored);
        if value.is_object() {
            let read: StoredContext = ciborium::from_reader(&*to_cbor(&value)).unwrap();
            prop_assert_eq!(&read, &stored);
        }
        let read: StoredContext = rmp_serde::from_slice(&rmp_serde::to_vec(&value).unwrap()).unwrap();
        prop_assert_eq!(&read, &stored);
    }

    #[test]
    fn any_bytes_are_read_without_a_panic(bytes in vec(any::<u8>(), 0..200), map in 0u8..32) {
        // Also behind the first byte of a map, so that there is something to read.
        for first in [None, Some(0xa0 | map), Some(0x80 | map), Some(map)] {
            let bytes: Vec<u8> = first.into_iter().chain(bytes.iter().copied()).collect();
            let read = [
                serde_json::from_slice::<StoredContext>(&bytes).ok(),
                ciborium::from_reader(&*bytes).ok(),
                rmp_serde::from_slice(&bytes).ok(),
                postcard::from_bytes(&bytes).ok(),
            ];
            for stored in read.into_iter().flatten() {
                ours().extract(&stored);
            }
        }
    }
}
