//! A field table, the headers of an AMQP message, as a carrier.

use std::collections::BTreeMap;

use carrier_core::{Copies, FieldValue, Fields, TextMapCarrier, TextMapReader};
use lapin::types::{AMQPValue, FieldTable, LongString, ShortString};

use crate::size;

/// The headers of a received message, read; `None` is a message without headers.
#[derive(Debug, Clone, Copy)]
pub struct FieldTableReader<'a>(pub Option<&'a FieldTable>);

impl TextMapReader for FieldTableReader<'_> {
    fn keys(&self) -> impl Iterator<Item = &str> {
        keys(self.0)
    }

    fn get_all<'a>(&'a self, key: &str) -> impl Iterator<Item = FieldValue<'a>> {
        get(self.0, key)
    }

    fn copies<'a, const N: usize>(&'a self, keys: [&str; N]) -> [Copies<'a>; N] {
        copies(self.0, keys)
    }

    fn has_any(&self, keys: &[&str]) -> bool {
        has_any(self.0, keys)
    }
}

/// A field table of one's own, written without a copy of it.
///
/// Only where an old field must go and no new one comes is the table built anew: lapin's type cannot remove a key.
/// The other properties are not known here and do not count against the frame; inject into `BasicProperties` where they are
/// large.
#[derive(Debug)]
pub struct FieldTableCarrier<'a>(pub &'a mut FieldTable);

impl TextMapReader for FieldTableCarrier<'_> {
    fn keys(&self) -> impl Iterator<Item = &str> {
        keys(Some(self.0))
    }

    fn get_all<'a>(&'a self, key: &str) -> impl Iterator<Item = FieldValue<'a>> {
        get(Some(self.0), key)
    }

    fn copies<'a, const N: usize>(&'a self, keys: [&str; N]) -> [Copies<'a>; N] {
        copies(Some(self.0), keys)
    }

    fn has_any(&self, keys: &[&str]) -> bool {
        has_any(Some(self.0), keys)
    }
}

impl TextMapCarrier for FieldTableCarrier<'_> {
    fn replace(&mut self, fields: &mut Fields<'_>) {
        if is_stale(self.0, fields) {
            *self.0 = without_stale(self.0, fields);
        }
        insert(self.0, fields);
    }

    fn entry_size(&self, key: &str, value: usize) -> usize {
        size::entry(key, value)
    }

    fn size_if_absent<const N: usize>(&self, keys: [&str; N]) -> Option<usize> {
        size::content_header_of_if_absent(self.0, keys)
    }

    fn size_without(&self, fields: &Fields<'_>) -> usize {
        size::content_header_of(self.0, fields)
    }

    fn size_limit(&self, size: usize) -> Option<usize> {
        size::usual_limit(size)
    }
}

pub(crate) fn keys(table: Option<&FieldTable>) -> impl Iterator<Item = &str> {
    table.into_iter().flatten().map(|(key, _)| key.as_str())
}

pub(crate) fn get<'a>(
    table: Option<&'a FieldTable>,
    key: &str,
) -> impl Iterator<Item = FieldValue<'a>> + use<'a> {
    table.and_then(|table| table.inner().get(key)).map(text).into_iter()
}

/// Up to this size a table is walked once, which is quicker than to search it for each key.
pub(crate) const SMALL: usize = 10;

/// A table holds a key once.
#[inline]
pub(crate) fn copies<'a, const N: usize>(table: Option<&'a FieldTable>, keys: [&str; N]) -> [Copies<'a>; N] {
    let mut found = [Copies::None; N];
    let Some(table) = table.map(FieldTable::inner) else { return found };
    if table.len() <= SMALL {
        for (key, value) in table {
            if let Some(place) = keys.iter().position(|wanted| *wanted == key.as_str()) {
                found[place] = Copies::One(text(value));
            }
        }
        return found;
    }
    keys.map(|key| table.get(key).map_or(Copies::None, |value| Copies::One(text(value))))
}

pub(crate) fn has_any(table: Option<&FieldTable>, keys: &[&str]) -> bool {
    let Some(table) = table.map(FieldTable::inner) else { return false };
    match table.len() {
        0..=SMALL => table.keys().any(|key| keys.contains(&key.as_str())),
        _ => keys.iter().any(|key| table.contains_key(*key)),
    }
}

