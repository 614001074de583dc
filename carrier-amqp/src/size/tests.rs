use std::collections::BTreeMap;

use carrier_core::testing::{assert_consistent, remote_context};
use carrier_core::{Injection, InjectionOutcome, Propagation, w3c};
use lapin::protocol::basic::gen_properties;
use lapin::types::{ByteArray, DecimalValue, FieldArray};
use opentelemetry::baggage::BaggageExt as _;
use opentelemetry::trace::{SpanContext, TraceContextExt as _, TraceState};
use opentelemetry::{Context, KeyValue};
use proptest::prelude::*;

use super::*;
use crate::{InjectInto, inject, inject_with};

/// What a `traceparent` adds: length, key, type, length, value.
const TRACEPARENT: usize = 1 + 11 + 1 + 4 + 55;

/// The frame of a content header without properties, and an empty table.
const EMPTY: usize = 8 + 14;
const TABLE: usize = 4;

/// What dead-lettering gets.
const RESERVE: usize = 1_024;

/// The frame where a connection sets no limit.
const COMMON: usize = 131_072;

/// The frame that lapin's own encoder makes of the properties.
fn encoded(properties: &BasicProperties) -> usize {
    let (bytes, _) = cookie_factory::r#gen(gen_properties(properties), Vec::new()).unwrap();
    // The property flags are among the bytes.
    EMPTY - 2 + bytes.len()
}

fn computed(properties: &BasicProperties) -> usize {
    of_properties(properties, &FieldNames::new(&[])).bytes()
}

fn any_value() -> impl Strategy<Value = AMQPValue> {
    let text = "[a-z]{0,40}";
    let leaf = prop_oneof![
        Just(AMQPValue::Void),
        any::<bool>().prop_map(AMQPValue::Boolean),
        any::<i8>().prop_map(AMQPValue::ShortShortInt),
        any::<u8>().prop_map(AMQPValue::ShortShortUInt),
        any::<i16>().prop_map(AMQPValue::ShortInt),
        any::<u16>().prop_map(AMQPValue::ShortUInt),
        any::<i32>().prop_map(AMQPValue::LongInt),
        any::<u32>().prop_map(AMQPValue::LongUInt),
        any::<i64>().prop_map(AMQPValue::LongLongInt),
        any::<f32>().prop_map(AMQPValue::Float),
        any::<f64>().prop_map(AMQPValue::Double),
        any::<u64>().prop_map(AMQPValue::Timestamp),
        (any::<u8>(), any::<u32>())
            .prop_map(|(scale, value)| AMQPValue::DecimalValue(DecimalValue { scale, value })),
        text.prop_map(|text| AMQPValue::ShortString(text.into())),
        text.prop_map(|text| AMQPValue::LongString(text.into())),
        any::<Vec<u8>>().prop_map(|bytes| AMQPValue::ByteArray(ByteArray::from(bytes))),
    ];
    leaf.prop_recursive(4, 32, 4, |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..4)
                .prop_map(|values| AMQPValue::FieldArray(FieldArray::from(values))),
            any_table(inner).prop_map(AMQPValue::FieldTable),
        ]
    })
}

fn any_table(value: impl Strategy<Value = AMQPValue>) -> impl Strategy<Value = FieldTable> {
    proptest::collection::btree_map("[a-z]{0,40}".prop_map(ShortString::from), value, 0..5)
        .prop_map(FieldTable::from)
}

/// With and without fields, and of sizes that are walked and that are searched.
fn any_headers() -> impl Strategy<Value = FieldTable> {
    let key = prop_oneof![
        9 => "[a-z]{0,4}",
        1 => proptest::sample::select(&["traceparent", "tracestate", "baggage"]).prop_map(str::to_owned),
    ];
    proptest::collection::btree_map(key.prop_map(ShortString::from), any_value(), 0..30)
        .prop_map(FieldTable::from)
}

