#![doc = include_str!("../../INSTRUMENTATION.md")]

mod again;
pub mod attribute;
mod batch;
mod builder;
mod call;
mod confirm;
mod destination;
mod error_type;
mod generated;
mod message;
mod pending;
mod process;
mod producer;
mod redelivery;
mod send;
mod settle;
#[cfg(test)]
mod tests;
/// The same tests with spans through `tracing`.
#[cfg(all(test, feature = "tracing-spans"))]
#[path = "tests.rs"]
#[allow(clippy::duplicate_mod, reason = "each test runs in both modes")]
mod tests_through_tracing;

pub use carrier_core::instrumentation::{
    ATTEMPTS_HEADER, AlreadyCounted, Ambient, Batch, Call, Cancellation, Details, Ended, ErrorTypes, Failure,
    Filter, FilteredOperation, Handled, Hook, MessageParts, MessageView, OperationType, Plain,
    ReceivedMessage, Relation, RelationRule, Settlement,
};

pub use self::builder::{AmqpInstrumentationBuilder, Instrumentation, InvalidUrl};
pub use self::confirm::PublisherConfirm;
pub use self::destination::Route;
pub use self::message::AsMessage;
pub use self::process::{Process, Processing};
pub use self::producer::Channel;
pub use self::redelivery::Redelivery;