/// Whether an old field is there that must go and that no new one replaces.
pub(crate) fn is_stale(table: &FieldTable, fields: &Fields<'_>) -> bool {
    fields.may_replace() && fields.names().any(|name| fields.removes(name) && table.contains_key(name))
}

/// A copy of the table without the old fields that no new one replaces.
pub(crate) fn without_stale(table: &FieldTable, fields: &Fields<'_>) -> FieldTable {
    let kept = table.inner().iter().filter(|(key, _)| !fields.removes(key.as_str()));
    kept.map(|(key, value)| (key.clone(), value.clone())).collect::<BTreeMap<_, _>>().into()
}

/// Adds each new field; a table holds a key once, so this replaces the old one.
pub(crate) fn insert(table: &mut FieldTable, fields: &mut Fields<'_>) {
    for (key, value) in fields.take_bytes() {
        // A key over 255 bytes has no encoding (AMQP 0-9-1, section 4.2.5.5, field names are short strings).
        if let Ok(key) = ShortString::try_new(key.into_owned()) {
            // `S`, since RabbitMQ knows no short string as a value: it closes the connection.
            table.insert(key, AMQPValue::LongString(LongString::from(value)));
        }
    }
}

/// What of an AMQP value may be text.
fn text(value: &AMQPValue) -> FieldValue<'_> {
    match value {
        AMQPValue::LongString(text) => FieldValue::Bytes(text.as_bytes()),
        AMQPValue::ByteArray(bytes) => FieldValue::Bytes(bytes.as_slice()),
        AMQPValue::Void => FieldValue::Null,
        AMQPValue::Boolean(_) => FieldValue::Other("boolean"),
        AMQPValue::ShortShortInt(_) => FieldValue::Other("short-short-int"),
        AMQPValue::ShortShortUInt(_) => FieldValue::Other("short-short-uint"),
        AMQPValue::ShortInt(_) => FieldValue::Other("short-int"),
        AMQPValue::ShortUInt(_) => FieldValue::Other("short-uint"),
        AMQPValue::LongInt(_) => FieldValue::Other("long-int"),
        AMQPValue::LongUInt(_) => FieldValue::Other("long-uint"),
        AMQPValue::LongLongInt(_) => FieldValue::Other("long-long-int"),
        AMQPValue::Float(_) => FieldValue::Other("float"),
        AMQPValue::Double(_) => FieldValue::Other("double"),
        AMQPValue::DecimalValue(_) => FieldValue::Other("decimal-value"),
        AMQPValue::ShortString(_) => FieldValue::Other("short-string"),
        AMQPValue::FieldArray(_) => FieldValue::Other("field-array"),
        AMQPValue::Timestamp(_) => FieldValue::Other("timestamp"),
        AMQPValue::FieldTable(_) => FieldValue::Other("field-table"),
    }
}

#[cfg(test)]
mod tests {
    use carrier_core::opentelemetry::Context;
    use carrier_core::testing::remote_context;
    use lapin::types::{ByteArray, DecimalValue, FieldArray};
    use proptest::prelude::*;

    use super::*;
    use crate::testing::{assert_carries, assert_carries_nothing};
    use crate::{extract, inject};

    const PARENT: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

    fn with(value: AMQPValue) -> FieldTable {
        let mut table = FieldTable::default();
        table.insert("traceparent".into(), value);
        table
    }

    fn user_table() -> FieldTable {
        let mut table = FieldTable::default();
        for (key, value) in all_types() {
            table.insert(key.into(), value);
        }
        table
    }

    fn all_types() -> Vec<(&'static str, AMQPValue)> {
        let mut array = FieldArray::default();
        array.push(AMQPValue::LongInt(1));
        vec![
            ("boolean", AMQPValue::Boolean(true)),
            ("short-short-int", AMQPValue::ShortShortInt(-1)),
            ("short-short-uint", AMQPValue::ShortShortUInt(1)),
            ("short-int", AMQPValue::ShortInt(-1)),
            ("short-uint", AMQPValue::ShortUInt(1)),
            ("long-int", AMQPValue::LongInt(-1)),
            ("long-uint", AMQPValue::LongUInt(1)),
            ("long-long-int", AMQPValue::LongLongInt(-1)),
            ("float", AMQPValue::Float(1.5)),
            ("double", AMQPValue::Double(1.5)),
            ("decimal-value", AMQPValue::DecimalValue(DecimalValue { scale: 1, value: 2 })),
            ("short-string", AMQPValue::ShortString("text".into())),
            ("field-array", AMQPValue::FieldArray(array)),
            ("timestamp", AMQPValue::Timestamp(1)),
            ("field-table", AMQPValue::FieldTable(with(AMQPValue::LongString(PARENT.into())))),
            ("void", AMQPValue::Void),
        ]
    }