proptest! {
    #[test]
    fn the_optional_methods_agree_with_the_required_ones(mut headers in any_headers()) {
        assert_consistent(&headers.carrier());
        assert_consistent(&BasicProperties::default().with_headers(headers).with_priority(1).carrier());
    }

    #[test]
    fn the_size_is_that_of_lapins_encoder(headers in any_table(any_value()), text in "[a-z]{0,255}") {
        let text = || ShortString::from(text.as_str());
        let bare = BasicProperties::default().with_headers(headers.clone());
        prop_assert_eq!(computed(&bare), encoded(&bare));
        prop_assert_eq!(of_table(&headers, &FieldNames::new(&[])).bytes(), encoded(&bare));
        let full = bare
            .with_content_type(text())
            .with_content_encoding(text())
            .with_delivery_mode(2)
            .with_priority(1)
            .with_correlation_id(text())
            .with_reply_to(text())
            .with_expiration(text())
            .with_message_id(text())
            .with_timestamp(1)
            .with_type(text())
            .with_user_id(text())
            .with_app_id(text())
            .with_cluster_id(text());
        prop_assert_eq!(computed(&full), encoded(&full));
    }
}

#[test]
fn an_injection_adds_what_it_reports() {
    let mut properties = BasicProperties::default().with_headers(FieldTable::default());
    let before = encoded(&properties);
    let report = inject(&remote_context(), &mut properties);
    assert_eq!(encoded(&properties), before + report.bytes());
}

#[test]
fn without_a_limit_the_frame_is_the_common_one() {
    assert_eq!(frame_budget(0), Budget::message(COMMON - RESERVE));
}

#[test]
fn dead_lettering_has_a_reserve_in_every_frame() {
    assert_eq!(frame_budget(8_192), Budget::message(8_192 - RESERVE));
}

#[test]
fn a_frame_that_is_smaller_than_the_reserve_has_room_for_nothing() {
    assert_eq!(frame_budget(100), Budget::message(0));
}

/// Injects where the frame has so many bytes beside the reserve.
fn inject_within<T: InjectInto>(limit: usize, cx: &Context, target: &mut T) -> Injection {
    let budget = frame_budget(u32::try_from(RESERVE + limit).unwrap());
    let propagation = Propagation::builder().propagator(w3c()).budget(budget).build();
    inject_with(&propagation, cx, target)
}

fn without_a_budget() -> Propagation {
    Propagation::builder().propagator(w3c()).build()
}

/// A trace with as much baggage as W3C allows, nearly.
fn heavy() -> Context {
    let members = (0..64).map(|n| KeyValue::new(format!("key-{n:02}"), "v".repeat(120)));
    remote_context().with_baggage(members.collect::<Vec<_>>())
}

/// Headers of the user's that make a frame of so many bytes.
fn user_headers(frame: usize) -> FieldTable {
    let around = EMPTY + TABLE + 1 + "user".len() + 1 + 4;
    let mut table = FieldTable::default();
    table.insert("user".into(), AMQPValue::LongString("u".repeat(frame - around).into()));
    table
}

fn with_headers(headers: &FieldTable) -> BasicProperties {
    BasicProperties::default().with_headers(headers.clone())
}

#[test]
fn a_trace_that_fills_the_frame_to_the_last_byte_is_written_with_the_table_that_it_needs() {
    let mut properties = BasicProperties::default();
    inject_within(EMPTY + TABLE + TRACEPARENT, &remote_context(), &mut properties);
    assert_eq!(encoded(&properties), EMPTY + TABLE + TRACEPARENT);
}

#[test]
fn the_table_that_is_about_to_come_is_counted() {
    let mut properties = BasicProperties::default();
    let report = inject_within(EMPTY + TABLE + TRACEPARENT - 1, &remote_context(), &mut properties);
    assert_eq!(report.outcome(), InjectionOutcome::NoRoom);
}

#[test]
fn properties_that_are_published_again_fit_the_frame_that_they_came_in() {
    let (mut properties, cx) = (BasicProperties::default(), heavy());
    inject_with(&without_a_budget(), &cx, &mut properties);
    let received = properties.clone();
    inject_within(encoded(&received), &cx, &mut properties);
    assert_eq!(properties, received);
}

#[test]
fn a_table_that_is_published_again_fits_the_frame_that_it_came_in() {
    let (mut table, cx) = (FieldTable::default(), heavy());
    inject_with(&without_a_budget(), &cx, &mut table);
    let received = table.clone();
    inject_within(encoded(&with_headers(&received)), &cx, &mut table);
    assert_eq!(table, received);
}

#[test]
fn without_a_budget_properties_that_are_nearly_full_stay_within_the_common_frame() {
    let mut properties = with_headers(&user_headers(COMMON - RESERVE - 1_000));
    inject_with(&without_a_budget(), &heavy(), &mut properties);
    assert!(encoded(&properties) <= COMMON - RESERVE, "{}", encoded(&properties));
}

