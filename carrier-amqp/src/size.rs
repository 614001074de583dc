//! The size of a content header on the wire, without encoding it (AMQP 0-9-1, sections 2.3.5.2 and 4.2.5).

use carrier_core::{Budget, FieldNames, MessageSize};
use lapin::BasicProperties;
use lapin::types::{AMQPValue, FieldTable, ShortString};

/// The `frame_max` in bytes that brokers and clients negotiate by default.
pub(crate) const COMMON_FRAME_MAX: usize = 131_072;

/// The bytes that are left free for the headers of a first dead-lettering.
///
/// RabbitMQ 4 adds 283 bytes, three times the names of the exchange and of the queue, and the routing key.
const DEAD_LETTER_RESERVE: usize = 1_024;

/// Type, channel and size before a frame, and the octet that ends it.
const FRAME: usize = 8;

/// Class, weight, body size and property flags before the properties.
const CONTENT_HEADER: usize = 14;

/// Returns the [`Budget`] of a connection: the content header fits into one frame, including the user's own properties.
///
/// Take `frame_max`, in bytes, from `connection.configuration().frame_max()`; 0 means the common 131,072. 1,024 bytes stay
/// free for the headers of one dead-lettering. If a consumer's connection has a smaller frame than the publisher's, pass
/// the consumer's. Without a budget the common frame is assumed, unless a header is already larger.
///
/// A larger header closes the connection, since it cannot be split over frames (AMQP 0-9-1, section 2.3.5.2).
///
/// # Examples
///
/// ```no_run
/// use carrier_core::Propagation;
///
/// # fn example(connection: lapin::Connection) {
/// let budget = carrier_amqp::frame_budget(connection.configuration().frame_max());
/// let propagation = Propagation::builder().budget(budget).build();
/// # }
/// ```
pub fn frame_budget(frame_max: u32) -> Budget {
    let frame_max = match usize::try_from(frame_max) {
        Ok(0) | Err(_) => COMMON_FRAME_MAX,
        Ok(frame_max) => frame_max,
    };
    Budget::message(frame_max.saturating_sub(DEAD_LETTER_RESERVE))
}

/// Returns the bytes that one long string adds to a table: the length of its key, the key, its type, its length, the value.
fn entry(key: &str, value: usize) -> usize {
    1 + key.len() + 1 + 4 + value
}

/// Measures a content header with these properties, without the headers that have one of these names.
#[inline]
pub(crate) fn of_properties(properties: &BasicProperties, names: &FieldNames<'_>) -> MessageSize {
    let (is_present, headers) =
        properties.headers().as_ref().map_or((false, 0), |headers| rest(headers, names));
    message(is_present, frame(properties, headers))
}

/// Measures a content header with these headers and no other property.
#[inline]
pub(crate) fn of_table(headers: &FieldTable, names: &FieldNames<'_>) -> MessageSize {
    let (is_present, headers) = rest(headers, names);
    message(is_present, EMPTY + headers)
}

/// Without a known limit, the common frame is assumed, unless the header shows that the connection has a larger one.
fn message(is_present: bool, size: usize) -> MessageSize {
    let limit = (size <= COMMON_FRAME_MAX).then_some(COMMON_FRAME_MAX - DEAD_LETTER_RESERVE);
    MessageSize::limited(is_present, size, limit, entry)
}

/// Returns whether a header has one of these names, and the size of the other headers.
#[inline]
fn rest(headers: &FieldTable, names: &FieldNames<'_>) -> (bool, usize) {
    headers.inner().iter().fold((false, 0), |(is_present, size), header| {
        match names.position(header.0.as_str()) {
            Some(_) => (true, size),
            None => (is_present, size + pair(header)),
        }
    })
}

/// The size of a frame with a table and no other property. An injection adds the table if there is none.
const EMPTY: usize = FRAME + CONTENT_HEADER + 4;

fn frame(properties: &BasicProperties, headers: usize) -> usize {
    let text = |text: &Option<ShortString>| text.as_ref().map_or(0, |text| 1 + text.as_str().len());
    EMPTY
        + headers
        + text(properties.content_type())
        + text(properties.content_encoding())
        + text(properties.correlation_id())
        + text(properties.reply_to())
        + text(properties.expiration())
        + text(properties.message_id())
        + text(properties.kind())
        + text(properties.user_id())
        + text(properties.app_id())
        + text(properties.cluster_id())
        + properties.delivery_mode().map_or(0, |_| 1)
        + properties.priority().map_or(0, |_| 1)
        + properties.timestamp().map_or(0, |_| 8)
}

#[inline]
fn pair((key, value): (&ShortString, &AMQPValue)) -> usize {
    1 + key.as_str().len() + size_of_value(value)
}

/// Returns the size of a value with the octet of its type.
#[inline]
fn size_of_value(value: &AMQPValue) -> usize {
    match value {
        // The most common type.
        AMQPValue::LongString(text) => 1 + 4 + text.as_bytes().len(),
        other => 1 + size_of_other(other),
    }
}

fn size_of_other(value: &AMQPValue) -> usize {
    match value {
        AMQPValue::Void => 0,
        AMQPValue::Boolean(_) | AMQPValue::ShortShortInt(_) | AMQPValue::ShortShortUInt(_) => 1,
        AMQPValue::ShortInt(_) | AMQPValue::ShortUInt(_) => 2,
        AMQPValue::LongInt(_) | AMQPValue::LongUInt(_) | AMQPValue::Float(_) => 4,
        AMQPValue::DecimalValue(_) => 5,
        AMQPValue::LongLongInt(_) | AMQPValue::Double(_) | AMQPValue::Timestamp(_) => 8,
        AMQPValue::ShortString(text) => 1 + text.as_str().len(),
        AMQPValue::LongString(text) => 4 + text.as_bytes().len(),
        AMQPValue::ByteArray(bytes) => 4 + bytes.as_slice().len(),
        AMQPValue::FieldArray(array) => 4 + array.as_slice().iter().map(size_of_value).sum::<usize>(),
        AMQPValue::FieldTable(table) => 4 + table.inner().iter().map(pair).sum::<usize>(),
    }
}

#[cfg(test)]
mod tests;
