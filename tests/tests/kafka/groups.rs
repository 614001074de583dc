//! Several partitions and several consumers: every message keeps its own trace.

use std::collections::{HashMap, HashSet};

use carrier_tests::telemetry::Recorder;
use futures::StreamExt as _;
use futures::stream::FuturesUnordered;
use opentelemetry::Context;
use opentelemetry::context::FutureExt as _;
use opentelemetry::trace::TraceId;
use rdkafka::Message as _;
use rdkafka::consumer::StreamConsumer;
use rdkafka::producer::{FutureProducer, FutureRecord};
use tokio::sync::mpsc;

use crate::support::{LIMIT, assert_continues, group, kafka, new_trace, receive, span_of, topic, within};

const PRODUCERS: usize = 5;
const MESSAGES_OF_EACH: usize = 2_000;
const PARTITIONS: usize = 4;

#[tokio::test]
async fn two_consumers_of_a_group_each_continue_the_trace_of_their_partition() {
    let topic = topic(2).await;
    let consumers = group(&topic, 2, 2).await;
    let recorder = Recorder::new();
    let sent = [new_trace(&recorder), new_trace(&recorder)];
    let producer = kafka().await.producer();
    for (partition, cx) in (0..).zip(&sent) {
        let mut record = FutureRecord::to(&topic).key("key").payload("payload").partition(partition);
        carrier_kafka::inject(cx, &mut record);
        producer.send(record, LIMIT).await.unwrap();
    }

    let (left, right) = tokio::join!(receive(&consumers[0]), receive(&consumers[1]));

    assert_ne!(left.partition(), right.partition());
    for message in [left, right] {
        let of_partition = &sent[usize::try_from(message.partition()).unwrap()];
        assert_continues(&carrier_kafka::extract(&message), of_partition);
    }
}

/// The payload says which span the message was sent from.
fn label(cx: &Context) -> String {
    let span = span_of(cx);
    format!("{} {}", span.trace_id(), span.span_id())
}

/// Each message has a trace of its own, which is current while the message is made and sent.
async fn produce(producer: FutureProducer, topic: String) {
    let recorder = Recorder::new();
    let one = async || {
        let payload = label(&Context::current());
        tokio::task::yield_now().await;
        let mut record = FutureRecord::<(), str>::to(&topic).payload(&payload);
        carrier_kafka::inject(&Context::current(), &mut record);
        producer.send(record, LIMIT).await.unwrap();
    };
    let mut sending: FuturesUnordered<_> =
        (0..MESSAGES_OF_EACH).map(|_| one().with_context(new_trace(&recorder))).collect();
    while sending.next().await.is_some() {}
}

/// Where a message is: it may be received twice, if its partition changes hands.
type Position = (i32, i64);

/// What a handler saw: the message, what its payload says, and what was current.
type Seen = (Position, String, Context);

async fn consume(consumer: StreamConsumer, seen: mpsc::UnboundedSender<Seen>) {
    loop {
        let message = consumer.recv().await.unwrap();
        let handler = async {
            tokio::task::yield_now().await;
            let payload = std::str::from_utf8(message.payload().unwrap()).unwrap();
            let position = (message.partition(), message.offset());
            (position, payload.to_owned(), Context::current())
        };
        let handled = handler.with_context(carrier_kafka::extract(&message)).await;
        if seen.send(handled).is_err() {
            return;
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn ten_thousand_messages_keep_their_ten_thousand_traces() {
    let topic = topic(PARTITIONS.try_into().unwrap()).await;
    let (sender, mut seen) = mpsc::unbounded_channel();
    let mut consumers = tokio::task::JoinSet::new();
    for consumer in group(&topic, PARTITIONS, 3).await {
        consumers.spawn(consume(consumer, sender.clone()));
    }
    drop(sender);
    let mut config = kafka().await.client_config();
    // A retry must not make two messages of one, and the next message may go to another partition.
    config.set("enable.idempotence", "true").set("sticky.partitioning.linger.ms", "0");
    let producer: FutureProducer = config.create().unwrap();
    let mut producers = tokio::task::JoinSet::new();
    for _ in 0..PRODUCERS {
        producers.spawn(produce(producer.clone(), topic.clone()));
    }

    let mut traces: HashMap<TraceId, Position> = HashMap::new();
    while traces.len() < PRODUCERS * MESSAGES_OF_EACH {
        let (position, sent_from, found) = within("the next message", seen.recv()).await.unwrap();
        assert_eq!(label(&found), sent_from);
        let first = *traces.entry(span_of(&found).trace_id()).or_insert(position);
        assert_eq!(first, position, "two messages have one trace");
    }
    let used: HashSet<i32> = traces.values().map(|(partition, _)| *partition).collect();
    assert_eq!(used.len(), PARTITIONS);
    within("the producers", producers.join_all()).await;
}
