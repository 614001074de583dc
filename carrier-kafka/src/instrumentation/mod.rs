//! Spans and metrics for rdkafka, after OpenTelemetry's messaging semantic conventions 1.44.
//!
//! [`Instrumentation`] is built once. Producers are wrapped: [`Instrumentation::base_producer`],
//! [`threaded_producer`](Instrumentation::threaded_producer), [`future_producer`](Instrumentation::future_producer).
//! Consumers are not: [`Instrumentation::process`] and [`process_batch`](Instrumentation::process_batch) are one line where
//! a message is handled. What each span and metric has is in the [crate's documentation](crate#instrumentation).
//!
//! # Examples
//!
//! ```
//! use std::time::Duration;
//!
//! use carrier_kafka::Instrumentation;
//! use carrier_kafka::rdkafka::ClientConfig;
//! use carrier_kafka::rdkafka::consumer::{CommitMode, Consumer, StreamConsumer};
//! use carrier_kafka::rdkafka::error::KafkaResult;
//! use carrier_kafka::rdkafka::producer::{FutureProducer, FutureRecord};
//!
//! async fn copy(config: &ClientConfig, consumer: StreamConsumer) -> KafkaResult<()> {
//!     let kafka = Instrumentation::builder().config(config).build();
//!     let producer = kafka.future_producer(config.create::<FutureProducer>()?);
//!     loop {
//!         let message = kafka.process(consumer.recv().await?);
//!         let copied = message.run(async {
//!             let record = FutureRecord::<str, _>::to("copies").payload("…");
//!             producer.send(record, Duration::from_secs(5)).await.map_err(|(error, _)| error)?;
//!             consumer.commit_message(&message, CommitMode::Async)
//!         });
//!         copied.await?;
//!     }
//! }
//! ```

mod base;
mod batch;
mod commit;
mod config;
mod consumed;
mod context;
mod failure;
mod future;
mod key;
mod outgoing;
mod processing;
mod settings;
#[cfg(test)]
mod tests;
mod undo;

pub use carrier_core::instrumentation::{
    Ambient, Batch, Failure, Handled, Process, Received, Relation, Rule, attribute,
};

pub use self::base::{BaseProducer, ThreadedProducer};
pub use self::consumed::Consumed;
pub use self::context::{Envelope, InstrumentedContext};
pub use self::future::{DeliveryFuture, FutureProducer};
pub use self::key::MessageKey;
pub use self::processing::Processing;
pub use self::settings::{Builder, Instrumentation};