#[test]
fn without_a_budget_a_table_that_is_nearly_full_stays_within_the_common_frame() {
    let mut table = user_headers(COMMON - RESERVE - 1_000);
    inject_with(&without_a_budget(), &heavy(), &mut table);
    let frame = encoded(&with_headers(&table));
    assert!(frame <= COMMON - RESERVE, "{frame}");
}

/// A trace with up to 2 KiB of tracestate and 8 KiB of baggage.
fn any_context() -> impl Strategy<Value = Context> {
    let lengths = |each, members| proptest::collection::vec(0..each, 0..members);
    (lengths(200_usize, 10_usize), lengths(256, 32)).prop_map(|(states, members)| {
        let states = states.iter().enumerate();
        let states = states.map(|(n, length)| (format!("k{n}"), "v".repeat(1 + length)));
        let remote = remote_context();
        let span = remote.span().span_context().clone();
        let state = TraceState::from_key_value(states).unwrap();
        let span = SpanContext::new(span.trace_id(), span.span_id(), span.trace_flags(), true, state);
        let members = members.iter().enumerate();
        let members = members.map(|(n, length)| KeyValue::new(format!("k{n}"), "v".repeat(*length)));
        Context::new().with_remote_span_context(span).with_baggage(members.collect::<Vec<_>>())
    })
}

/// Properties with or without headers, some of them old fields.
fn any_properties() -> impl Strategy<Value = BasicProperties> {
    let old = proptest::sample::subsequence(FIELDS.to_vec(), 0..=FIELDS.len());
    let headers = (any_table(any_value()), old, 0..4_000_usize).prop_map(|(mut headers, old, length)| {
        for key in old.into_iter().chain(["user"]) {
            headers.insert(key.into(), AMQPValue::LongString("x".repeat(length).into()));
        }
        headers
    });
    (proptest::option::of(headers), proptest::option::of("[a-z]{0,255}")).prop_map(|(headers, kind)| {
        let properties = headers.map_or_else(BasicProperties::default, |headers| with_headers(&headers));
        kind.into_iter().fold(properties, |properties, kind| properties.with_type(kind.into()))
    })
}

const FIELDS: [&str; 3] = ["traceparent", "tracestate", "baggage"];

fn any_frame_max() -> impl Strategy<Value = u32> {
    prop_oneof![1 => Just(0), 8 => 0..16_384_u32, 1 => any::<u32>()]
}

/// What a content header may have in such frames.
fn limit(frame_max: u32) -> usize {
    let frame_max = if frame_max == 0 { COMMON } else { usize::try_from(frame_max).unwrap() };
    frame_max.saturating_sub(RESERVE)
}

/// The frame without our fields, as lapin encodes it.
fn encoded_without_fields(properties: &BasicProperties) -> usize {
    let Some(headers) = properties.headers() else { return encoded(properties) };
    let others = headers.inner().iter().filter(|(key, _)| !FIELDS.contains(&key.as_str()));
    let others = others.map(|(key, value)| (key.clone(), value.clone())).collect::<BTreeMap<_, _>>();
    encoded(&properties.clone().with_headers(others.into()))
}

proptest! {
    #[test]
    fn no_frame_is_larger_than_its_limit_or_than_it_is_without_us(
        mut properties in any_properties(), cx in any_context(), frame_max in any_frame_max(),
    ) {
        let without = encoded_without_fields(&properties);
        let budget = frame_budget(frame_max);
        let propagation = Propagation::builder().propagator(w3c()).budget(budget).build();
        inject_with(&propagation, &cx, &mut properties);
        prop_assert!(encoded(&properties) <= limit(frame_max).max(without));
    }

    #[test]
    fn a_trace_is_written_wherever_it_fits(
        mut properties in any_properties(), cx in any_context(), frame_max in any_frame_max(),
    ) {
        let table = if properties.headers().is_some() { 0 } else { TABLE };
        let needed = encoded_without_fields(&properties) + table + TRACEPARENT;
        let budget = frame_budget(frame_max);
        let propagation = Propagation::builder().propagator(w3c()).budget(budget).build();
        let report = inject_with(&propagation, &cx, &mut properties);
        prop_assert_eq!(report.outcome() == InjectionOutcome::Written, needed <= limit(frame_max));
    }
}
