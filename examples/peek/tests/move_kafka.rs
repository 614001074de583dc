//! Dead letters of Kafka that are copied back: none is left out, and each stays in its trace.

use std::collections::BTreeMap;
use std::process::{Command, Stdio};
use std::time::Duration;

use carrier_kafka::extract_with;
use carrier_tests::telemetry::{Recorder, TRACEPARENT};
use carrier_tests::{kafka, unique_name};
use opentelemetry::Context;
use opentelemetry::trace::{Span as _, TraceContextExt as _, Tracer as _};
use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::client::DefaultClientContext;
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::message::{Header, Headers as _, OwnedHeaders, OwnedMessage};
use rdkafka::producer::{FutureProducer, FutureRecord};
use rdkafka::{Message as _, Offset, TopicPartitionList};

use crate::common::Ended;
use crate::kafka::{LIMIT, client};
use crate::peek;

/// A topic and the topic of its dead letters.
struct Topics {
    orders: String,
    dead: String,
    producer: FutureProducer,
}

impl Topics {
    async fn new(partitions: i32) -> Self {
        let (orders, dead) = (unique_name("orders"), unique_name("dead"));
        kafka().await.create_topic(&orders, partitions).await;
        kafka().await.create_topic(&dead, partitions).await;
        Self { orders, dead, producer: kafka().await.producer() }
    }

    /// Dead letters without headers, with their numbers in them.
    async fn die(&self, numbers: std::ops::Range<u32>) {
        let mut sent = Vec::new();
        for number in numbers {
            let body = number.to_string();
            sent.push(
                self.producer.send_result(FutureRecord::<(), _>::to(&self.dead).payload(&body)).unwrap(),
            );
        }
        for sent in sent {
            sent.await.unwrap().unwrap();
        }
    }

    fn arguments(&self) -> [&str; 6] {
        ["move", "kafka", "--from", &self.dead, "--to", &self.orders]
    }

    async fn back(&self, more: &[&str]) -> Ended {
        peek(&[&self.arguments()[..], more].concat(), ("KAFKA_BROKERS", kafka().await.brokers()))
    }

    #[track_caller]
    fn assert_says(ended: &Ended, expected: &str) {
        assert!(ended.code == Some(0) && ended.stdout.contains(expected), "{expected}: {ended:?}");
    }

    /// All records of the topic `orders`, in the order of each partition.
    async fn orders(&self) -> Vec<OwnedMessage> {
        let client = client(Some(&self.orders)).await;
        tokio::task::block_in_place(|| records(&client, &self.orders))
    }

    async fn numbers(&self) -> Vec<u32> {
        let number =
            |record: &OwnedMessage| std::str::from_utf8(record.payload().unwrap()).unwrap().parse().unwrap();
        let mut numbers: Vec<u32> = self.orders().await.iter().map(number).collect();
        numbers.sort_unstable();
        numbers
    }
}

