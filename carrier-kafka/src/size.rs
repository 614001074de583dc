//! The size of a record as librdkafka counts it.

use carrier_core::Budget;
use rdkafka::ClientConfig;

/// The bytes that librdkafka adds for a record (`RD_KAFKAP_MESSAGE_V2_MAX_OVERHEAD`).
pub(crate) const OVERHEAD: usize = 36;

/// librdkafka's default of `message.max.bytes`.
pub(crate) const DEFAULT_LIMIT: usize = 1_000_000;

/// Returns the [`Budget`] of a producer: a record stays within `message.max.bytes`, by default 1,000,000 bytes.
///
/// librdkafka counts 36 bytes, key, payload and headers, and refuses a larger record. Without a budget the default is
/// assumed, unless a record is already larger. The broker's and the topic's limits are for batches after compression.
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
    Budget::message(configured_limit(config).unwrap_or(DEFAULT_LIMIT))
}

/// The setting, which has no other name.
const LIMIT: &str = "message.max.bytes";

/// Returns the limit in a configuration, as librdkafka reads it: also hexadecimal or octal.
pub(crate) fn configured_limit(config: &ClientConfig) -> Option<usize> {
    // Alone: the creation of a whole configuration may load plug-ins.
    let mut alone = ClientConfig::new();
    alone.set(LIMIT, config.get(LIMIT)?);
    alone.create_native_config().ok()?.get(LIMIT).ok()?.parse().ok()
}

/// Returns the limit without a budget: librdkafka's default, unless the record shows that the producer has a larger one.
pub(crate) fn usual_limit(size: usize) -> Option<usize> {
    (size <= DEFAULT_LIMIT).then_some(DEFAULT_LIMIT)
}

/// Returns the bytes of one header with a key and a value of these lengths: both lengths and the bytes.
#[inline]
pub(crate) fn entry(key: usize, value: usize) -> usize {
    length(key) + key + length(value) + value
}

/// Returns the bytes of a length as a zigzag varint: seven bits per byte, one of them for the sign.
#[inline]
fn length(bytes: usize) -> usize {
    if bytes < 64 {
        return 1; // Most lengths, without a division.
    }
    let bits = (usize::BITS - bytes.leading_zeros()) as usize + 1;
    bits.div_ceil(7)
}

#[cfg(test)]
mod tests;
