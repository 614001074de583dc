//! Names of attributes and metrics: those of every queue, and those that RabbitMQ's messages have beside the conventions.

pub use carrier_core::instrumentation::attribute::*;

/// The broker gave the message out before: the flag of `basic.deliver`. A boolean, set where it is true.
pub const REDELIVERED: &str = "carrier.rabbitmq.redelivered";

/// [`Redelivery::attempts`](super::Redelivery::attempts): how often the message was tried before, at least. An integer, set
/// where it is not 0.
pub const ATTEMPTS: &str = "carrier.rabbitmq.attempts";

/// `x-delivery-count`: how often a delivery failed, counted by a quorum queue. An integer.
pub const DELIVERY_COUNT: &str = "carrier.rabbitmq.delivery_count";

/// `x-acquired-count`: how often the message was handed to a consumer, counted by a quorum queue. An integer.
pub const ACQUIRED_COUNT: &str = "carrier.rabbitmq.acquired_count";

/// How often the message was dead-lettered, over all entries of `x-death`. An integer.
pub const DEATH_COUNT: &str = "carrier.rabbitmq.death.count";

/// The queue that dead-lettered the message first. A string.
pub const DEATH_FIRST_QUEUE: &str = "carrier.rabbitmq.death.first_queue";

/// Why the message was dead-lettered first: `rejected`, `expired`, `maxlen`, `delivery_limit`. A string.
pub const DEATH_FIRST_REASON: &str = "carrier.rabbitmq.death.first_reason";
