use carrier_core::testing::{assert_consistent, remote_context};
use carrier_core::{FieldNames, Injection, InjectionOutcome, Propagation, TextMapCarrier as _, w3c};
use opentelemetry::baggage::BaggageExt as _;
use opentelemetry::trace::{SpanContext, TraceContextExt as _, TraceState};
use opentelemetry::{Context, KeyValue};
use proptest::prelude::*;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::{Header, Headers as _, OwnedHeaders};
use rdkafka::producer::{BaseProducer, BaseRecord};

use super::*;
use crate::{InjectInto as _, RecordCarrier, inject_with};

/// What a `traceparent` adds: two lengths, key, value.
const TRACEPARENT: usize = 1 + 11 + 1 + 55;

const FIELDS: [&str; 3] = ["traceparent", "tracestate", "baggage"];

type Pairs = Vec<(String, Option<Vec<u8>>)>;
type Record<'a> = BaseRecord<'a, [u8], [u8]>;

#[test]
fn a_length_takes_a_byte_for_each_seven_bits_of_its_double() {
    for (bytes, expected) in
        [(0, 1), (1, 1), (63, 1), (64, 2), (8_191, 2), (8_192, 3), (1_048_575, 3), (1_048_576, 4)]
    {
        assert_eq!(length(bytes), expected, "{bytes}");
    }
}

#[test]
fn the_budget_is_the_configurations() {
    let mut config = ClientConfig::new();
    assert_eq!(message_budget(&config), Budget::message(1_000_000));
    // As librdkafka reads it, which also accepts other notations, and refuses what is out of its range.
    for (text, limit) in
        [("5000", 5_000), (" 5000", 5_000), ("0x1388", 5_000), ("011610", 5_000), ("7", 1_000_000)]
    {
        config.set("message.max.bytes", text);
        assert_eq!(message_budget(&config), Budget::message(limit), "{text:?}");
        if let Ok(native) = config.create_native_config() {
            assert_eq!(native.get("message.max.bytes").unwrap(), limit.to_string());
        }
    }
}

fn config(limit: usize) -> ClientConfig {
    let mut config = ClientConfig::new();
    config.set("message.max.bytes", limit.to_string());
    config
}

/// A producer that knows of no broker: librdkafka looks at a record's size before it looks for one.
fn producer(config: &ClientConfig) -> BaseProducer {
    config.create().unwrap()
}

/// Whether librdkafka takes a record, or finds it too large.
fn takes(producer: &BaseProducer, record: Record<'_>) -> bool {
    match producer.send(record) {
        Ok(()) => true,
        Err((KafkaError::MessageProduction(RDKafkaErrorCode::MessageSizeTooLarge), _)) => false,
        Err((error, _)) => panic!("refused for another reason: {error}"),
    }
}

fn headers<'a>(pairs: impl IntoIterator<Item = &'a (String, Option<Vec<u8>>)>) -> OwnedHeaders {
    let insert = |headers: OwnedHeaders, (key, value): &(String, Option<Vec<u8>>)| {
        headers.insert(Header { key, value: value.as_ref() })
    };
    pairs.into_iter().fold(OwnedHeaders::new(), insert)
}

/// What librdkafka should count for a record without a payload.
fn size_of(headers: OwnedHeaders, key: &[u8]) -> usize {
    RecordCarrier::new(&mut Some(headers), key.len()).measure(&FieldNames::new(&[])).bytes()
}

fn without_fields(pairs: &Pairs) -> OwnedHeaders {
    headers(pairs.iter().filter(|(key, _)| !FIELDS.contains(&key.as_str())))
}

fn inject_within(limit: usize, cx: &Context, record: &mut Record<'_>) -> Injection {
    let propagation = Propagation::builder().propagator(w3c()).budget(Budget::message(limit)).build();
    inject_with(&propagation, cx, record)
}

