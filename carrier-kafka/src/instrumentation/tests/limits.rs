//! Limits: a record that is taken without us is taken with us.

use carrier_core::testing::assert_consistent;
use opentelemetry::KeyValue;
use opentelemetry::baggage::BaggageExt as _;
use rdkafka::producer::BaseRecord;

use super::*;
use crate::native;

const LIMIT: usize = 20_000;

/// A key with a NUL hides the rest of its bytes from us.
const HIDDEN: usize = 10_000;

fn limited() -> ClientConfig {
    let mut config = ClientConfig::new();
    config.set("message.max.bytes", LIMIT.to_string());
    config
}

type Record<'a> = BaseRecord<'a, (), str>;

/// The trace with baggage that a record is sent in.
fn heavy() -> Context {
    remote_context().with_baggage([KeyValue::new("k", "v".repeat(100))])
}

/// The names of the headers with which librdkafka gets a record, and whether the span says that ours were left out.
fn sent(kafka: &Recorded, config: &ClientConfig, record: Record<'_>) -> Option<(Vec<String>, bool)> {
    let context = Names::default();
    let producer = kafka.kafka.base_producer_with_context(config, context.clone()).unwrap();
    let current = heavy().attach();
    let result = producer.send(record);
    drop(current);
    producer.purge(PurgeConfig::default().queue());
    producer.flush(Duration::from_secs(10)).unwrap();
    let left_out = attribute_of(&kafka.one(), attribute::CONTEXT_LEFT_OUT);
    kafka.exporter.reset();
    result.ok()?;
    let names = context.0.lock().unwrap().clone();
    Some((names, left_out == Some(true.into())))
}

/// A context that remembers the names of a message's headers.
#[derive(Clone, Default)]
struct Names(Arc<Mutex<Vec<String>>>);

impl ClientContext for Names {}

impl ProducerContext for Names {
    type DeliveryOpaque = ();

    fn delivery(&self, result: &DeliveryResult<'_>, (): ()) {
        let (Ok(message) | Err((_, message))) = result;
        let headers = rdkafka::Message::headers(message).map(|headers| headers.detach());
        let names = headers
            .iter()
            .flat_map(|headers| headers.iter().map(|header| header.key.to_owned()).collect::<Vec<_>>());
        *self.0.lock().unwrap() = names.collect();
    }
}

#[test]
fn a_limit_counts_whether_the_builder_or_the_producer_was_told() {
    let (limited, unlimited) = (limited(), ClientConfig::new());
    let mut larger = ClientConfig::new();
    larger.set("message.max.bytes", "1000000");
    // Room for a traceparent of 68 bytes, and not for the baggage; then for nothing.
    let (some, little) = ("x".repeat(LIMIT - 36 - 100), "x".repeat(LIMIT - 36 - 67));
    for (built, created, is_limited) in [
        (&limited, &limited, true),
        (&limited, &unlimited, true),
        (&unlimited, &limited, true),
        (&larger, &limited, true),
        // The producer's own configuration is right about the producer.
        (&limited, &larger, false),
    ] {
        let recorded = recorded(|builder| builder.config(built));
        let (names, left_out) = sent(&recorded, created, Record::to("t").payload(&some)).unwrap();
        let expected: &[&str] = if is_limited { &["traceparent"] } else { &["traceparent", "baggage"] };
        assert_eq!((&names[..], left_out), (&expected.map_owned()[..], false));
        let (names, left_out) = sent(&recorded, created, Record::to("t").payload(&little)).unwrap();
        let expected: &[&str] = if is_limited { &[] } else { expected };
        assert_eq!((&names[..], left_out), (&expected.map_owned()[..], is_limited));
    }
}

trait MapOwned {
    fn map_owned(&self) -> Vec<String>;
}

impl MapOwned for &[&str] {
    fn map_owned(&self) -> Vec<String> {
        self.iter().map(|name| (*name).to_owned()).collect()
    }
}

#[test]
fn a_limit_of_two_configurations_is_the_smaller_one() {
    let mut larger = ClientConfig::new();
    larger.set("message.max.bytes", "1000000");
    for configs in [[limited(), larger.clone()], [larger, limited()]] {
        let recorded = recorded(|builder| configs.iter().fold(builder, KafkaInstrumentationBuilder::config));
        let payload = "x".repeat(LIMIT - 36 - 100);
        let (names, _) = sent(&recorded, &ClientConfig::new(), Record::to("t").payload(&payload)).unwrap();
        assert_eq!(names, ["traceparent"]);
    }
}

