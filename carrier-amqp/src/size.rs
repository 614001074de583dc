//! The size of a content header on the wire, without encoding it (AMQP 0-9-1, sections 2.3.5.2 and 4.2.5).

use carrier_core::{Budget, Fields};
use lapin::BasicProperties;
use lapin::types::{AMQPValue, FieldTable, ShortString};

/// The `frame_max` that brokers and clients agree on where nobody sets one, in bytes.
const COMMON_FRAME_MAX: usize = 131_072;

/// Room that is left for what dead-lettering adds on the broker: 334 bytes the first time, measured.
const DEAD_LETTER_RESERVE: usize = 512;

/// The largest content header that fits the common frame, with what dead-lettering may add.
pub(crate) const COMMON_LIMIT: usize = COMMON_FRAME_MAX - DEAD_LETTER_RESERVE;

/// Type, channel and size in front of a frame, and the octet that ends it.
const FRAME: usize = 8;

/// Class, weight, body size and property flags in front of the properties.
const CONTENT_HEADER: usize = 14;

/// The [`Budget`] of a connection: the whole content header stays inside one frame, the user's own properties included.
///
/// Take `frame_max` from `connection.configuration().frame_max()`; 0, for no limit, is the common 131,072 bytes. 512 bytes
/// are left for what dead-lettering adds. The frame that counts in the end is the consumer's: where its connection has a
/// smaller one than the publisher's, give that. Without a budget the common frame is assumed.
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
pub(crate) fn entry(key: &str, value: &str) -> usize {
    1 + key.len() + 1 + 4 + value.len()
}

/// The frame of a content header with these properties, without the headers that `fields` replaces.
pub(crate) fn content_header(properties: &BasicProperties, fields: &Fields<'_>) -> usize {
    let text = |text: &Option<ShortString>| text.as_ref().map_or(0, |text| 1 + text.as_str().len());
    let texts = [
        properties.content_type(),
        properties.content_encoding(),
        properties.correlation_id(),
        properties.reply_to(),
        properties.expiration(),
        properties.message_id(),
        properties.kind(),
        properties.user_id(),
        properties.app_id(),
        properties.cluster_id(),
    ];
    FRAME
        + CONTENT_HEADER
        + texts.into_iter().map(text).sum::<usize>()
        + properties.delivery_mode().map_or(0, |_| 1)
        + properties.priority().map_or(0, |_| 1)
        + properties.timestamp().map_or(0, |_| 8)
        // A table that is not there yet is about to be.
        + properties.headers().as_ref().map_or(4, |headers| headers_without(headers, fields))
}

/// The frame of a content header with these headers and nothing else.
pub(crate) fn content_header_of(headers: &FieldTable, fields: &Fields<'_>) -> usize {
    FRAME + CONTENT_HEADER + headers_without(headers, fields)
}

fn headers_without(headers: &FieldTable, fields: &Fields<'_>) -> usize {
    let stay = headers.inner().iter().filter(|(key, _)| !fields.replaces(key.as_str()));
    4 + stay.map(pair).sum::<usize>()
}

fn pair((key, value): (&ShortString, &AMQPValue)) -> usize {
    1 + key.as_str().len() + size_of_value(value)
}

/// A value with the octet of its type.
fn size_of_value(value: &AMQPValue) -> usize {
    1 + match value {
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
mod tests {
    use carrier_core::testing::remote_context;
    use lapin::protocol::basic::gen_properties;
    use lapin::types::{ByteArray, DecimalValue, FieldArray};
    use proptest::prelude::*;

    use super::*;
    use crate::inject;

    /// The frame that lapin's own encoder makes of the properties.
    fn encoded(properties: &BasicProperties) -> usize {
        let (bytes, _) = cookie_factory::r#gen(gen_properties(properties), Vec::new()).unwrap();
        FRAME + CONTENT_HEADER - 2 + bytes.len()
    }

    fn computed(properties: &BasicProperties) -> usize {
        content_header(properties, &Fields::default())
    }

    fn any_value() -> impl Strategy<Value = AMQPValue> {
        let text = "[a-z]{0,40}";
        let leaf = prop_oneof![
            Just(AMQPValue::Void),
            any::<bool>().prop_map(AMQPValue::Boolean),
            any::<i8>().prop_map(AMQPValue::ShortShortInt),
            any::<u8>().prop_map(AMQPValue::ShortShortUInt),
            any::<i16>().prop_map(AMQPValue::ShortInt),
            any::<u16>().prop_map(AMQPValue::ShortUInt),
            any::<i32>().prop_map(AMQPValue::LongInt),
            any::<u32>().prop_map(AMQPValue::LongUInt),
            any::<i64>().prop_map(AMQPValue::LongLongInt),
            any::<f32>().prop_map(AMQPValue::Float),
            any::<f64>().prop_map(AMQPValue::Double),
            any::<u64>().prop_map(AMQPValue::Timestamp),
            (any::<u8>(), any::<u32>())
                .prop_map(|(scale, value)| AMQPValue::DecimalValue(DecimalValue { scale, value })),
            text.prop_map(|text| AMQPValue::ShortString(text.into())),
            text.prop_map(|text| AMQPValue::LongString(text.into())),
            any::<Vec<u8>>().prop_map(|bytes| AMQPValue::ByteArray(ByteArray::from(bytes))),
        ];
        leaf.prop_recursive(4, 32, 4, |inner| {
            prop_oneof![
                proptest::collection::vec(inner.clone(), 0..4)
                    .prop_map(|values| AMQPValue::FieldArray(FieldArray::from(values))),
                any_table(inner).prop_map(AMQPValue::FieldTable),
            ]
        })
    }

    fn any_table(value: impl Strategy<Value = AMQPValue>) -> impl Strategy<Value = FieldTable> {
        proptest::collection::btree_map("[a-z]{0,40}".prop_map(ShortString::from), value, 0..5)
            .prop_map(FieldTable::from)
    }

    proptest! {
        #[test]
        fn the_size_is_that_of_lapins_encoder(headers in any_table(any_value()), text in "[a-z]{0,255}") {
            let text = || ShortString::from(text.as_str());
            let bare = BasicProperties::default().with_headers(headers.clone());
            prop_assert_eq!(computed(&bare), encoded(&bare));
            prop_assert_eq!(content_header_of(&headers, &Fields::default()), encoded(&bare));
            let full = bare
                .with_content_type(text())
                .with_content_encoding(text())
                .with_delivery_mode(2)
                .with_priority(1)
                .with_correlation_id(text())
                .with_reply_to(text())
                .with_expiration(text())
                .with_message_id(text())
                .with_timestamp(1)
                .with_type(text())
                .with_user_id(text())
                .with_app_id(text())
                .with_cluster_id(text());
            prop_assert_eq!(computed(&full), encoded(&full));
        }
    }

    #[test]
    fn an_injection_adds_what_it_reports() {
        let mut properties = BasicProperties::default().with_headers(FieldTable::default());
        let before = encoded(&properties);
        let report = inject(&remote_context(), &mut properties);
        assert_eq!(encoded(&properties), before + report.bytes());
    }
}
