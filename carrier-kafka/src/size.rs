//! The size of a record as librdkafka sums it before it takes one.

use carrier_core::Budget;
use rdkafka::ClientConfig;

/// What librdkafka adds for a record of its own accord (`RD_KAFKAP_MESSAGE_V2_MAX_OVERHEAD`).
pub(crate) const OVERHEAD: usize = 36;

/// librdkafka's default of `message.max.bytes`.
pub(crate) const DEFAULT_LIMIT: usize = 1_000_000;

/// The [`Budget`] of a producer: a record stays within its `message.max.bytes`, 1,000,000 where the configuration has none.
///
/// librdkafka counts 36 bytes, key, payload and headers, and refuses a record that is larger. Without a budget the default
/// is assumed, unless a record is larger without us already. The broker's and the topic's own limits can be smaller; they are for batches, after compression.
///
/// # Examples
///
/// ```
/// use carrier_core::Propagation;
/// use rdkafka::ClientConfig;
///
/// let config = ClientConfig::new();
/// let propagation = Propagation::builder().budget(carrier_kafka::message_budget(&config)).build();
/// ```
pub fn message_budget(config: &ClientConfig) -> Budget {
    let limit = config.get("message.max.bytes").and_then(|bytes| bytes.trim().parse().ok());
    Budget::message(limit.unwrap_or(DEFAULT_LIMIT))
}

/// The limit of a record of this size, where nobody said another one: librdkafka's default, unless the record shows that
/// the producer has a larger one.
pub(crate) fn usual_limit(size: usize) -> Option<usize> {
    (size <= DEFAULT_LIMIT).then_some(DEFAULT_LIMIT)
}

/// What one header adds with a key and a value of these lengths: both lengths and the bytes.
#[inline]
pub(crate) fn entry(key: usize, value: usize) -> usize {
    length(key) + key + length(value) + value
}

/// A length as a zigzag varint: seven bits to a byte, one of them for the sign.
#[inline]
fn length(bytes: usize) -> usize {
    if bytes < 64 {
        return 1; // Without a division, since most are.
    }
    let bits = (usize::BITS - bytes.leading_zeros()) as usize + 1;
    bits.div_ceil(7)
}

#[cfg(test)]
mod tests;