#[test]
fn near_a_limit_every_record_is_taken_that_rdkafka_takes() {
    let recorded = recorded(|builder| builder.config(&limited()));
    let ours = recorded.kafka.future_producer(&limited()).unwrap();
    let theirs: rdkafka::producer::BaseProducer = limited().create().unwrap();
    let _current = heavy().attach();
    for size in LIMIT - 400..LIMIT {
        let payload = "x".repeat(size);
        let plain = theirs.send(Record::to("t").payload(&payload)).is_ok();
        let with_us = ours.send_result(FutureRecord::<(), str>::to("t").payload(&payload)).is_ok();
        assert_eq!(with_us, plain, "{size}");
    }
}

fn with_hidden(name: &str) -> OwnedHeaders {
    let key = format!("{name}\0{}", "x".repeat(HIDDEN));
    OwnedHeaders::new().insert(Header { key: &key, value: Some("1") })
}

#[test]
fn a_record_that_is_larger_than_we_can_see_is_sent_without_our_headers() {
    let recorded = recorded(|builder| builder.config(&limited()));
    let payload = "x".repeat(LIMIT - HIDDEN - 100);
    for (name, kept) in [("user", &["user"][..]), ("traceparent", &[])] {
        let record = Record::to("t").payload(&payload).headers(with_hidden(name));
        let (names, left_out) = sent(&recorded, &limited(), record).unwrap();
        // The old context makes way, as always. Without it there is room.
        let is_old = kept.is_empty();
        assert_eq!(left_out, !is_old);
        assert_eq!(names, if is_old { vec!["traceparent", "baggage"] } else { kept.to_vec() });
    }
    // Without any headers of its own, and with an old context as well.
    let old =
        Header { key: "traceparent", value: Some("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01") };
    let record = Record::to("t").payload(&payload).headers(with_hidden("user").insert(old));
    assert_eq!(sent(&recorded, &limited(), record).unwrap(), (vec!["user".to_owned()], true));
}

#[test]
fn a_future_record_that_is_larger_than_we_can_see_is_sent_as_well() {
    let recorded = recorded(|builder| builder);
    let producer = recorded.kafka.future_producer(&limited()).unwrap();
    let payload = "x".repeat(LIMIT - HIDDEN - 100);
    let record = FutureRecord::<(), str>::to("t").payload(&payload).headers(with_hidden("user"));
    let _current = heavy().attach();
    drop(producer.send_result(record).unwrap());
    drop(producer);
    assert_eq!(attribute_of(&recorded.one(), attribute::CONTEXT_LEFT_OUT), Some(true.into()));
}

#[test]
fn a_record_that_is_too_large_anyway_comes_back_with_every_byte_of_its_headers() {
    let recorded = recorded(|builder| builder);
    let producer = recorded.kafka.base_producer(&limited()).unwrap();
    let smaller: rdkafka::producer::BaseProducer = limited().create().unwrap();
    let _current = heavy().attach();
    let large = "x".repeat(LIMIT);
    for name in ["user", "traceparent", "Traceparent"] {
        let mut record = Record::to("t").payload(&large).headers(with_hidden(name));
        assert_consistent(&crate::RecordCarrier::new(&mut record.headers, LIMIT));
        let (error, record) = producer.send(record).unwrap_err();
        assert_eq!(error, KafkaError::MessageProduction(RDKafkaErrorCode::MessageSizeTooLarge));
        assert_eq!(headers_of(&record.headers), Some(vec![(name, Some(&b"1"[..]))]));
        assert_eq!(native::count(record.headers.as_ref().unwrap().as_borrowed()), 1);
        // The bytes after the NUL are there: librdkafka counts them, and the lengths of key and value.
        let fits = "x".repeat(LIMIT - HIDDEN - 36 - name.len() - 6);
        let too_large = format!("{fits}x");
        for (payload, is_taken) in [(&too_large, false), (&fits, true)] {
            let again = Record { headers: record.headers.clone(), ..Record::to("t").payload(payload) };
            assert_eq!(smaller.send(again).is_ok(), is_taken, "{name}");
        }
        assert_eq!(error_type(&recorded.one()).as_deref(), Some("MESSAGE_TOO_LARGE"));
        recorded.exporter.reset();
    }
}
