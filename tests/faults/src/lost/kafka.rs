//! One producer and one consumer, which librdkafka connects again.

use std::time::Duration;

use anyhow::{Context as _, ensure};
use carrier_kafka::Instrumentation;
use futures::future::{BoxFuture, FutureExt as _, join_all};
use rdkafka::ClientConfig;
use rdkafka::consumer::{CommitMode, Consumer as _, StreamConsumer};
use rdkafka::producer::{FutureProducer, FutureRecord};
use tokio::time::timeout;

use super::{MESSAGES, ROUNDS, cut, lost};

pub(crate) const TOPIC: &str = "lost";

const LIMIT: Duration = Duration::from_secs(30);

pub(super) async fn lose(kafka: Option<&Instrumentation>, brokers: &str) -> anyhow::Result<()> {
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", brokers).set("reconnect.backoff.max.ms", "500");
    let consumer: StreamConsumer = config
        .clone()
        .set("group.id", carrier_tests::unique_name("lost"))
        .set("enable.auto.commit", "false")
        .set("auto.offset.reset", "earliest")
        // What is fetched ahead is memory too.
        .set("queued.max.messages.kbytes", "1024")
        .create()?;
    consumer.subscribe(&[TOPIC])?;
    config.set("acks", "all").set("enable.idempotence", "true").set("message.timeout.ms", "30000");
    let ours = kafka.map(|kafka| kafka.future_producer(&config)).transpose()?;
    let bare: FutureProducer = config.create()?;
    let record = || FutureRecord::to(TOPIC).key("17").payload(&[b'x'; 100]);
    let send = || -> BoxFuture<'_, bool> {
        match &ours {
            Some(ours) => ours.send(record(), LIMIT).map(|sent| sent.is_ok()).boxed(),
            None => bare.send(record(), LIMIT).map(|sent| sent.is_ok()).boxed(),
        }
    };
    for round in 1..=ROUNDS {
        let halves = [0, 1].map(|_| join_all((0..MESSAGES / 2).map(|_| send())));
        let [first, second] = halves;
        let first = first.await;
        // The second half is on its way when the connections are lost.
        let (second, ()) = futures::future::join(second, async { cut() }).await;
        ensure!(first.into_iter().chain(second).all(|is_sent| is_sent), "a message was not delivered");
        for _ in 0..MESSAGES {
            let message = timeout(LIMIT, received(&consumer)).await.context("a message is lost")?;
            match kafka {
                Some(kafka) => {
                    let message = kafka.process(message);
                    let _ = message.run(async { consumer.commit_message(&message, CommitMode::Async) }).await;
                }
                None => drop(consumer.commit_message(&message, CommitMode::Async)),
            }
        }
        lost(round)?;
    }
    Ok(())
}

/// The next message. An error is one of a connection.
async fn received(consumer: &StreamConsumer) -> rdkafka::message::BorrowedMessage<'_> {
    loop {
        if let Ok(message) = consumer.recv().await {
            return message;
        }
    }
}
