//! Names of attributes and metrics: those of every queue, and those of Kafka's own.

pub use carrier_core::instrumentation::attribute::*;

/// The id of the cluster (semantic conventions 1.44; the crate of the names is older). A string.
pub const MESSAGING_KAFKA_CLUSTER_ID: &str = "messaging.kafka.cluster.id";

/// [`attempts`](super::attempts()): how often the message was processed before. An integer, set if the message was sent again.
pub const ATTEMPTS: &str = "carrier.kafka.attempts";

/// The producer's `transactional.id`: the message counts only if its transaction is committed. A string.
pub const TRANSACTIONAL_ID: &str = "carrier.kafka.transactional_id";

/// librdkafka's name of a client, unique in its process: `billing-1#consumer-2`. A string on metrics.
pub const CLIENT_NAME: &str = "carrier.kafka.client.name";

/// librdkafka's name of a connection to a broker: `kafka-1:9092/1`, `GroupCoordinator`. A string on metrics.
pub const BROKER_NAME: &str = "carrier.kafka.broker.name";

/// A gauge of the messages after a group's committed offset, in each assigned partition.
pub const CONSUMER_LAG: &str = "carrier.kafka.consumer.lag";

/// A gauge of the messages after the offset that is stored to be committed, in each assigned partition.
pub const CONSUMER_STORED_LAG: &str = "carrier.kafka.consumer.stored_lag";

/// A gauge of the prefetched messages that wait for the application.
pub const CONSUMER_QUEUE_MESSAGES: &str = "carrier.kafka.consumer.queue.messages";

/// A gauge of the prefetched bytes that wait for the application.
pub const CONSUMER_QUEUE_SIZE: &str = "carrier.kafka.consumer.queue.size";

/// A counter of the messages that a consumer received.
pub const CONSUMER_RECEIVED_MESSAGES: &str = "carrier.kafka.consumer.received.messages";

/// A counter of the bytes of the keys and payloads that a consumer received, uncompressed.
pub const CONSUMER_RECEIVED_SIZE: &str = "carrier.kafka.consumer.received.size";

/// A gauge of the messages in a producer's queues, until they are delivered.
pub const PRODUCER_QUEUE_MESSAGES: &str = "carrier.kafka.producer.queue.messages";

/// A gauge of the bytes in a producer's queues.
pub const PRODUCER_QUEUE_SIZE: &str = "carrier.kafka.producer.queue.size";

/// A counter of the messages that a producer transmitted to brokers.
pub const PRODUCER_SENT_MESSAGES: &str = "carrier.kafka.producer.sent.messages";

/// A counter of the bytes of the keys and payloads that a producer transmitted to brokers, uncompressed.
pub const PRODUCER_SENT_SIZE: &str = "carrier.kafka.producer.sent.size";

/// A counter of the requests that a client sent again.
pub const CLIENT_RETRIES: &str = "carrier.kafka.client.retries";

/// A gauge of the time since a client's last statistics, in seconds.
pub const CLIENT_STATISTICS_AGE: &str = "carrier.kafka.client.statistics_age";

/// A gauge of the requests that wait to be sent to a broker.
pub const BROKER_QUEUE_REQUESTS: &str = "carrier.kafka.broker.queue.requests";

/// A gauge of the mean round-trip time to a broker in the last interval, in seconds.
pub const BROKER_RTT_AVERAGE: &str = "carrier.kafka.broker.rtt.average";

/// A gauge of the 99th percentile of the round-trip time to a broker in the last interval, in seconds.
pub const BROKER_RTT_P99: &str = "carrier.kafka.broker.rtt.p99";
