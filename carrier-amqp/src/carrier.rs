//! The headers of an AMQP message as a carrier.

use std::collections::BTreeMap;

use carrier_core::{FieldNames, FieldValue, Fields, MessageSize, TextMapCarrier, TextMapReader};
use lapin::BasicProperties;
use lapin::types::{AMQPValue, FieldTable, LongString, ShortString};

use crate::size;

/// Reads the headers of a received message; `None` is a message without headers.
#[derive(Debug, Clone, Copy)]
pub struct FieldTableReader<'a>(pub Option<&'a FieldTable>);

/// Writes your own field table, without a copy of it.
///
/// lapin's type cannot remove a key, so the table is built anew if an old field must be removed. The other properties are
/// not known here and do not count against the frame. If they are large, inject into `BasicProperties`.
#[derive(Debug)]
pub struct FieldTableCarrier<'a>(pub &'a mut FieldTable);

impl TextMapCarrier for FieldTableCarrier<'_> {
    fn replace(&mut self, fields: &mut Fields<'_>) {
        if has_stale(self.0, fields) {
            *self.0 = without_stale(self.0, fields);
        }
        insert(self.0, fields);
    }

    fn measure(&self, names: &FieldNames<'_>) -> MessageSize {
        size::of_table(self.0, names)
    }
}

/// Writes the `headers` of [`BasicProperties`], at the cost of one clone of the table.
///
/// lapin returns the table by shared reference only. To avoid the clone, inject into the [`FieldTable`] before you build
/// the properties.
#[derive(Debug)]
pub struct PropertiesCarrier<'a>(pub &'a mut BasicProperties);

impl TextMapCarrier for PropertiesCarrier<'_> {
    fn replace(&mut self, fields: &mut Fields<'_>) {
        let old = self.0.headers().as_ref();
        let is_stale = old.is_some_and(|old| has_stale(old, fields));
        if !is_stale && fields.additions() == 0 {
            // A message without headers stays distinct from one with an empty table.
            return;
        }
        let mut headers = match old {
            Some(old) if is_stale => without_stale(old, fields),
            Some(old) => old.clone(),
            None => FieldTable::default(),
        };
        insert(&mut headers, fields);
        *self.0 = std::mem::take(self.0).with_headers(headers);
    }

    fn measure(&self, names: &FieldNames<'_>) -> MessageSize {
        size::of_properties(self.0, names)
    }
}

/// Implements reading for a type that has a table or none.
macro_rules! read {
    ($($carrier:ident => |$this:ident| $table:expr;)*) => {$(
        impl TextMapReader for $carrier<'_> {
            fn entries(&self) -> impl Iterator<Item = (&str, FieldValue<'_>)> {
                let $this = self;
                entries($table)
            }

            fn find<'a>(&'a self, names: &FieldNames<'_>) -> impl Iterator<Item = (usize, FieldValue<'a>)> {
                let $this = self;
                find($table, names)
            }

            fn texts(&self, name: &str) -> Vec<String> {
                let $this = self;
                texts($table, name)
            }
        }
    )*};
}

read! {
    FieldTableReader => |this| this.0;
    FieldTableCarrier => |this| Some(this.0);
    PropertiesCarrier => |this| this.0.headers().as_ref();
}

/// The headers of a message without headers.
static NO_HEADERS: BTreeMap<ShortString, AMQPValue> = BTreeMap::new();

fn entries(table: Option<&FieldTable>) -> impl Iterator<Item = (&str, FieldValue<'_>)> {
    table.map_or(&NO_HEADERS, FieldTable::inner).iter().map(|(key, value)| (key.as_str(), text(value)))
}

#[inline]
fn find<'a>(
    table: Option<&'a FieldTable>,
    names: &FieldNames<'_>,
) -> impl Iterator<Item = (usize, FieldValue<'a>)> {
    let headers = table.map_or(&NO_HEADERS, FieldTable::inner);
    headers.iter().filter_map(|(key, value)| Some((names.position(key.as_str())?, text(value))))
}

fn texts(table: Option<&FieldTable>, name: &str) -> Vec<String> {
    let values = table.map_or(&NO_HEADERS, FieldTable::inner).iter();
    let values = values.filter(|(key, _)| key.as_str().eq_ignore_ascii_case(name));
    values
        .flat_map(|(_, value)| match value {
            AMQPValue::FieldArray(items) => items.as_slice(),
            value => std::slice::from_ref(value),
        })
        .map(scalar)
        .collect()
}

/// Returns a value as text; a number in decimal digits.
fn scalar(value: &AMQPValue) -> String {
    match value {
        AMQPValue::Boolean(value) => value.to_string(),
        AMQPValue::Float(value) => value.to_string(),
        AMQPValue::Double(value) => value.to_string(),
        AMQPValue::Timestamp(value) => value.to_string(),
        AMQPValue::ShortString(value) => value.to_string(),
        other => integer(other).map_or_else(|| text(other).to_text(), |value| value.to_string()),
    }
}

/// An integer of any width.
pub(crate) fn integer(value: &AMQPValue) -> Option<i64> {
    Some(match *value {
        AMQPValue::ShortShortInt(value) => value.into(),
        AMQPValue::ShortShortUInt(value) => value.into(),
        AMQPValue::ShortInt(value) => value.into(),
        AMQPValue::ShortUInt(value) => value.into(),
        AMQPValue::LongInt(value) => value.into(),
        AMQPValue::LongUInt(value) => value.into(),
        AMQPValue::LongLongInt(value) => value,
        AMQPValue::Timestamp(value) => i64::try_from(value).ok()?,
        _ => return None,
    })
}

