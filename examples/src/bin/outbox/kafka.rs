//! A producer and a consumer of the topic.

use carrier_examples::kafka::{Kafka, LIMIT};
use rdkafka::consumer::{BaseConsumer, Consumer as _, StreamConsumer};
use rdkafka::producer::FutureProducer;
use rdkafka::{ClientConfig, Offset, TopicPartitionList};
use tokio::task;

/// Returns a consumer of the topic from its beginning, and how many records it has.
pub(crate) async fn consumer(kafka: &Kafka) -> anyhow::Result<(StreamConsumer, i64)> {
    // librdkafka wants a group even where none is joined.
    let (config, topic) = (kafka.consumer_config(), kafka.topic.clone());
    let ends = task::spawn_blocking(move || {
        let consumer: BaseConsumer = config.create()?;
        consumer.fetch_watermarks(&topic, 0, LIMIT)
    });
    let (first, end) = ends.await??;
    let consumer: StreamConsumer = kafka.consumer_config().create()?;
    // A worker would subscribe. That takes a new group three seconds, and this one is alone.
    let mut partitions = TopicPartitionList::new();
    partitions.add_partition_offset(&kafka.topic, 0, Offset::Offset(first))?;
    consumer.assign(&partitions)?;
    Ok((consumer, end - first))
}

/// Returns a producer that gives up on a record that nobody takes.
pub(crate) fn producer(brokers: &str) -> anyhow::Result<FutureProducer> {
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", brokers).set("message.timeout.ms", "10000");
    Ok(config.create()?)
}
