//! Names of attributes and metrics: those of the messaging semantic conventions, and the few that have no convention.
//!
//! Ours begin with `carrier.`; everything else is OpenTelemetry's (semantic conventions 1.44).

pub use opentelemetry_semantic_conventions::attribute::{
    ERROR_TYPE, MESSAGING_BATCH_MESSAGE_COUNT, MESSAGING_CLIENT_ID, MESSAGING_CONSUMER_GROUP_NAME,
    MESSAGING_DESTINATION_ANONYMOUS, MESSAGING_DESTINATION_NAME, MESSAGING_DESTINATION_PARTITION_ID,
    MESSAGING_DESTINATION_TEMPLATE, MESSAGING_DESTINATION_TEMPORARY, MESSAGING_KAFKA_MESSAGE_KEY,
    MESSAGING_KAFKA_MESSAGE_TOMBSTONE, MESSAGING_KAFKA_OFFSET, MESSAGING_MESSAGE_BODY_SIZE,
    MESSAGING_MESSAGE_CONVERSATION_ID, MESSAGING_MESSAGE_ID, MESSAGING_OPERATION_NAME,
    MESSAGING_OPERATION_TYPE, MESSAGING_RABBITMQ_DESTINATION_ROUTING_KEY,
    MESSAGING_RABBITMQ_MESSAGE_DELIVERY_TAG, MESSAGING_SYSTEM, SERVER_ADDRESS, SERVER_PORT,
};
pub use opentelemetry_semantic_conventions::metric::{
    MESSAGING_CLIENT_CONSUMED_MESSAGES, MESSAGING_CLIENT_OPERATION_DURATION, MESSAGING_CLIENT_SENT_MESSAGES,
    MESSAGING_PROCESS_DURATION,
};

/// How a message was settled: see [`Settlement::as_str`](super::Settlement::as_str). A string.
pub const SETTLEMENT: &str = "carrier.settlement";

/// How long a message was in the queue, in seconds: a double on a process span, a histogram as a metric.
pub const QUEUE_DURATION: &str = "carrier.queue.duration";

/// A counter of messages that were received before they were sent, as two clocks saw it.
pub const QUEUE_CLOCK_SKEW: &str = "carrier.queue.clock_skew";

/// How many messages of a batch have no link, since there were too many. An integer.
pub const BATCH_UNLINKED: &str = "carrier.batch.unlinked_message_count";
