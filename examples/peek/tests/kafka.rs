//! A Kafka topic: what is said of its messages, and that nothing of a look stays behind.

use std::time::Duration;

use carrier_tests::telemetry::{BAGGAGE, TRACEPARENT};
use carrier_tests::{kafka, unique_name};
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::message::{Header, OwnedHeaders};
use rdkafka::producer::{FutureProducer, FutureRecord, Producer as _};
use rdkafka::{Offset, TopicPartitionList};
use serde_json::{Value as Json, json};

use crate::common::Ended;
use crate::{HOSTILE, assert_harmless, assert_keys, objects, peek, verdicts};

pub(crate) const LIMIT: Duration = Duration::from_secs(30);

const OTHER_PARENT: &str = "00-1af7651916cd43dd8448eb211c80319c-c7ad6b7169203331-00";

struct Topic {
    name: String,
    producer: FutureProducer,
}

impl Topic {
    async fn new(partitions: i32) -> Self {
        let name = unique_name("peek");
        kafka().await.create_topic(&name, partitions).await;
        Self { name, producer: kafka().await.producer() }
    }

    async fn send(&self, headers: &[(&str, Option<&[u8]>)]) {
        let headers = headers
            .iter()
            .fold(OwnedHeaders::new(), |headers, (key, value)| headers.insert(Header { key, value: *value }));
        let record = FutureRecord::<(), str>::to(&self.name).payload("order").headers(headers);
        self.producer.send(record, LIMIT).await.unwrap();
    }

    /// A message without headers, made at this time.
    async fn send_at(&self, partition: i32, timestamp: i64) {
        let record = FutureRecord::<(), str>::to(&self.name).payload("order");
        self.producer.send(record.partition(partition).timestamp(timestamp), LIMIT).await.unwrap();
    }

    async fn peek(&self, arguments: &[&str]) -> Ended {
        let arguments = [&["kafka", self.name.as_str()], arguments].concat();
        peek(&arguments, ("KAFKA_BROKERS", kafka().await.brokers()))
    }

    async fn places(&self, arguments: &[&str]) -> Vec<(i64, i64)> {
        let found = objects(&self.peek(&[arguments, &["--json"]].concat()).await);
        let number = |json: &Json| json.as_i64().unwrap();
        found.iter().map(|object| (number(&object["partition"]), number(&object["offset"]))).collect()
    }
}

pub(crate) async fn client(group: Option<&str>) -> BaseConsumer {
    let mut config = rdkafka::ClientConfig::new();
    config.set("bootstrap.servers", kafka().await.brokers());
    if let Some(group) = group {
        config.set("group.id", group);
    }
    config.create().unwrap()
}

