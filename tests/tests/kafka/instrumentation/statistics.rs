//! librdkafka's statistics as metrics: the lag is compared with the broker's own offsets.

use std::collections::BTreeSet;
use std::time::Duration;

use carrier_kafka::instrumentation::ClientStatistics;
use carrier_kafka::testing;
use carrier_tests::telemetry::{Point, Recorder};
use carrier_tests::unique_name;
use opentelemetry::Context;
use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer as _, StreamConsumer};
use rdkafka::producer::{BaseRecord, DefaultProducerContext, FutureRecord, Producer as _, ThreadedProducer};
use rdkafka::{ClientConfig, Message as _, TopicPartitionList};

use super::support::{LIMIT, Service, broker, config, service, service_with, topic, within};

type Recorded = StreamConsumer<ClientStatistics>;

const LAG: &str = "carrier.kafka.consumer.lag";
const STORED_LAG: &str = "carrier.kafka.consumer.stored_lag";

async fn settings(group: &str, more: &[(&str, &str)]) -> ClientConfig {
    let mut config = config().await;
    config.remove("message.timeout.ms");
    config.set("group.id", group).set("statistics.interval.ms", "50").set("auto.offset.reset", "earliest");
    config.set("enable.auto.commit", "false").set("session.timeout.ms", "6000");
    for (key, value) in more {
        config.set(*key, *value);
    }
    config
}

/// A consumer whose statistics are recorded.
async fn consumer(service: &Service, topic: &str, group: &str, more: &[(&str, &str)]) -> Recorded {
    let config = settings(group, more).await;
    let consumer: Recorded = config.create_with_context(service.kafka.statistics()).unwrap();
    consumer.subscribe(&[topic]).unwrap();
    consumer
}

/// Produces messages past the instrumentation, into one partition.
async fn produce(topic: &str, partition: i32, count: usize) {
    for _ in 0..count {
        let record = FutureRecord::<str, str>::to(topic).payload("payload").partition(partition);
        broker().await.producer().send(record, LIMIT).await.unwrap();
    }
}

/// The partition and the lag of each series.
fn lags(service: &Service, metric: &str) -> Vec<(String, u64)> {
    let partition =
        |point: &Point| point.attribute("messaging.destination.partition.id").unwrap().to_string();
    let mut lags: Vec<_> =
        service.meters.of(metric).iter().map(|point| (partition(point), point.count)).collect();
    lags.sort();
    lags
}

/// Polls the consumers until it is so.
async fn poll_until(consumers: &[&Recorded], what: &str, is_so: impl Fn() -> bool) {
    within(what, async {
        while !is_so() {
            for consumer in consumers {
                let _nothing = tokio::time::timeout(Duration::from_millis(20), consumer.recv()).await;
            }
        }
    })
    .await;
}

/// The broker's high watermark, asked by another client.
async fn end(topic: &str) -> i64 {
    let client: BaseConsumer = settings("unused", &[]).await.create().unwrap();
    let topic = topic.to_owned();
    let ask = move || client.fetch_watermarks(&topic, 0, LIMIT).unwrap().1;
    tokio::task::spawn_blocking(ask).await.unwrap()
}

/// Receives so many messages, commits after the one with offset `commit`, and then receives no more.
async fn receive(consumer: &Recorded, count: usize, commit: Option<i64>) {
    consumer.resume(&consumer.assignment().unwrap()).unwrap();
    for _ in 0..count {
        let message = within("a message", consumer.recv()).await.unwrap();
        if Some(message.offset()) == commit {
            consumer.commit_message(&message, CommitMode::Sync).unwrap();
        }
    }
    consumer.pause(&consumer.assignment().unwrap()).unwrap();
}

/// A producer in a transaction.
async fn transaction() -> ThreadedProducer<DefaultProducerContext> {
    let mut config = config().await;
    config.set("transactional.id", unique_name("transaction"));
    let producer: ThreadedProducer<_> = config.create().unwrap();
    producer.init_transactions(LIMIT).unwrap();
    producer.begin_transaction().unwrap();
    producer
}

fn offset_of(list: &TopicPartitionList) -> Option<i64> {
    list.elements()[0].offset().to_raw()
}

