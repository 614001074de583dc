#![doc = include_str!("../../INSTRUMENTATION.md")]

mod again;
pub mod attribute;
mod batch;
mod builder;
mod call;
mod clients;
mod confirm;
mod destination;
mod error_type;
mod key;
mod message;
mod pending;
mod process;
mod producer;
mod redelivery;
mod send;
mod settle;
mod snapshot;
mod statistics;
#[cfg(test)]
mod tests;
/// The same tests with spans through `tracing`.
#[cfg(all(test, feature = "tracing-spans"))]
#[path = "tests.rs"]
#[allow(clippy::duplicate_mod, reason = "each test runs in both modes")]
mod tests_through_tracing;
mod undo;

pub use carrier_core::instrumentation::{
    ATTEMPTS_HEADER, AlreadyCounted, Ambient, Batch, Call, Cancellation, Details, Ended, ErrorTypes, Failure,
    Filter, FilteredOperation, Handled, Hook, MessageParts, MessageView, OperationType, Plain, Process,
    ReceivedMessage, Relation, RelationRule,
};

pub use self::builder::{Instrumentation, KafkaInstrumentationBuilder};
pub use self::call::AsRecord;
pub use self::confirm::DeliveryFuture;
pub use self::key::MessageKey;
pub use self::message::AsMessage;
pub use self::pending::{Envelope, FutureProducerContext, InstrumentedContext};
pub use self::process::Processing;
pub use self::producer::{BaseProducer, FutureProducer, InstrumentedProducer, ThreadedProducer};
pub use self::redelivery::attempts;
pub use self::statistics::ClientStatistics;