async fn groups() -> Vec<String> {
    let client = client(None).await;
    // At the first request about groups, the broker has to load them.
    for _ in 0..100 {
        if let Ok(list) = tokio::task::block_in_place(|| client.fetch_group_list(None, LIMIT)) {
            return list.groups().iter().map(|group| group.name().to_owned()).collect();
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    panic!("Kafka does not tell its groups");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_in_a_message_is_said() {
    let topic = Topic::new(1).await;
    let (parent, other) = (Some(TRACEPARENT.as_bytes()), Some(OTHER_PARENT.as_bytes()));
    topic.send(&[("traceparent", parent), ("baggage", Some(BAGGAGE.as_bytes()))]).await;
    topic.send(&[]).await;
    topic.send(&[("traceparent", Some(b"00-0-0-00"))]).await;
    topic.send(&[("traceparent", other), ("traceparent", None), ("traceparent", parent)]).await;
    topic.send(&[("traceparent", None), ("traceparent", Some(b""))]).await;
    topic.send(&[("traceparent", Some(b"\xff\x1b0"))]).await;

    let found = objects(&topic.peek(&["--json"]).await);
    let expected = [
        ("valid", "a valid context"),
        ("absent", "no context"),
        ("malformed", "traceparent is malformed: its length is wrong"),
        ("conflicting", "copies of traceparent differ"),
        ("absent", "no context"),
        ("malformed", "traceparent is malformed: its length is wrong"),
    ];
    assert_eq!(verdicts(&found), expected);
    for (offset, object) in found.iter().enumerate() {
        assert_keys(object, &["topic", "partition", "offset"]);
        assert_eq!(object["offset"], json!(offset));
        assert!((0..60_000).contains(&object["age_ms"].as_i64().unwrap()), "{object}");
    }
    assert_eq!((&found[0]["baggage_members"], &found[0]["sampled"]), (&json!(1), &json!(true)));
    // Two names and two values, each with its length in one byte.
    let bytes = "traceparent".len() + TRACEPARENT.len() + "baggage".len() + BAGGAGE.len() + 4;
    assert_eq!(found[0]["bytes"], json!(bytes));
    // The last one is used, and every copy is shown.
    assert_eq!(found[3]["trace_id"], TRACEPARENT[3..35]);
    let link = json!([{"trace_id": OTHER_PARENT[3..35], "span_id": OTHER_PARENT[36..52], "sampled": false}]);
    assert_eq!(found[3]["links"], link);
    let kinds = |object: &Json| {
        let fields = object["fields"].as_array().unwrap().iter();
        fields.map(|field| field["kind"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(kinds(&found[3]), ["text", "null", "text"]);
    assert_eq!(kinds(&found[4]), ["null", "empty"]);
    assert_eq!(kinds(&found[5]), ["binary"]);

    let ended = topic.peek(&[]).await;
    for expected in
        [OTHER_PARENT, "not used", "  null\n", "  empty\n", r#""\xff\x1b0""#, "partition 0, offset 5"]
    {
        assert!(ended.stdout.contains(expected), "{expected}: {ended:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_strangers_wrote_is_no_command_to_a_terminal() {
    let topic = Topic::new(1).await;
    let name = format!("Traceparent{HOSTILE}");
    for name in ["traceparent", "tracestate", "baggage", &name] {
        topic.send(&[(name, Some(HOSTILE.as_bytes())), ("traceparent", Some(b"\x1b]0;\xff\x07"))]).await;
    }
    assert_harmless(&topic.peek(&[]).await);
    assert_harmless(&topic.peek(&["--json"]).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_oldest_the_newest_and_an_offset_are_found_over_all_partitions() {
    let topic = Topic::new(3).await;
    // The third partition stays empty.
    for (partition, timestamp) in [(0, 1_000), (1, 2_000), (0, 3_000), (1, 4_000), (0, 5_000)] {
        topic.send_at(partition, timestamp).await;
    }
    assert_eq!(topic.places(&["-n", "2", "--from", "beginning"]).await, [(0, 0), (1, 0)]);
    assert_eq!(topic.places(&["-n", "2"]).await, [(1, 1), (0, 2)]);
    assert_eq!(topic.places(&["-n", "2", "--from", "end"]).await, [(1, 1), (0, 2)]);
    assert_eq!(topic.places(&["--from", "1"]).await, [(0, 1), (1, 1), (0, 2)]);
    assert_eq!(topic.places(&["--from", "1000000"]).await, []);
    let ended = topic.peek(&["-n", "100"]).await;
    assert!(ended.stdout.contains("(3 partitions, 5 offsets): 5 messages"), "{ended:?}");
    assert!(ended.took < Duration::from_secs(10), "it waited: {ended:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_newest_are_found_behind_the_marks_of_transactions() {
    let topic = Topic::new(1).await;
    let mut config = kafka().await.client_config();
    let producer: FutureProducer = config.set("transactional.id", &topic.name).create().unwrap();
    producer.init_transactions(LIMIT).unwrap();
    // Each takes two offsets; the last one is taken back.
    for commit in [true, true, true, false] {
        producer.begin_transaction().unwrap();
        let record = FutureRecord::<(), str>::to(&topic.name).payload("order");
        producer.send(record, LIMIT).await.unwrap();
        match commit {
            true => producer.commit_transaction(LIMIT).unwrap(),
            false => producer.abort_transaction(LIMIT).unwrap(),
        }
    }
    assert_eq!(topic.places(&["-n", "2"]).await, [(0, 2), (0, 4)]);
    assert_eq!(topic.places(&["-n", "9"]).await, [(0, 0), (0, 2), (0, 4)]);
    assert_eq!(topic.places(&["-n", "2", "--from", "beginning"]).await, [(0, 0), (0, 2)]);
}

#[tokio::test(flavor = "multi_thread")]
async fn no_group_and_no_offset_stays_behind() {
    let topic = Topic::new(1).await;
    topic.send(&[]).await;
    let before = groups().await;
    for _ in 0..2 {
        assert_eq!(objects(&topic.peek(&["--json"]).await).len(), 1);
    }
    let new: Vec<_> = groups().await.into_iter().filter(|group| !before.contains(group)).collect();
    assert_eq!(new, [""; 0]);

    let client = client(Some("carrier-peek")).await;
    let mut asked = TopicPartitionList::new();
    asked.add_partition(&topic.name, 0);
    let committed = tokio::task::block_in_place(|| client.committed_offsets(asked, LIMIT)).unwrap();
    assert_eq!(committed.elements()[0].offset(), Offset::Invalid);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_time_to_come_is_a_clock_ahead_and_no_negative_age() {
    let topic = Topic::new(1).await;
    let soon = std::time::SystemTime::now() + Duration::from_secs(600);
    let soon = soon.duration_since(std::time::UNIX_EPOCH).unwrap().as_millis();
    topic.send_at(0, i64::try_from(soon).unwrap()).await;
    let object = objects(&topic.peek(&["--json"]).await).remove(0);
    assert!(object["age_ms"].is_null(), "{object}");
    assert!((500_000..=600_000).contains(&object["clock_ahead_ms"].as_i64().unwrap()), "{object}");
    assert!(topic.peek(&[]).await.stdout.contains("clock ahead"));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_empty_topic_is_said_and_a_missing_one_stays_missing() {
    let topic = Topic::new(2).await;
    let ended = topic.peek(&[]).await;
    assert!(ended.code == Some(0) && ended.stdout.contains("is empty"), "{ended:?}");

    let missing = unique_name("missing");
    for _ in 0..2 {
        peek(&["kafka", &missing], ("KAFKA_BROKERS", kafka().await.brokers())).assert_refuses(1, &missing);
    }
    let client = client(None).await;
    let all = tokio::task::block_in_place(|| client.fetch_metadata(None, LIMIT)).unwrap();
    assert!(all.topics().iter().all(|topic| topic.name() != missing));
}