#[tokio::test]
async fn the_lag_is_the_brokers_end_minus_the_committed_and_the_stored_offset() {
    let service = service().await;
    let topic = topic(1).await;
    produce(&topic, 0, 1).await;
    let consumer = consumer(&service, &topic, &unique_name("group"), &[]).await;
    for (produced, received, commit) in [(9, 4, Some(2)), (5, 1, None), (0, 10, Some(14))] {
        produce(&topic, 0, produced).await;
        receive(&consumer, received, commit).await;
        let end = end(&topic).await;
        let after =
            |offset: Option<i64>| vec![("0".to_owned(), u64::try_from(end - offset.unwrap()).unwrap())];
        let committed = after(offset_of(&consumer.committed(LIMIT).unwrap()));
        let stored = after(offset_of(&consumer.position().unwrap()));
        poll_until(&[&consumer], "the lag", || {
            (lags(&service, LAG), lags(&service, STORED_LAG)) == (committed.clone(), stored.clone())
        })
        .await;
    }
    assert_eq!(
        (lags(&service, LAG), lags(&service, STORED_LAG)),
        (vec![("0".to_owned(), 0)], vec![("0".to_owned(), 0)])
    );
}

#[tokio::test]
async fn without_a_committed_offset_there_is_only_the_stored_lag() {
    let service = service().await;
    let topic = topic(1).await;
    produce(&topic, 0, 3).await;
    let consumer = consumer(&service, &topic, &unique_name("group"), &[]).await;
    receive(&consumer, 1, None).await;
    poll_until(&[&consumer], "the lag", || lags(&service, STORED_LAG) == [("0".to_owned(), 2)]).await;
    assert_eq!(lags(&service, LAG), []);
}

#[tokio::test]
async fn offsets_that_a_transaction_commits_are_only_in_the_stored_lag() {
    let service = service().await;
    let topic = topic(1).await;
    produce(&topic, 0, 5).await;
    let group = unique_name("group");
    let first = consumer(&service, &topic, &group, &[]).await;
    receive(&first, 3, None).await;
    let producer = transaction().await;
    let group_of_first = first.group_metadata().unwrap();
    producer.send_offsets_to_transaction(&first.position().unwrap(), &group_of_first, LIMIT).unwrap();
    producer.commit_transaction(LIMIT).unwrap();
    assert_eq!(offset_of(&first.committed(LIMIT).unwrap()), Some(3));
    poll_until(&[&first], "the stored lag", || lags(&service, STORED_LAG) == [("0".to_owned(), 2)]).await;
    assert_eq!(lags(&service, LAG), []);
}

#[tokio::test]
async fn the_lag_of_a_paused_partition_has_the_end_of_the_last_fetch() {
    let service = service().await;
    let topic = topic(1).await;
    produce(&topic, 0, 3).await;
    let more = [("fetch.wait.max.ms", "50")];
    let consumer = consumer(&service, &topic, &unique_name("group"), &more).await;
    receive(&consumer, 1, Some(0)).await;
    let poll = async || tokio::time::timeout(Duration::from_secs(1), consumer.recv()).await.is_err();
    // The fetch that waits at the broker ends.
    assert!(poll().await);
    assert_eq!(lags(&service, LAG), [("0".to_owned(), 2)]);
    produce(&topic, 0, 4).await;
    assert!(poll().await);
    assert!(service.meters.point("carrier.kafka.client.statistics_age").sum < 1.0);
    assert_eq!(lags(&service, LAG), [("0".to_owned(), 2)]);
    receive(&consumer, 1, None).await;
    poll_until(&[&consumer], "the lag", || lags(&service, LAG) == [("0".to_owned(), 6)]).await;
}

