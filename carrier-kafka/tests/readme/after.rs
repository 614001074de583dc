use std::time::Duration;

use carrier_kafka::instrumentation::{FutureProducer, Instrumentation};
use rdkafka::ClientConfig;
use rdkafka::consumer::{CommitMode, Consumer, StreamConsumer};
use rdkafka::error::KafkaResult;
use rdkafka::message::BorrowedMessage;
use rdkafka::producer::FutureRecord;

pub async fn serve(config: ClientConfig, consumer: StreamConsumer) -> KafkaResult<()> {
    let kafka = Instrumentation::builder().config(&config).build();
    let producer: FutureProducer = kafka.future_producer(&config)?;
    loop {
        let message = kafka.process(consumer.recv().await?);
        message.run(bill(&message, &producer)).await?;
        consumer.commit_message(&message, CommitMode::Async)?;
    }
}

async fn bill(order: &BorrowedMessage<'_>, producer: &FutureProducer) -> KafkaResult<()> {
    let invoice = FutureRecord::to("invoices").key("17").payload("…");
    producer.send(invoice, Duration::from_secs(5)).await.map_err(|(error, _)| error)?;
    Ok(())
}
