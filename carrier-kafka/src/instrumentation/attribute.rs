//! Names of attributes and metrics: those of every queue, and one of Kafka's own.

pub use carrier_core::instrumentation::attribute::*;

/// The producer's `transactional.id`: the message counts only if its transaction is committed. A string.
pub const TRANSACTIONAL_ID: &str = "carrier.kafka.transactional_id";
