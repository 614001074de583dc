//! Three requests, each with a trace and baggage of its own, and a program that knows nothing of either.

use anyhow::Context as _;
use carrier_examples::kafka::{Kafka, LIMIT};
use carrier_kafka::Instrumentation;
use carrier_kafka::instrumentation::FutureProducer;
use opentelemetry::baggage::BaggageExt as _;
use opentelemetry::context::FutureExt as _;
use opentelemetry::{Context, KeyValue};
use rdkafka::error::KafkaResult;
use rdkafka::producer::{self, FutureRecord};

static ORDERS: [(&str, [&str; 3]); 3] = [
    ("acme", ["three lamps", "a red chair", "two mirrors"]),
    ("north", ["a blue rug", "one clock", "four cups"]),
    ("red", ["a desk", "two shelves", "a door"]),
];

/// Returns how many records there are.
pub(crate) async fn produce(kafka: &Instrumentation, broker: &Kafka) -> anyhow::Result<usize> {
    // The producer is carrier's, and the rest as with rdkafka's: each record carries the context of a span that ends with
    // the delivery report.
    let producer = kafka.future_producer(&broker.producer_config())?;
    let mut count = 0;
    for (tenant, lines) in &ORDERS {
        let request = Context::new().with_baggage([KeyValue::new("tenant", *tenant)]);
        let ordered = order(&producer, &broker.topic, tenant, lines).with_context(request).await;
        ordered.context("Kafka did not take a record")?;
        count += lines.len();
    }
    let plain: producer::FutureProducer = broker.producer_config().create()?;
    let record = FutureRecord::to(&broker.topic).key("acme").payload("a stool");
    plain.send(record, LIMIT).await.map_err(|(error, _)| error).context("Kafka did not take a record")?;
    Ok(count + 1)
}

#[tracing::instrument(skip_all)]
async fn order(producer: &FutureProducer, topic: &str, tenant: &str, lines: &[&str]) -> KafkaResult<()> {
    for line in lines {
        let record = FutureRecord::to(topic).key(tenant).payload(*line);
        producer.send(record, LIMIT).await.map_err(|(error, _)| error)?;
    }
    Ok(())
}
