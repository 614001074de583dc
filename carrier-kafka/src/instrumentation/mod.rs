#![doc = include_str!("../../INSTRUMENTATION.md")]

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