fn records(client: &BaseConsumer, topic: &str) -> Vec<OwnedMessage> {
    let metadata = client.fetch_metadata(Some(topic), LIMIT).unwrap();
    let (mut partitions, mut left) = (TopicPartitionList::new(), 0);
    for partition in metadata.topics()[0].partitions() {
        let (low, high) = client.fetch_watermarks(topic, partition.id(), LIMIT).unwrap();
        left += high - low;
        partitions.add_partition_offset(topic, partition.id(), Offset::Beginning).unwrap();
    }
    client.assign(&partitions).unwrap();
    (0..left).map(|_| client.poll(LIMIT).unwrap().unwrap().detach()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dead_letter_that_is_copied_back_and_handled_again_stays_in_its_trace() {
    let topics = Topics::new(1).await;
    let recorder = Recorder::new();
    let tracer = recorder.tracer();
    let sending = Context::new().with_span(tracer.start_with_context("send", &Context::new()));
    let propagation = carrier_core::Propagation::builder().propagator(carrier_core::w3c()).build();
    let mut record = FutureRecord::<(), _>::to(&topics.orders).payload("17");
    carrier_kafka::inject_with(&propagation, &sending, &mut record);
    topics.producer.send(record, LIMIT).await.unwrap();
    sending.span().end();

    // The handler gives up, and copies it as it is.
    let record = topics.orders().await.remove(0);
    let headers = record.headers().unwrap().clone();
    let letter = FutureRecord::<(), _>::to(&topics.dead).payload("17").headers(headers);
    topics.producer.send(letter, LIMIT).await.unwrap();

    Topics::assert_says(&topics.back(&[]).await, "moved 1 message of 1");
    let again = topics.orders().await.remove(1);
    tracer.start_with_context("handle", &extract_with(&propagation, &again)).end();

    let (send, handle) = (recorder.span("send"), recorder.span("handle"));
    assert_eq!(handle.span_context.trace_id(), send.span_context.trace_id());
    assert_eq!(handle.parent_span_id, send.span_context.span_id());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_copied_record_keeps_its_key_value_headers_and_time() {
    let topics = Topics::new(1).await;
    let headers: [(&str, Option<&[u8]>); 6] = [
        ("TraceParent", Some(TRACEPARENT.as_bytes())),
        ("traceparent", Some(b"00-0")),
        ("user", None),
        ("traceparent", Some(b"\xff")),
        ("user", Some(b"")),
        ("", Some(b"1")),
    ];
    let all = headers
        .iter()
        .fold(OwnedHeaders::new(), |all, (key, value)| all.insert(Header { key, value: *value }));
    let whole = FutureRecord::<[u8], [u8]>::to(&topics.dead);
    let whole = whole.key(b"\xff\x00").payload(b"\x00\xfe").headers(all).timestamp(1_700_000_000_123);
    topics.producer.send(whole, LIMIT).await.unwrap();
    let tombstone = FutureRecord::<[u8], [u8]>::to(&topics.dead).key(b"");
    topics.producer.send(tombstone, LIMIT).await.unwrap();

    Topics::assert_says(&topics.back(&[]).await, "moved 2 messages of 2");
    let records = topics.orders().await;
    assert_eq!((records[0].key(), records[0].payload()), (Some(&b"\xff\x00"[..]), Some(&b"\x00\xfe"[..])));
    assert_eq!(records[0].timestamp().to_millis(), Some(1_700_000_000_123));
    let found = records[0].headers().unwrap();
    let found: Vec<_> = found.iter().map(|header| (header.key, header.value)).collect();
    assert_eq!(found, headers);
    assert_eq!((records[1].key(), records[1].payload()), (Some(&b""[..]), None));
    assert!(records[1].headers().is_none());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_copied_is_not_copied_again() {
    let topics = Topics::new(2).await;
    topics.die(0..5).await;
    Topics::assert_says(&topics.back(&["--dry-run"]).await, "would move 5 messages of 5");
    Topics::assert_says(&topics.back(&["--dry-run", "-n", "3"]).await, "would move 3 messages of 5");
    assert!(topics.orders().await.is_empty());
    Topics::assert_says(&topics.back(&["-n", "3"]).await, "moved 3 messages of 5");
    Topics::assert_says(&topics.back(&[]).await, "moved 2 messages of 2");
    Topics::assert_says(&topics.back(&[]).await, "moved 0 messages of 0");
    topics.die(5..6).await;
    Topics::assert_says(&topics.back(&[]).await, "moved 1 message of 1");
    assert_eq!(topics.numbers().await, [0, 1, 2, 3, 4, 5]);
    // Another group begins again.
    Topics::assert_says(&topics.back(&["--group", &topics.orders]).await, "moved 6 messages of 6");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_chooses_the_partition_as_the_producers_do() {
    for (option, partitioner) in [("librdkafka", "consistent_random"), ("java", "murmur2_random")] {
        let topics = Topics::new(7).await;
        let mut config = kafka().await.client_config();
        let producer: FutureProducer = config.set("partitioner", partitioner).create().unwrap();
        let mut expected = BTreeMap::new();
        for number in 0..20 {
            let key = format!("order {number}");
            let original = FutureRecord::to(&topics.orders).key(&key).payload("");
            expected.insert(key.clone(), producer.send(original, LIMIT).await.unwrap().partition);
            let letter = FutureRecord::to(&topics.dead).key(&key).payload("").partition(0);
            producer.send(letter, LIMIT).await.unwrap();
        }
        Topics::assert_says(&topics.back(&["--partitioner", option]).await, "moved 20 messages of 20");
        let records = topics.orders().await;
        assert_eq!(records.len(), 40);
        for record in records {
            let key = std::str::from_utf8(record.key().unwrap()).unwrap();
            assert_eq!(record.partition(), expected[key], "{option}: {key}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_topic_that_is_missing_stays_missing() {
    let topics = Topics::new(1).await;
    let missing = unique_name("missing");
    let brokers = ("KAFKA_BROKERS", kafka().await.brokers());
    topics.die(0..1).await;
    peek(&["move", "kafka", "--from", &topics.dead, "--to", &missing], brokers).assert_refuses(1, &missing);
    peek(&["move", "kafka", "--from", &missing, "--to", &topics.dead], brokers).assert_refuses(1, &missing);
    peek(&["move", "kafka", "--from", &missing, "--to", &missing], brokers).assert_refuses(2, "the same");
    let client = client(None).await;
    let all = tokio::task::block_in_place(|| client.fetch_metadata(None, LIMIT)).unwrap();
    assert!(all.topics().iter().all(|topic| topic.name() != missing));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_record_that_cannot_be_copied_is_tried_again() {
    let topics = Topics::new(1).await;
    let small = unique_name("small");
    let admin: AdminClient<DefaultClientContext> = kafka().await.client_config().create().unwrap();
    let topic = NewTopic::new(&small, 1, TopicReplication::Fixed(1)).set("max.message.bytes", "1000");
    admin.create_topics([&topic], &AdminOptions::new()).await.unwrap().remove(0).unwrap();
    let large = "1".repeat(2_000);
    for body in ["0", &large, "2"] {
        topics.producer.send(FutureRecord::<(), _>::to(&topics.dead).payload(body), LIMIT).await.unwrap();
    }
    let brokers = ("KAFKA_BROKERS", kafka().await.brokers());
    let arguments = ["move", "kafka", "--from", &topics.dead, "--to", &small];
    // One by one, so that the large one is not in a batch with others.
    let first = peek(&[&arguments[..], &["-n", "1"]].concat(), brokers);
    Topics::assert_says(&first, "moved 1 message of 3");
    for _ in 0..2 {
        peek(&arguments, brokers).assert_refuses(1, "0 messages moved");
    }
    Topics::assert_says(
        &peek(&[&arguments[..], &["--dry-run"]].concat(), brokers),
        "would move 2 messages of 2",
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_copy_that_is_stopped_leaves_no_record_out() {
    const COUNT: u32 = 20_000;
    for (signal, code, twice) in [("-INT", Some(130), 0), ("-KILL", None, 100)] {
        let topics = Topics::new(3).await;
        topics.die(0..COUNT).await;
        let mut command = Command::new(env!("CARGO_BIN_EXE_carrier-peek"));
        command.args(topics.arguments()).env("KAFKA_BROKERS", kafka().await.brokers());
        let mut child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        let client = client(None).await;
        tokio::task::block_in_place(|| {
            let copied = |partition| client.fetch_watermarks(&topics.orders, partition, LIMIT).unwrap().1;
            while (0..3).map(copied).sum::<i64>() < 200 {
                std::thread::sleep(Duration::from_millis(2));
            }
            Command::new("kill").args([signal, child.id().to_string().as_str()]).status().unwrap();
            assert_eq!(child.wait().unwrap().code(), code, "{signal}");
        });
        assert!(topics.orders().await.len() < COUNT as usize, "{signal}: it was not in the middle");

        // The rest can be copied afterwards.
        assert_eq!(topics.back(&[]).await.code, Some(0), "{signal}");
        let mut numbers = topics.numbers().await;
        let copies = numbers.len();
        numbers.dedup();
        assert_eq!(numbers.len(), COUNT as usize, "{signal}");
        assert!(copies - numbers.len() <= twice, "{signal}: {copies} copies");
    }
}
