use std::time::Duration;

use rdkafka::ClientConfig;
use rdkafka::consumer::{CommitMode, Consumer, StreamConsumer};
use rdkafka::error::KafkaResult;
use rdkafka::message::BorrowedMessage;
use rdkafka::producer::{FutureProducer, FutureRecord};

pub async fn serve(config: ClientConfig, consumer: StreamConsumer) -> KafkaResult<()> {
    let producer: FutureProducer = config.create()?;
    loop {
        let message = consumer.recv().await?;
        bill(&message, &producer).await?;
        consumer.commit_message(&message, CommitMode::Async)?;
    }
}

async fn bill(order: &BorrowedMessage<'_>, producer: &FutureProducer) -> KafkaResult<()> {
    let invoice = FutureRecord::to("invoices").key("17").payload("…");
    producer.send(invoice, Duration::from_secs(5)).await.map_err(|(error, _)| error)?;
    Ok(())
}
