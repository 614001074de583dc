//! Kafka: partitions are assigned by hand, so no group is joined.

mod client;
mod peek;
mod transfer;

pub(crate) use peek::peek;
pub(crate) use transfer::transfer;
