//! The size of a content header on the wire, without encoding it (AMQP 0-9-1, sections 2.3.5.2 and 4.2.5).

use carrier_core::{Budget, Fields};
use lapin::BasicProperties;
use lapin::types::{AMQPValue, FieldTable, ShortString};

use crate::table::{SMALL, has_any};

/// The `frame_max` that brokers and clients agree on where nobody sets one, in bytes.
const COMMON_FRAME_MAX: usize = 131_072;

/// Room that is left for what dead-lettering adds on the broker the first time.
///
/// RabbitMQ 4 was measured to add 283 bytes, three times the names of the exchange and of the queue, and the routing key:
/// 334 to 643 bytes with names of up to 60 characters.
const DEAD_LETTER_RESERVE: usize = 1_024;

/// The limit of a content header of this size, where nobody said another one: the common frame, unless the header shows that
/// the connection has a larger one.
pub(crate) fn usual_limit(size: usize) -> Option<usize> {
    (size <= COMMON_FRAME_MAX).then_some(COMMON_FRAME_MAX - DEAD_LETTER_RESERVE)
}

/// Type, channel and size in front of a frame, and the octet that ends it.
const FRAME: usize = 8;

/// Class, weight, body size and property flags in front of the properties.
const CONTENT_HEADER: usize = 14;

/// The [`Budget`] of a connection: the whole content header stays inside one frame, the user's own properties included.
///
/// Take `frame_max` from `connection.configuration().frame_max()`; 0, for no limit, is the common 131,072 bytes. 1,024 bytes
/// are left for what dead-lettering adds: enough for once, with names of up to 100 characters. The frame that counts in the
/// end is the consumer's: where its connection has a smaller one than the publisher's, give that. Without a budget the
/// common frame is assumed, unless a header is larger without us already.
///
/// A header that is larger closes the connection, since a content header cannot be split over frames (AMQP 0-9-1, section
/// 2.3.5.2).
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

/// What one long string adds to a table: the length of its key, the key, its type, its length, its bytes.
pub(crate) fn entry(key: &str, value: usize) -> usize {
    1 + key.len() + 1 + 4 + value
}

/// The frame of a content header with these properties, without the headers that `fields` replaces.
pub(crate) fn content_header(properties: &BasicProperties, fields: &Fields<'_>) -> usize {
    let headers = properties.headers().as_ref();
    frame(properties, headers.map_or(0, |headers| headers_without(headers, fields)))
}

/// The frame of a content header with these headers and nothing else.
pub(crate) fn content_header_of(headers: &FieldTable, fields: &Fields<'_>) -> usize {
    EMPTY + headers_without(headers, fields)
}

/// The frame of a content header with these properties, where none of its headers has one of these keys.
#[inline]
pub(crate) fn content_header_if_absent<const N: usize>(
    properties: &BasicProperties,
    keys: [&str; N],
) -> Option<usize> {
    let headers = match properties.headers() {
        Some(headers) => headers_if_absent(headers, keys)?,
        None => 0,
    };
    Some(frame(properties, headers))
}

/// The same of these headers and nothing else.
#[inline]
pub(crate) fn content_header_of_if_absent<const N: usize>(
    headers: &FieldTable,
    keys: [&str; N],
) -> Option<usize> {
    Some(EMPTY + headers_if_absent(headers, keys)?)
}

/// A frame with a table, which is about to be there if it is not, and no other properties.
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

fn headers_without(headers: &FieldTable, fields: &Fields<'_>) -> usize {
    let stay = headers.inner().iter().filter(|(key, _)| !fields.replaces(key.as_str()));
    stay.map(pair).sum()
}

#[inline]
fn headers_if_absent<const N: usize>(headers: &FieldTable, keys: [&str; N]) -> Option<usize> {
    if headers.inner().len() > SMALL {
        return (!has_any(Some(headers), &keys)).then(|| headers.inner().iter().map(pair).sum());
    }
    let mut size = 0;
    for (key, value) in headers {
        if keys.contains(&key.as_str()) {
            return None;
        }
        size += pair((key, value));
    }
    Some(size)
}

#[inline]
fn pair((key, value): (&ShortString, &AMQPValue)) -> usize {
    1 + key.as_str().len() + size_of_value(value)
}

/// A value with the octet of its type.
#[inline]
fn size_of_value(value: &AMQPValue) -> usize {
    match value {
        // What most headers are.
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
