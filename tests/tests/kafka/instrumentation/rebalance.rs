//! A consumer group that is rebalanced while messages are processed.

use std::time::Duration;

use opentelemetry::trace::Status;
use rdkafka::Message as _;
use rdkafka::consumer::{CommitMode, Consumer as _, StreamConsumer};
use rdkafka::producer::FutureRecord;

use super::support::{GROUP, LIMIT, broker, receive, service, topic, within};

/// Drives two members until the second one has a partition and then a message; the first one may get its own again.
async fn hand_over<'a>(
    first: &StreamConsumer,
    second: &'a StreamConsumer,
) -> rdkafka::message::BorrowedMessage<'a> {
    let drive_first = async {
        loop {
            let _again = first.recv().await.unwrap();
        }
    };
    tokio::select! {
        message = second.recv() => message.unwrap(),
        () = drive_first => unreachable!(),
    }
}

#[tokio::test]
async fn a_rebalance_during_processing_ends_every_span_once() {
    let service = service().await;
    let topic = topic(2).await;
    let producer = service.producer().await;
    for partition in 0..2 {
        let record = FutureRecord::to(&topic).key("17").payload("payload").partition(partition);
        producer.send(record, LIMIT).await.unwrap();
    }
    let senders: Vec<_> = service.recorder.spans().into_iter().map(|span| span.span_context).collect();
    service.recorder.reset();
    let group = carrier_tests::unique_name(GROUP);
    let first = broker().await.consumer_in_group(&group, &[&topic]).await;
    let messages = [receive(&first).await, receive(&first).await];
    let held = messages.each_ref().map(|message| service.kafka.process(message));

    let second = broker().await.client_config().remove_timeout().set("group.id", &group).create_consumer();
    second.subscribe(&[&topic]).unwrap();
    let moved = held[0].run(async {
        // In the middle of a handler: one partition goes to the second member, which gets its message again.
        let again = within("the hand-over", hand_over(&first, &second)).await;
        let message = service.kafka.process(again);
        message.run(async { second.commit_message(&message, CommitMode::Sync) }).await?;
        Ok::<_, rdkafka::error::KafkaError>(message.partition())
    });
    let moved = moved.await.unwrap();
    held[1].run(async {}).await;

    drop(held);
    let spans = service.recorder.spans();
    assert_eq!((spans.len(), service.recorder.open_spans()), (3, 0), "{spans:#?}");
    assert!(spans.iter().all(|span| span.status == Status::Unset), "{spans:#?}");
    // Each is below the sender of its own message; the one that moved has two.
    let of = |partition: usize| {
        spans.iter().filter(|span| span.parent_span_id == senders[partition].span_id()).count()
    };
    let moved = usize::try_from(moved).unwrap();
    assert_eq!((of(moved), of(1 - moved)), (2, 1));
}

#[tokio::test]
async fn a_commit_after_the_partition_is_gone_fails_as_it_does_without_us() {
    let service = service().await;
    let topic = topic(1).await;
    let sender = service.send(&topic).await;
    service.recorder.reset();
    let group = carrier_tests::unique_name(GROUP);
    let consumer = broker().await.consumer_in_group(&group, &[&topic]).await;
    let message = service.kafka.process(receive(&consumer).await);
    let result = message.run(async {
        consumer.unsubscribe();
        // Until librdkafka has left the group.
        while consumer.assignment()?.count() > 0 {
            let _nothing = tokio::time::timeout(Duration::from_millis(20), consumer.recv()).await;
        }
        consumer.commit_message(&message, CommitMode::Sync)
    });
    let error = within("the commit", result).await.unwrap_err();
    let expected = super::support::processing(&topic).await.continues(&sender);
    let error_type = std::any::type_name_of_val(&error);
    let expected = expected.failed(error_type, &error.to_string());
    assert_eq!(service.recorder.whole(&format!("process {topic}")), expected);
    // The message is the next member's.
    let next = broker().await.consumer_in_group(&group, &[&topic]).await;
    assert_eq!(receive(&next).await.offset(), 0);
}

/// The harness's configuration, as a consumer's.
trait AsConsumer {
    fn remove_timeout(self) -> Self;
    fn create_consumer(&self) -> StreamConsumer;
}

impl AsConsumer for rdkafka::ClientConfig {
    fn remove_timeout(mut self) -> Self {
        self.remove("message.timeout.ms");
        self.set("auto.offset.reset", "earliest").set("enable.auto.commit", "false");
        self.set("session.timeout.ms", "6000");
        self
    }

    fn create_consumer(&self) -> StreamConsumer {
        self.create().unwrap()
    }
}
