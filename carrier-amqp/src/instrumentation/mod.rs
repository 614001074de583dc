//! Spans and metrics for lapin, after OpenTelemetry's messaging semantic conventions 1.44.
//!
//! Publishing is wrapped: [`Instrumentation::channel`] makes a lapin channel one whose `basic_publish` and `basic_get` have
//! spans. Consuming is one explicit line: [`Instrumentation::process`] for a message, however it came,
//! [`Instrumentation::process_batch`] for many. The README of this crate has the table of what is emitted.

pub mod attribute;
mod channel;
mod confirm;
mod failure;
mod message;
mod processing;
mod redelivery;
mod route;
mod settings;

pub use carrier_core::instrumentation::{
    Ambient, Batch, Failure, Handled, Process, Received, Relation, Rule, Settlement,
};

pub use self::channel::Channel;
pub use self::confirm::PublisherConfirm;
pub use self::message::AsDelivery;
pub use self::processing::Processing;
pub use self::redelivery::Redelivery;
pub use self::route::Route;
pub use self::settings::{Builder, Instrumentation};
