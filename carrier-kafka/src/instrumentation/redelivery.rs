//! The number of earlier attempts to process a message, from the header that `send_again` writes.

use carrier_core::instrumentation::{ATTEMPTS_HEADER, MAX_ATTEMPTS};
use carrier_core::{FieldNames, TextMapReader as _};

use crate::{ExtractFrom, HeadersReader};

pub(super) const ATTEMPTS: FieldNames<'_> = FieldNames::new(&[ATTEMPTS_HEADER]);

/// Returns how often a message was processed before, if it was sent again each time with `send_again`; otherwise 0.
///
/// A header that `send_again` does not write counts as absent: text that is no number, a negative or a very large number. A
/// message that is delivered again because its offset was not committed does not count.
///
/// # Examples
///
/// ```
/// use carrier_kafka::instrumentation::attempts;
/// use carrier_kafka::rdkafka::message::BorrowedMessage;
///
/// /// Where a message goes that could not be processed.
/// fn next_topic(failed: &BorrowedMessage<'_>) -> &'static str {
///     if attempts(failed) < 2 { "retry" } else { "dead" }
/// }
/// ```
pub fn attempts<M: ExtractFrom + ?Sized>(message: &M) -> u64 {
    earlier_attempts(&message.reader()).unwrap_or(0)
}

/// The number in the last [`ATTEMPTS_HEADER`], if `send_again` can have written it.
pub(super) fn earlier_attempts(headers: &HeadersReader<'_>) -> Option<u64> {
    let (_, value) = headers.find(&ATTEMPTS).last()?;
    value.as_str()?.parse().ok().filter(|attempts| *attempts <= MAX_ATTEMPTS)
}
