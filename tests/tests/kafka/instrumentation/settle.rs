//! Commits made through our calls, with spans where they are wanted.

use std::collections::HashMap;

use carrier_tests::telemetry::Recorder;
use rdkafka::consumer::{CommitMode, Consumer as _};
use rdkafka::error::KafkaError;
use rdkafka::{Offset, TopicPartitionList};

use super::support::{
    Service, at, committing, consumer, of_none, processing, receive, sent, service, service_with, span_of,
    topic,
};

async fn settling() -> Service {
    service_with(Recorder::new(), |builder| builder.settle_spans(true)).await
}

fn committed(consumer: &rdkafka::consumer::StreamConsumer, topic: &str) -> Option<Offset> {
    let list = consumer.committed(super::support::LIMIT).unwrap();
    list.find_partition(topic, 0).map(|element| element.offset())
}

#[tokio::test]
async fn a_commit_is_a_child_of_the_process_span_and_links_to_the_sender() {
    let service = settling().await;
    let (topic, sender, consumer) = sent(&service).await;
    let message = service.kafka.process(receive(&consumer).await);

    let commit = async { service.kafka.commit_message(&consumer, &message, CommitMode::Sync) };
    message.run(commit).await.unwrap();

    let process = processing(&topic).await.continues(&sender);
    assert_eq!(service.recorder.whole(&format!("process {topic}")), process);
    let commit = committing(&format!("commit {topic}")).await;
    let commit = commit.with([("messaging.destination.name", topic.clone().into())]).with(at("0", 0));
    let commit = commit.child_of(&span_of(message.context())).linked(&sender, []);
    assert_eq!(service.recorder.whole(&format!("commit {topic}")), commit);
    assert_eq!(committed(&consumer, &topic), Some(Offset::Offset(1)));
}

#[tokio::test]
async fn a_commit_of_a_list_is_about_its_topic_and_of_several_topics_about_none() {
    let service = settling().await;
    let (first, second) = (topic(2).await, topic(1).await);
    let consumer = consumer(&first).await;
    let list = |of: &[(&str, i32)]| {
        let offsets =
            of.iter().map(|(topic, partition)| ((String::from(*topic), *partition), Offset::Offset(0)));
        TopicPartitionList::from_topic_map(&offsets.collect::<HashMap<_, _>>()).unwrap()
    };
    let lists = [list(&[(&first, 1)]), list(&[(&first, 0), (&first, 1)]), list(&[(&first, 0), (&second, 0)])];
    for list in &lists {
        service.kafka.commit(&consumer, list, CommitMode::Async).unwrap();
    }
    let name = || [("messaging.destination.name", first.clone().into())];
    let of_topic = committing(&format!("commit {first}")).await.with(name());
    let expected = [
        of_topic.clone().with([("messaging.destination.partition.id", "1".into())]),
        of_topic,
        committing(&of_none("commit").await).await,
    ];
    let seen = service.recorder.wholes();
    assert_eq!(seen, expected);
}

#[tokio::test]
async fn a_commit_that_fails_is_a_failure_by_its_name() {
    let service = settling().await;
    let topic = topic(1).await;
    let consumer = consumer(&topic).await;
    // Nothing was consumed, so there is nothing to commit.
    let error = service.kafka.commit_consumer_state(&consumer, CommitMode::Sync).unwrap_err();
    assert!(matches!(error, KafkaError::ConsumerCommit(_)), "{error:?}");
    let expected = committing(&of_none("commit").await).await.failed("_NO_OFFSET", &error.to_string());
    assert_eq!(service.recorder.whole(&of_none("commit").await), expected);
}

#[tokio::test]
async fn without_settle_spans_a_commit_is_rdkafkas_and_nothing_else() {
    let service = service().await;
    let (topic, _, consumer) = sent(&service).await;
    let message = receive(&consumer).await;
    service.kafka.commit_message(&consumer, &message, CommitMode::Sync).unwrap();
    assert_eq!(committed(&consumer, &topic), Some(Offset::Offset(1)));
    assert_eq!(service.recorder.spans().len(), 0);
    let metrics = service.meters.of("messaging.client.operation.duration");
    let operation = |name: &str| {
        metrics
            .iter()
            .any(|point| point.attribute("messaging.operation.name") == Some(&name.to_owned().into()))
    };
    assert_eq!((operation("send"), operation("commit")), (true, false));
}

#[tokio::test]
async fn a_commit_with_a_span_is_in_the_operations_duration() {
    let service = settling().await;
    let (topic, _, consumer) = sent(&service).await;
    let message = receive(&consumer).await;
    service.kafka.commit_message(&consumer, &message, CommitMode::Sync).unwrap();
    drop(topic);
    let metrics = service.meters.of("messaging.client.operation.duration");
    let settled =
        metrics.iter().filter(|point| point.attribute("messaging.operation.type") == Some(&"settle".into()));
    assert_eq!(settled.map(|point| point.count).collect::<Vec<_>>(), [1]);
}