    #[test]
    fn long_strings_and_byte_arrays_are_text() {
        let byte_array = ByteArray::from(PARENT.as_bytes().to_vec());
        for value in [AMQPValue::LongString(PARENT.into()), AMQPValue::ByteArray(byte_array)] {
            let mut sent = FieldTable::default();
            inject(&extract(&with(value)), &mut sent);
            assert_eq!(sent, with(AMQPValue::LongString(PARENT.into())));
        }
    }

    #[test]
    fn every_other_type_is_no_context_and_says_its_name() {
        for (name, value) in all_types() {
            let table = with(value);
            assert_carries_nothing(&table);
            let found = get(Some(&table), "traceparent").next().unwrap();
            let expected = if name == "void" { FieldValue::Null } else { FieldValue::Other(name) };
            assert_eq!(found, expected);
        }
    }

    #[test]
    fn text_that_is_not_utf8_empty_or_a_mebibyte_is_no_context() {
        for bytes in [vec![0xff; 55], Vec::new(), vec![b'0'; 1 << 20]] {
            assert_carries_nothing(&with(AMQPValue::LongString(bytes.into())));
        }
    }

    #[test]
    fn only_long_strings_are_written() {
        let mut table = FieldTable::default();
        inject(&remote_context(), &mut table);
        assert_eq!(table.inner().len(), 1);
        assert!(table.inner().values().all(|value| matches!(value, AMQPValue::LongString(_))));
    }

    #[test]
    fn the_users_headers_stay_as_they_were() {
        let (mut table, cx) = (user_table(), remote_context());
        inject(&cx, &mut table);
        assert_carries(&table, &cx);
        inject(&Context::new(), &mut table);
        assert_eq!(table, user_table());
    }

    #[test]
    fn an_old_tracestate_does_not_stay_beside_a_new_trace() {
        let mut table = with(AMQPValue::LongString(PARENT.into()));
        table.insert("tracestate".into(), AMQPValue::LongString("old=1".into()));
        let cx = remote_context();
        inject(&cx, &mut table);
        assert_carries(&table, &cx);
        assert!(!table.contains_key("tracestate"));
    }

    #[test]
    fn a_field_of_a_wrong_type_is_replaced() {
        let (mut table, cx) = (with(AMQPValue::LongInt(7)), remote_context());
        inject(&cx, &mut table);
        assert_carries(&table, &cx);
    }

    #[test]
    fn tables_nested_a_thousand_deep_are_no_context_and_stay() {
        let nested = (0..1_000).fold(AMQPValue::Void, |inner, _| AMQPValue::FieldTable(with(inner)));
        let mut table = with(nested.clone());
        assert_carries_nothing(&table);
        table.insert("user".into(), nested.clone());
        inject(&Context::new(), &mut table);
        assert_eq!(table.inner().len(), 1);
        assert_eq!(table.inner().get("user"), Some(&nested));
    }

    #[test]
    fn ten_thousand_other_headers_do_not_hide_the_context() {
        let (mut table, cx) = (FieldTable::default(), remote_context());
        for n in 0..10_000 {
            table.insert(n.to_string().into(), AMQPValue::Void);
        }
        inject(&cx, &mut table);
        assert_carries(&table, &cx);
        assert_eq!(table.inner().len(), 10_001);
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_without_a_panic(parent: Vec<u8>, state: Vec<u8>, baggage: Vec<u8>) {
            let mut table = with(AMQPValue::LongString(parent.into()));
            table.insert("tracestate".into(), AMQPValue::LongString(state.into()));
            table.insert("baggage".into(), AMQPValue::ByteArray(baggage.into()));
            let _ = extract(&table);
        }
    }
}
