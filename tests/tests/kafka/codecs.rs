//! Every compression codec: a build without one of them fails here.

use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use carrier_tests::telemetry::Recorder;
use rdkafka::producer::{BaseProducer, BaseRecord, DeliveryResult, Producer as _, ProducerContext};
use rdkafka::{ClientContext, Message as _, Statistics};

use crate::support::{LIMIT, assert_continues, consumer, kafka, publishing, receive, topic};

/// Compresses well with any codec, and fits into one message.
static PAYLOAD: [u8; 200_000] = [b'x'; 200_000];

/// What librdkafka reports: how often it did, and how much it had sent then.
#[derive(Default)]
struct Sent {
    reports: AtomicU64,
    bytes: AtomicU64,
    failure: Mutex<Option<String>>,
}

impl ClientContext for Sent {
    fn stats(&self, statistics: Statistics) {
        let bytes = statistics.brokers.values().map(|broker| broker.txbytes).sum();
        self.bytes.store(bytes, Ordering::SeqCst);
        self.reports.fetch_add(1, Ordering::SeqCst);
    }
}

impl ProducerContext for Sent {
    type DeliveryOpaque = ();

    fn delivery(&self, result: &DeliveryResult<'_>, (): ()) {
        *self.failure.lock().unwrap() = result.as_ref().err().map(|(error, _)| error.to_string());
    }
}

/// Sends `PAYLOAD` with the codec, and returns how many bytes that took.
fn send(config: &rdkafka::ClientConfig, topic: &str, cx: &opentelemetry::Context) -> u64 {
    let producer: BaseProducer<Sent> = config.create_with_context(Sent::default()).unwrap();
    let mut record = BaseRecord::<(), [u8]>::to(topic).payload(&PAYLOAD);
    carrier_kafka::inject(cx, &mut record);
    producer.send(record).map_err(|(error, _)| error).unwrap();
    producer.flush(LIMIT).unwrap();
    let sent = producer.context();
    assert_eq!(*sent.failure.lock().unwrap(), None);
    // A report may have been made before the message was sent and wait in the queue; the third was not.
    let enough = sent.reports.load(Ordering::SeqCst) + 3;
    let deadline = Instant::now() + LIMIT;
    while sent.reports.load(Ordering::SeqCst) < enough {
        assert!(Instant::now() < deadline, "no statistics within {LIMIT:?}");
        producer.poll(Duration::from_millis(100));
    }
    sent.bytes.load(Ordering::SeqCst)
}

async fn assert_carried(codec: &str) {
    let topic = topic(1).await;
    let sent = publishing(&Recorder::new());
    let mut config = kafka().await.client_config();
    // Without the codec in the build, librdkafka refuses the configuration.
    config.set("compression.type", codec).set("statistics.interval.ms", "100");
    let (to, cx) = (topic.clone(), sent.clone());
    let bytes = tokio::task::spawn_blocking(move || send(&config, &to, &cx)).await.unwrap();
    let raw = u64::try_from(PAYLOAD.len()).unwrap();
    assert_eq!(bytes > raw, codec == "none", "{codec} sent {bytes} bytes");

    let consumer = consumer(&topic).await;
    let message = receive(&consumer).await;

    assert_eq!(message.payload(), Some(&PAYLOAD[..]));
    assert_continues(&carrier_kafka::extract(&message), &sent);
}

#[tokio::test]
async fn an_uncompressed_message_carries_a_context() {
    assert_carried("none").await;
}

#[tokio::test]
async fn a_message_compressed_with_gzip_carries_a_context() {
    assert_carried("gzip").await;
}

#[tokio::test]
async fn a_message_compressed_with_snappy_carries_a_context() {
    assert_carried("snappy").await;
}

#[tokio::test]
async fn a_message_compressed_with_lz4_carries_a_context() {
    assert_carried("lz4").await;
}

#[tokio::test]
async fn a_message_compressed_with_zstd_carries_a_context() {
    assert_carried("zstd").await;
}
