#![doc = include_str!("../../INSTRUMENTATION.md")]

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
