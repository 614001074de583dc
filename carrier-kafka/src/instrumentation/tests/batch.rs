//! What is on the span of a batch, and what on its links.

use rdkafka::Timestamp;
use rdkafka::message::{OwnedHeaders, OwnedMessage};

use super::super::MessageKey;
use super::recorded;
use crate::testing::remote_context;

type Attributes = Vec<(String, String)>;

fn consumed(
    topic: &str,
    partition: i32,
    offset: i64,
    key: Option<&[u8]>,
    payload: Option<&[u8]>,
) -> OwnedMessage {
    let mut headers = OwnedHeaders::new();
    crate::inject(&remote_context(), &mut headers);
    let (key, payload) = (key.map(<[u8]>::to_vec), payload.map(<[u8]>::to_vec));
    OwnedMessage::new(
        payload,
        key,
        topic.to_owned(),
        Timestamp::NotAvailable,
        partition,
        offset,
        Some(headers),
    )
}

/// What a span, or a link, has beyond what every span of the instrumentation has.
fn particulars<'a>(attributes: impl IntoIterator<Item = &'a opentelemetry::KeyValue>) -> Attributes {
    let pair = |attribute: &opentelemetry::KeyValue| (attribute.key.to_string(), attribute.value.to_string());
    let common = ["messaging.system", "messaging.operation.name", "messaging.operation.type"];
    let mut found: Vec<_> = attributes.into_iter().map(pair).collect();
    found.retain(|(key, _)| !common.contains(&key.as_str()));
    found.sort();
    found
}

fn batch(messages: &[OwnedMessage]) -> (Attributes, Vec<Attributes>) {
    let recorded = recorded(|builder| builder.message_key(MessageKey::Plain));
    drop(recorded.kafka.process_batch(messages));
    let span = recorded.one();
    let links = span.links.iter().map(|link| particulars(&link.attributes));
    (particulars(&span.attributes), links.collect())
}

fn owned(pairs: &[(&str, &str)]) -> Attributes {
    pairs.iter().map(|(key, value)| (format!("messaging.{key}"), (*value).to_owned())).collect()
}

#[test]
fn what_all_messages_of_a_batch_share_is_on_its_span() {
    let messages = [consumed("t", 3, 5, Some(b"k"), None), consumed("t", 3, 6, Some(b"k"), None)];
    let (span, links) = batch(&messages);
    let expected = [
        ("batch.message_count", "2"),
        ("destination.name", "t"),
        ("destination.partition.id", "3"),
        ("kafka.message.key", "k"),
        ("kafka.message.tombstone", "true"),
    ];
    assert_eq!(span, owned(&expected));
    assert_eq!(links, [owned(&[("kafka.offset", "5")]), owned(&[("kafka.offset", "6")])]);
}

#[test]
fn what_differs_between_messages_of_a_batch_is_on_their_links() {
    let messages = [consumed("a", 3, 5, Some(b"k"), None), consumed("b", 4, 5, Some(b"\xff"), Some(b"p"))];
    let (span, links) = batch(&messages);
    assert_eq!(span, owned(&[("batch.message_count", "2")]));
    let first = [
        ("destination.name", "a"),
        ("destination.partition.id", "3"),
        ("kafka.message.key", "k"),
        ("kafka.message.tombstone", "true"),
        ("kafka.offset", "5"),
    ];
    let second = [("destination.name", "b"), ("destination.partition.id", "4"), ("kafka.offset", "5")];
    assert_eq!(links, [owned(&first), owned(&second)]);
}

#[test]
fn a_batch_of_one_says_everything_on_its_span_and_one_of_none_is_no_trouble() {
    let (span, links) = batch(&[consumed("t", 3, 5, None, Some(b"p"))]);
    let expected = [
        ("batch.message_count", "1"),
        ("destination.name", "t"),
        ("destination.partition.id", "3"),
        ("kafka.offset", "5"),
    ];
    assert_eq!((span, links), (owned(&expected), vec![vec![]]));
    assert_eq!(batch(&[]), (owned(&[("batch.message_count", "0")]), vec![]));
}

#[test]
fn a_header_with_the_value_of_a_hidden_key_is_not_captured() {
    let captured = |message_key| {
        let recorded =
            recorded(|builder| builder.message_key(message_key).capture_headers(["customer", "region"]));
        let header = |key, value| rdkafka::message::Header { key, value: Some(value) };
        let headers = OwnedHeaders::new().insert(header("customer", "17")).insert(header("region", "eu"));
        let key = Some(b"17".to_vec());
        let message =
            OwnedMessage::new(None, key, "orders".into(), Timestamp::NotAvailable, 0, 0, Some(headers));
        drop(recorded.kafka.process(message));
        let span = recorded.one();
        ["customer", "region"].map(|name| {
            let key = format!("carrier.message.header.{name}");
            super::attribute_of(&span, &key).map(|value| value.to_string())
        })
    };
    let (customer, region) = (Some("[\"17\"]".to_owned()), Some("[\"eu\"]".to_owned()));
    for hidden in [MessageKey::Off, MessageKey::Hashed] {
        assert_eq!(captured(hidden), [None, region.clone()], "{hidden:?}");
    }
    assert_eq!(captured(MessageKey::Plain), [customer, region]);
}
