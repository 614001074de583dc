//! Names of attributes and metrics: those of the messaging semantic conventions, and our own.
//!
//! Our own begin with `carrier.`; all others are OpenTelemetry's (semantic conventions 1.44).

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

/// How a message was settled: [`Settlement::as_str`](super::Settlement::as_str). A string.
pub const SETTLEMENT: &str = "carrier.settlement";

/// The time in the queue, in seconds: a double on a process span, a histogram as a metric.
pub const QUEUE_DURATION: &str = "carrier.queue.duration";

/// A counter of messages whose timestamp is later than their reception, because two clocks differ.
pub const QUEUE_CLOCK_SKEW: &str = "carrier.queue.clock_skew";

/// A counter of received messages by [`CONTEXT_STATUS`]: whose messages arrive without a context.
pub const RECEIVED_CONTEXTS: &str = "carrier.received.contexts";

/// What was found of the context in a received message. A string: `valid`, `absent`, `malformed`, `conflicting`, `wrong_type`
/// or `over_limit`.
pub const CONTEXT_STATUS: &str = "carrier.context.status";

/// The time from a message's timestamp to the end of its successful processing, in seconds: a histogram.
pub const CRITICAL_DURATION: &str = "carrier.critical.duration";

/// How often a message was given to a consumer, the first time included, if the broker counts: a histogram.
pub const DELIVERY_ATTEMPTS: &str = "carrier.delivery.attempts";

/// The prefix of a captured header's attribute: `carrier.message.header.<name in lower case>`, an array of strings.
pub const MESSAGE_HEADER: &str = "carrier.message.header";

/// How many messages of a batch have no link because there were too many. An integer.
pub const BATCH_UNLINKED: &str = "carrier.batch.unlinked_message_count";

/// Where the reply to a request is expected. A string.
pub const REPLY_DESTINATION: &str = "carrier.reply.destination";

/// The message has none of our headers, because they did not fit. A boolean.
pub const CONTEXT_LEFT_OUT: &str = "carrier.context.left_out";
