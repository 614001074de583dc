//! Names of attributes and metrics: those of every queue, and our own for RabbitMQ.

pub use carrier_core::instrumentation::attribute::*;

/// The flag of `basic.deliver`: the broker delivered the message before. A boolean, set only if it is true.
pub const REDELIVERED: &str = "carrier.rabbitmq.redelivered";

/// [`Redelivery::attempts`](super::Redelivery::attempts): the minimum number of earlier attempts. An integer. Not
/// set if it is 0, or after a delivery limit without a count.
pub const ATTEMPTS: &str = "carrier.rabbitmq.attempts";

/// `x-delivery-count` of a quorum queue: the number of failed deliveries. An integer.
pub const DELIVERY_COUNT: &str = "carrier.rabbitmq.delivery_count";

/// `x-acquired-count` of a quorum queue: how often a consumer got the message. An integer.
pub const ACQUIRED_COUNT: &str = "carrier.rabbitmq.acquired_count";

/// How often the message was dead-lettered: the sum over all entries of `x-death`. An integer.
pub const DEATH_COUNT: &str = "carrier.rabbitmq.death.count";

/// The queue that dead-lettered the message first. A string.
pub const DEATH_FIRST_QUEUE: &str = "carrier.rabbitmq.death.first_queue";

/// The reason of the first dead-lettering: `rejected`, `expired`, `maxlen`, `delivery_limit`. A string.
pub const DEATH_FIRST_REASON: &str = "carrier.rabbitmq.death.first_reason";
