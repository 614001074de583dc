//! Messages that are processed together.

use std::collections::HashSet;

use carrier_kafka::instrumentation::{MessageKey, Plain, Relation};
use carrier_tests::telemetry::{Recorder, Whole, sampled_context};
use opentelemetry::baggage::BaggageExt as _;
use opentelemetry::context::FutureExt as _;
use opentelemetry::trace::{SpanContext, TraceContextExt as _};
use opentelemetry::{Context, Value};
use rdkafka::consumer::{CommitMode, Consumer as _, StreamConsumer};
use rdkafka::message::{BorrowedMessage, OwnedHeaders};
use rdkafka::producer::{BaseRecord, Producer as _};

use super::support::{
    Service, batch_of, broker, consumer, inside, receive, send_plainly, service, service_with, span_of, topic,
};
use crate::raw;

async fn receive_all(consumer: &StreamConsumer, count: usize) -> Vec<BorrowedMessage<'_>> {
    let mut messages = Vec::new();
    while messages.len() < count {
        messages.push(receive(consumer).await);
    }
    messages
}

/// A topic with so many messages of the service's, and their spans.
async fn sent(service: &Service, count: usize) -> (String, Vec<SpanContext>) {
    let topic = topic(1).await;
    let mut senders = Vec::new();
    for _ in 0..count {
        senders.push(service.send(&topic).await);
    }
    service.recorder.reset();
    (topic, senders)
}

fn offset(offset: i64) -> [(&'static str, Value); 1] {
    [("messaging.kafka.offset", offset.into())]
}

#[tokio::test]
async fn a_batch_is_one_span_with_a_link_to_each_sender() {
    let service = service().await;
    let (topic, senders) = sent(&service, 3).await;
    let consumer = consumer(&topic).await;
    let messages = receive_all(&consumer, 3).await;

    let batch = service.kafka.process_batch(&messages);
    let committed = batch.run(async { consumer.commit_message(&messages[2], CommitMode::Sync) }).await;

    committed.unwrap();
    let mut expected = batch_of(3, &topic).await;
    for (index, sender) in (0..).zip(&senders) {
        expected = expected.linked(sender, offset(index));
    }
    assert_eq!(service.recorder.whole(&format!("process {topic}")), expected);
    drop(batch);
    assert_eq!((service.recorder.spans().len(), service.recorder.open_spans()), (1, 0));
}

#[tokio::test]
async fn the_span_around_a_batch_is_linked_first_and_a_relation_of_none_has_no_other() {
    let service = service_with(Recorder::new(), |builder| builder.relation(Relation::Ignore)).await;
    let (topic, _) = sent(&service, 2).await;
    let consumer = consumer(&topic).await;
    let messages = receive_all(&consumer, 2).await;
    let (around, looping) = inside(&service.recorder, "loop");
    async { service.kafka.process_batch(&messages).run(async {}).await }.with_context(around).await;
    let expected = batch_of(2, &topic).await.linked(&looping, []);
    assert_eq!(service.recorder.whole(&format!("process {topic}")), expected);
}

#[tokio::test]
async fn each_message_of_a_batch_has_its_own_context_and_baggage() {
    let service = service().await;
    let topic = topic(1).await;
    service.send(&topic).with_context(sampled_context()).await;
    send_plainly(&topic, None).await;
    service.recorder.reset();
    let consumer = consumer(&topic).await;
    let messages = receive_all(&consumer, 2).await;
    let batch = service.kafka.process_batch(&messages);
    let tenant = |cx: &Context| cx.baggage().get("tenant").map(ToString::to_string);
    let tenants: Vec<_> = batch.contexts().iter().map(tenant).collect();
    assert_eq!(tenants, [Some("blue".to_owned()), None]);
    assert_eq!(batch.contexts()[0].span().span_context().trace_id(), carrier_tests::telemetry::TRACE_ID);
    let Plain(current) = batch.run(async { Plain(span_of(&Context::current())) }).await;
    assert_eq!(current, service.recorder.spans()[0].span_context);
}

const GOOD: usize = 990;
const MAX_LINKS: usize = 128;

/// The headers of ten poisoned messages; two of them carry a context nevertheless.
fn poisoned(good: &[u8]) -> Vec<OwnedHeaders> {
    let long = vec![b'0'; 60_000];
    let one = |value| raw::headers([(&b"traceparent"[..], value)]);
    vec![
        one(Some(&b"\xff\xfe"[..])),
        one(None),
        one(Some(b"")),
        one(Some(b"00-0-0-00")),
        one(Some(b"ff-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01")),
        one(Some(b"00-00000000000000000000000000000000-0000000000000000-01")),
        one(Some(&long)),
        raw::headers([(&b"tracestate"[..], Some(&b"\xff"[..])), (b"baggage", Some(b"=,;\xff"))]),
        raw::headers([(&b"\xff\xfe"[..], Some(&b"1"[..])), (b"traceparent", Some(good))]),
        raw::headers([(&b"traceparent"[..], Some(good)), (b"baggage", Some(b"\xff"))]),
    ]
}

#[tokio::test]
async fn ten_poisoned_messages_among_a_thousand_do_no_harm() {
    let service = service_with(Recorder::new(), |builder| builder.message_key(MessageKey::Plain)).await;
    let topic = topic(1).await;
    let good = b"00-11111111111111111111111111111111-2222222222222222-01";
    // Past the instrumentation: every message has a trace of its own, and every 99th is followed by a poisoned one.
    let producer: rdkafka::producer::BaseProducer = broker().await.client_config().create().unwrap();
    let senders = Recorder::new();
    let mut bad = poisoned(good).into_iter();
    for number in 0..GOOD {
        let (cx, _) = inside(&senders, "sender");
        let mut record = BaseRecord::to(&topic).key("17").payload("payload");
        carrier_kafka::inject(&cx, &mut record);
        producer.send(record).map_err(|(error, _)| error).unwrap();
        if number % 99 == 98 {
            let record = BaseRecord::to(&topic).key(&b"\xff\x00"[..]).payload("payload");
            let record = record.headers(bad.next().unwrap());
            producer.send(record).map_err(|(error, _)| error).unwrap();
        }
    }
    tokio::task::spawn_blocking(move || producer.flush(super::support::LIMIT).unwrap()).await.unwrap();
    let consumer = consumer(&topic).await;
    let messages = receive_all(&consumer, GOOD + 10).await;

    let batch = service.kafka.process_batch(&messages);
    let handled = batch.run(async { consumer.commit_message(&messages[GOOD + 9], CommitMode::Sync) }).await;

    handled.unwrap();
    let carried = batch.contexts().iter().filter(|cx| cx.has_active_span()).count();
    assert_eq!((batch.contexts().len(), carried), (GOOD + 10, GOOD + 2));
    let span = service.recorder.span(&format!("process {topic}"));
    let unlinked = i64::try_from(GOOD + 2 - MAX_LINKS).unwrap();
    let expected =
        batch_of(1_000, &topic).await.with([("carrier.batch.unlinked_message_count", unlinked.into())]);
    assert_eq!(Whole::from(&span).without_links(), expected);
    let linked: HashSet<_> = span.links.iter().map(|link| link.span_context.trace_id()).collect();
    assert_eq!((span.links.iter().count(), linked.len()), (MAX_LINKS, MAX_LINKS));
    assert_eq!(service.recorder.open_spans(), 0);
    let points = service.meters.of("messaging.client.consumed.messages");
    assert_eq!(points.iter().map(|point| point.count).collect::<Vec<_>>(), [1_000]);
}