#[tokio::test]
async fn a_partition_that_another_member_gets_disappears_from_the_lag_of_the_first() {
    let service = service().await;
    let topic = topic(2).await;
    for partition in 0..2 {
        produce(&topic, partition, 1).await;
    }
    let group = unique_name("group");
    let first = consumer(&service, &topic, &group, &[]).await;
    receive(&first, 2, None).await;
    // Both messages are handled: what a member gets later is committed.
    first.commit_consumer_state(CommitMode::Sync).unwrap();
    let names = || -> Vec<_> {
        let points = service.meters.of(LAG);
        let name = |point: &Point| point.attribute("carrier.kafka.client.name").unwrap().to_string();
        points.iter().map(name).collect::<BTreeSet<_>>().into_iter().collect()
    };
    poll_until(&[&first], "both partitions", || lags(&service, LAG).len() == 2).await;
    assert_eq!(names().len(), 1);

    let second = consumer(&service, &topic, &group, &[]).await;
    poll_until(&[&first, &second], "one partition for each", || {
        names().len() == 2 && lags(&service, LAG).len() == 2
    })
    .await;
    assert_eq!(lags(&service, LAG), [("0".to_owned(), 0), ("1".to_owned(), 0)]);

    drop(first);
    assert_eq!(names().len(), 1);
    poll_until(&[&second], "all for the second", || lags(&service, LAG).len() == 2).await;
    assert_eq!(names().len(), 1);
}

#[tokio::test]
async fn a_consumer_of_committed_messages_does_not_count_those_of_an_open_transaction() {
    let service = service().await;
    let topic = topic(1).await;
    produce(&topic, 0, 3).await;
    let producer = transaction().await;
    for _ in 0..4 {
        producer.send(BaseRecord::<str, str>::to(&topic).payload("payload")).unwrap();
    }
    producer.flush(LIMIT).unwrap();
    for (isolation, expected) in [("read_committed", 2), ("read_uncommitted", 6)] {
        let more = [("isolation.level", isolation)];
        let consumer = consumer(&service, &topic, &unique_name("group"), &more).await;
        receive(&consumer, 1, Some(0)).await;
        poll_until(&[&consumer], isolation, || lags(&service, LAG) == [("0".to_owned(), expected)]).await;
    }
    producer.abort_transaction(LIMIT).unwrap();
}

#[tokio::test]
async fn a_producer_and_a_consumer_count_the_messages_and_bytes_of_the_broker_and_have_its_clusters_id() {
    let config = settings("unused", &[]).await;
    let client: BaseConsumer = config.create().unwrap();
    let ask = move || client.client().fetch_cluster_id(LIMIT).unwrap();
    let id = tokio::task::spawn_blocking(ask).await.unwrap();
    let service = service_with(Recorder::new(), |builder| builder.cluster_id(id.clone())).await;
    let topic = topic(1).await;
    let mut config = super::support::config().await;
    config.set("statistics.interval.ms", "50");
    let producer = service.kafka.future_producer(&config).unwrap();
    for _ in 0..7 {
        producer.send(FutureRecord::<str, str>::to(&topic).payload("payload"), LIMIT).await.unwrap();
    }
    // Each interval has the answer to a fetch.
    let more = [("statistics.interval.ms", "1000")];
    let consumer = consumer(&service, &topic, &unique_name("group"), &more).await;
    receive(&consumer, 7, Some(6)).await;
    consumer.resume(&consumer.assignment().unwrap()).unwrap();
    let of = |metric: &str| {
        service.meters.of(&format!("carrier.kafka.{metric}")).first().map_or(0, |point| point.count)
    };
    poll_until(&[&consumer], "the totals", || {
        of("producer.sent.messages") == 7 && of("consumer.received.messages") == 7
    })
    .await;
    // librdkafka's documentation says "including framing", but these are keys and payloads.
    let bytes = "payload".len() as u64 * 7;
    assert_eq!((of("producer.sent.size"), of("consumer.received.size")), (bytes, bytes));
    assert_eq!((of("producer.queue.messages"), of("client.retries")), (0, 0));
    let mean = service.meters.of("carrier.kafka.broker.rtt.average");
    assert!(mean.iter().any(|point| point.sum > 0.0 && point.sum < LIMIT.as_secs_f64()), "{mean:#?}");
    drop(service.kafka.process(testing::message(&Context::new(), &topic, b"payload")));
    let points = service.meters.points();
    assert!(points.iter().any(|point| point.metric == "messaging.client.consumed.messages"));
    for point in points {
        assert_eq!(point.attribute("messaging.kafka.cluster.id"), Some(&id.clone().into()), "{point:#?}");
    }
    for span in service.recorder.spans() {
        let ids: Vec<_> =
            span.attributes.iter().filter(|pair| pair.key.as_str() == "messaging.kafka.cluster.id").collect();
        assert_eq!(ids.len(), 1, "{span:#?}");
        assert_eq!(ids[0].value, id.clone().into());
    }
}