/// Returns whether the table has an old field that no new one overwrites.
fn has_stale(table: &FieldTable, fields: &Fields<'_>) -> bool {
    fields.may_replace() && table.inner().keys().any(|key| is_stale(key, fields))
}

fn is_stale(key: &ShortString, fields: &Fields<'_>) -> bool {
    fields.replaces(key.as_str()) && !fields.adds(key.as_str())
}

fn without_stale(table: &FieldTable, fields: &Fields<'_>) -> FieldTable {
    let kept = table.inner().iter().filter(|(key, _)| !is_stale(key, fields));
    kept.map(|(key, value)| (key.clone(), value.clone())).collect::<BTreeMap<_, _>>().into()
}

/// Adds each new field. A table holds a key once, so this overwrites an old one.
fn insert(table: &mut FieldTable, fields: &mut Fields<'_>) {
    for (key, value) in fields.drain() {
        // A longer key has no encoding (AMQP 0-9-1, section 4.2.5.5: field names are short strings).
        if let Ok(key) = ShortString::try_new(key.into_owned()) {
            // Type `S`: RabbitMQ closes the connection for a short string as a value.
            table.insert(key, AMQPValue::LongString(LongString::from(value.take_bytes())));
        }
    }
}

/// Returns the value of a header, with AMQP's name of a type that holds no text.
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

    #[test]
    fn numbers_and_arrays_are_captured_as_text() {
        let texts = |value: AMQPValue| FieldTableReader(Some(&with(value))).texts("TraceParent");
        let long = |text: &str| AMQPValue::LongString(text.into());
        assert_eq!(texts(long("a")), ["a"]);
        assert_eq!(texts(AMQPValue::LongString(vec![0xff, 0].into())), ["0xff00"]);
        assert_eq!(texts(AMQPValue::LongLongInt(-7)), ["-7"]);
        assert_eq!(texts(AMQPValue::ShortShortUInt(200)), ["200"]);
        assert_eq!(texts(AMQPValue::Boolean(true)), ["true"]);
        assert_eq!(texts(AMQPValue::Double(0.5)), ["0.5"]);
        assert_eq!(texts(AMQPValue::Timestamp(1_700_000_000)), ["1700000000"]);
        let mut array = FieldArray::default();
        array.push(long("a"));
        array.push(AMQPValue::LongInt(7));
        array.push(AMQPValue::FieldTable(FieldTable::default()));
        assert_eq!(texts(AMQPValue::FieldArray(array)), ["a", "7", "field-table"]);
        assert_eq!(texts(AMQPValue::FieldTable(FieldTable::default())), ["field-table"]);
        assert_eq!(texts(AMQPValue::Void), ["null"]);
        assert!(FieldTableReader(None).texts("traceparent").is_empty());
    }

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
            let found = entries(Some(&table)).next().unwrap().1;
            let expected = if name == "void" { FieldValue::Null } else { FieldValue::Other(name) };
            assert_eq!(found, expected);
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

    #[test]
    fn a_field_is_read_and_replaced_in_any_case() {
        for name in ["Traceparent", "TRACEPARENT"] {
            let mut table = FieldTable::default();
            table.insert(name.into(), AMQPValue::LongString(PARENT.into()));
            table.insert("User".into(), AMQPValue::Boolean(true));
            let mut sent = FieldTable::default();
            inject(&extract(&table), &mut sent);
            assert_eq!(sent, with(AMQPValue::LongString(PARENT.into())));
            let mut properties = BasicProperties::default().with_headers(table.clone());
            let cx = remote_context();
            inject(&cx, &mut table);
            inject(&cx, &mut properties);
            assert_carries(&table, &cx);
            let keys: Vec<_> = table.inner().keys().map(ShortString::as_str).collect();
            assert_eq!(keys, ["User", "traceparent"]);
            assert_eq!(*properties.headers(), Some(table));
        }
    }

    #[test]
    fn the_other_properties_stay() {
        let properties =
            || BasicProperties::default().with_content_type("text/plain".into()).with_priority(3);
        let mut sent = properties();
        let cx = remote_context();
        inject(&cx, &mut sent);
        assert_carries(&sent, &cx);
        let headers = sent.headers().clone().unwrap_or_default();
        assert_eq!(sent, properties().with_headers(headers));
    }

    #[test]
    fn no_headers_stay_no_headers_without_a_context() {
        let mut properties = BasicProperties::default();
        inject(&Context::new(), &mut properties);
        assert_eq!(*properties.headers(), None);
    }

    #[test]
    fn without_a_span_the_old_context_goes_and_the_users_headers_stay() {
        let mut user = FieldTable::default();
        user.insert("user".into(), AMQPValue::Boolean(true));
        let mut properties = BasicProperties::default().with_headers(user.clone());
        inject(&remote_context(), &mut properties);
        inject(&Context::new(), &mut properties);
        assert_carries_nothing(&properties);
        assert_eq!(*properties.headers(), Some(user));
    }

    #[test]
    fn headers_over_the_common_frame_show_a_larger_one_and_get_their_trace() {
        let mut user = FieldTable::default();
        user.insert("user".into(), AMQPValue::LongString("u".repeat(200_000).into()));
        let cx = remote_context();
        let mut properties = BasicProperties::default().with_headers(user.clone());
        inject(&cx, &mut properties);
        assert_carries(&properties, &cx);
        inject(&cx, &mut user);
        assert_carries(&user, &cx);
    }

    #[test]
    fn injecting_again_replaces_the_context() {
        let mut properties = BasicProperties::default();
        inject(&remote_context(), &mut properties);
        let cx = remote_context();
        inject(&cx, &mut properties);
        assert_carries(&properties, &cx);
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
