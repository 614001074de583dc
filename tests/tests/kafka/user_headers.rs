//! The user's own headers go through as they are, whatever they are.

use carrier_tests::telemetry::Recorder;
use rdkafka::Message as _;

use crate::raw::{self, Header};
use crate::support::{assert_continues, consumer, kafka, publishing, receive, send, topic};

/// Duplicates, nulls, empty and binary values, an empty key, names that resemble ours, and a key that is not UTF-8.
pub(crate) const USER: [Header<'static>; 11] = [
    (b"user", Some(b"1")),
    (b"null", None),
    (b"\xff\xfe key", Some(b"not UTF-8")),
    (b"user", Some(b"\x00\xff\xfe\r\n")),
    (b"empty", Some(b"")),
    (b"null", None),
    (b"", Some(b"an empty key")),
    (b"traceparent ", Some(b"another name")),
    (b"\xff\xfe key", None),
    (b"traceparent2", Some(b"another name")),
    (b"user", Some(b"1")),
];

#[tokio::test]
async fn user_headers_arrive_byte_by_byte_in_their_order() {
    let topic = topic(1).await;
    let mut headers = raw::headers(USER);
    carrier_kafka::inject(&publishing(&Recorder::new()), &mut headers);
    send(&kafka().await.producer(), &topic, Some(headers)).await;

    let consumer = consumer(&topic).await;
    let message = receive(&consumer).await;

    let received = raw::list(message.headers());
    assert_eq!(received[..USER.len()], USER);
    let ours: Vec<&[u8]> = received[USER.len()..].iter().map(|(key, _)| *key).collect();
    assert_eq!(ours, [&b"traceparent"[..], b"tracestate", b"baggage"]);
}

#[tokio::test]
async fn an_old_field_in_another_case_makes_way() {
    let topic = topic(1).await;
    let old: [Header<'_>; 3] = [(b"Traceparent", Some(b"old")), USER[0], (b"BAGGAGE", None)];
    let mut headers = raw::headers(old);
    carrier_kafka::inject(&publishing(&Recorder::new()), &mut headers);
    send(&kafka().await.producer(), &topic, Some(headers)).await;

    let consumer = consumer(&topic).await;
    let message = receive(&consumer).await;

    let keys: Vec<&[u8]> = raw::list(message.headers()).iter().map(|(key, _)| *key).collect();
    assert_eq!(keys, [&b"user"[..], b"traceparent", b"tracestate", b"baggage"]);
}

#[tokio::test]
async fn the_context_is_found_among_user_headers_of_every_kind() {
    let topic = topic(1).await;
    let sent = publishing(&Recorder::new());
    let mut headers = raw::headers(USER);
    carrier_kafka::inject(&sent, &mut headers);
    send(&kafka().await.producer(), &topic, Some(headers)).await;

    let consumer = consumer(&topic).await;
    let message = receive(&consumer).await;

    assert_continues(&carrier_kafka::extract(&message), &sent);
}

#[tokio::test]
async fn names_in_another_case_are_the_same_fields() {
    use carrier_tests::telemetry::{BAGGAGE, TRACEPARENT, TRACESTATE};
    let topic = topic(1).await;
    let headers: [Header<'_>; 4] = [
        (b"Traceparent", Some(TRACEPARENT.as_bytes())),
        (b"TRACEPARENT", Some(TRACEPARENT.as_bytes())),
        (b"TraceState", Some(TRACESTATE.as_bytes())),
        (b"BAGGAGE", Some(BAGGAGE.as_bytes())),
    ];
    send(&kafka().await.producer(), &topic, Some(raw::headers(headers))).await;

    let consumer = consumer(&topic).await;
    let message = receive(&consumer).await;

    assert_continues(&carrier_kafka::extract(&message), &carrier_tests::telemetry::sampled_context());
}

#[tokio::test]
async fn our_headers_are_the_text_of_the_specifications() {
    let topic = topic(1).await;
    let cx = carrier_tests::telemetry::sampled_context();
    let mut headers = raw::headers([]);
    carrier_kafka::inject(&cx, &mut headers);
    send(&kafka().await.producer(), &topic, Some(headers)).await;

    let consumer = consumer(&topic).await;
    let message = receive(&consumer).await;

    use carrier_tests::telemetry::{BAGGAGE, TRACEPARENT, TRACESTATE};
    let expected: [Header<'_>; 3] = [
        (b"traceparent", Some(TRACEPARENT.as_bytes())),
        (b"tracestate", Some(TRACESTATE.as_bytes())),
        (b"baggage", Some(BAGGAGE.as_bytes())),
    ];
    assert_eq!(raw::list(message.headers()), expected);
}