/// Headers whose lengths take one to three bytes, null, empty and repeated ones, and old fields.
fn any_pairs() -> impl Strategy<Value = Pairs> {
    let key = prop_oneof![
        4 => "[a-z]{0,100}",
        1 => proptest::sample::select(FIELDS.to_vec()).prop_map(str::to_owned),
    ];
    let long = (0..9_000_usize).prop_map(|length| Some(vec![b'x'; length]));
    proptest::collection::vec((key, prop_oneof![4 => any::<Option<Vec<u8>>>(), 1 => long]), 0..5)
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

#[test]
fn librdkafka_takes_what_counts_as_the_limit_and_refuses_a_byte_more() {
    const LIMIT: usize = 50_000;
    let producer = producer(&config(LIMIT));
    proptest!(|(pairs in any_pairs(), key: Vec<u8>)| {
        let headers = headers(&pairs);
        let payload = vec![b'x'; LIMIT - size_of(headers.clone(), &key) + 1];
        let record = |payload| Record::to("t").key(&key[..]).payload(payload).headers(headers.clone());
        prop_assert!(takes(&producer, record(&payload[1..])));
        prop_assert!(!takes(&producer, record(&payload)));
    });
}

#[test]
fn librdkafka_takes_a_record_with_a_context_where_it_takes_it_without() {
    const LIMIT: usize = 12_000;
    let producer = producer(&config(LIMIT));
    proptest!(|(pairs in any_pairs(), payload in 0..LIMIT + 100, cx in any_context())| {
        let payload = vec![b'x'; payload];
        let record = |headers| Record::to("t").key(&b"key"[..]).payload(&payload).headers(headers);
        let mut sent = record(headers(&pairs));
        inject_within(LIMIT, &cx, &mut sent);
        prop_assert_eq!(takes(&producer, sent), takes(&producer, record(without_fields(&pairs))));
    });
}

proptest! {
    #[test]
    fn the_optional_methods_agree_with_the_required_ones(pairs in any_pairs()) {
        let mut owned = headers(&pairs);
        assert_consistent(&owned.carrier());
        assert_consistent(&RecordCarrier::new(&mut Some(owned), 7));
    }

    #[test]
    fn a_trace_is_written_wherever_it_fits(
        pairs in any_pairs(), payload in 0..20_000_usize, limit in 0..20_000_usize, cx in any_context(),
    ) {
        let payload = vec![b'x'; payload];
        let needed = size_of(without_fields(&pairs), &payload) + TRACEPARENT;
        let mut record = Record::to("t").payload(&payload).headers(headers(&pairs));
        let report = inject_within(limit, &cx, &mut record);
        prop_assert_eq!(report.outcome() == InjectionOutcome::Written, needed <= limit);
    }
}

#[test]
fn a_record_that_is_produced_again_fits_the_limit_that_it_came_with() {
    let cx = remote_context().with_baggage([KeyValue::new("k", "v".repeat(2_000))]);
    let mut record = Record::to("t");
    inject_within(10_000, &cx, &mut record);
    let limit = size_of(record.headers.clone().unwrap(), b"");
    let report = inject_within(limit, &cx, &mut record);
    assert_eq!(report.fields().collect::<Vec<_>>(), ["traceparent", "baggage"]);
}

/// Headers of the user's for a record that a `traceparent` makes so large.
fn nearly(size: usize) -> OwnedHeaders {
    // Librdkafka's own 36 bytes; a length of one byte, the key, a length of three.
    let around = 36 + TRACEPARENT + 1 + "user".len() + 3;
    OwnedHeaders::new().insert(Header { key: "user", value: Some(&"u".repeat(size - around)) })
}

/// Injects without a budget.
fn inject_plainly(headers: &mut OwnedHeaders) -> Injection {
    inject_with(&Propagation::builder().propagator(w3c()).build(), &remote_context(), headers)
}

#[test]
fn without_a_budget_headers_that_a_trace_fills_to_librdkafkas_default_are_taken_with_it() {
    let mut headers = nearly(1_000_000);
    inject_plainly(&mut headers);
    assert_eq!(headers.count(), 2);
    assert!(takes(&producer(&ClientConfig::new()), Record::to("t").headers(headers)));
}

#[test]
fn without_a_budget_headers_that_have_a_byte_too_little_room_get_no_trace() {
    let report = inject_plainly(&mut nearly(1_000_001));
    assert_eq!(report.outcome(), InjectionOutcome::NoRoom);
}
