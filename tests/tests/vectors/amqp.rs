//! Field tables of AMQP 0-9-1: decoded by lapin's parser, read and written by carrier-amqp.

use carrier_amqp::{ExtractFrom as _, inject_with};
use carrier_core::{FieldValue, Propagation};
use lapin::BasicProperties;
use lapin::types::parsing::parse_field_table;
use lapin::types::{AMQPValue, DecimalValue, FieldArray, FieldTable};
use serde::Deserialize as _;
use serde::de::DeserializeOwned;

use crate::check::{Plain, compare, propagations, read};
use crate::file::{Conflict, Header, Vector};

pub(crate) fn check(vector: &Vector, problems: &mut Vec<String>) {
    let wire = vector.wire.bytes();
    let is_refused = vector.refused_by.iter().any(|client| client == "lapin");
    let table = match parse_field_table(&wire[..]) {
        Ok((rest, table)) => {
            compare("refused by lapin", &false, &is_refused, problems);
            compare("bytes after the table", &rest.len(), &0, problems);
            compare("wire and headers", &table, &to_table(&vector.headers), problems);
            Some(table)
        }
        Err(_) => {
            compare("refused by lapin", &true, &is_refused, problems);
            None
        }
    };
    let headers = match &table {
        Some(table) => {
            table.inner().iter().map(|(key, value)| (key.as_str().into(), value.clone())).collect()
        }
        None => to_list(&vector.headers),
    };
    let plain = Plain { headers, value, text: |text| AMQPValue::LongString(text.into()) };
    for outcome in &vector.outcomes {
        for rule in &outcome.conflict {
            for (path, propagation) in propagations(*rule) {
                let what = format!("{rule:?}, {path}");
                read(&format!("{what}, generic carrier"), &propagation, &plain, outcome, problems);
                let mut forwarded = plain.clone();
                propagation.inject(&propagation.extract(&plain), &mut forwarded);
                forwarded.headers.sort_by(|(one, _), (other, _)| one.cmp(other));
                let forward = to_list(&outcome.forward);
                compare(&format!("{what}, generic forward"), &forwarded.headers, &forward, problems);
                if let Some(table) = &table {
                    read(&what, &propagation, &table.reader(), outcome, problems);
                    check_forward(&what, &propagation, table, &to_table(&outcome.forward), problems);
                }
            }
        }
        if let Some(table) = table.as_ref().filter(|_| outcome.conflict.contains(&Conflict::Restart)) {
            read("default rule", &Propagation::w3c(), &table.reader(), outcome, problems);
        }
    }
}

fn check_forward(
    what: &str,
    propagation: &Propagation,
    table: &FieldTable,
    expected: &FieldTable,
    problems: &mut Vec<String>,
) {
    let cx = propagation.extract(&table.reader());
    let mut properties = BasicProperties::default().with_headers(table.clone());
    let mut table = table.clone();
    inject_with(propagation, &cx, &mut table);
    inject_with(propagation, &cx, &mut properties);
    compare(&format!("{what}, forward"), &table, expected, problems);
    let headers = properties.headers().as_ref();
    compare(&format!("{what}, forward with properties"), &headers, &Some(expected), problems);
}

fn value(value: &AMQPValue) -> FieldValue<'_> {
    match value {
        AMQPValue::LongString(text) => FieldValue::Bytes(text.as_bytes()),
        AMQPValue::ByteArray(bytes) => FieldValue::Bytes(bytes.as_slice()),
        AMQPValue::Void => FieldValue::Null,
        _ => FieldValue::Other("another type"),
    }
}

fn to_list(headers: &[Header]) -> Vec<(Vec<u8>, AMQPValue)> {
    headers.iter().map(|header| (header.key(), to_value(header))).collect()
}

fn to_table(headers: &[Header]) -> FieldTable {
    let mut table = FieldTable::default();
    for (key, value) in to_list(headers) {
        table.insert(String::from_utf8_lossy(&key).into_owned().into(), value);
    }
    table
}

fn to_value(header: &Header) -> AMQPValue {
    let content = || header.content().unwrap();
    match header.kind.unwrap() {
        't' => AMQPValue::Boolean(number(header)),
        'b' => AMQPValue::ShortShortInt(number(header)),
        'B' => AMQPValue::ShortShortUInt(number(header)),
        // AMQP's and RabbitMQ's letter of the same type.
        'U' | 's' => AMQPValue::ShortInt(number(header)),
        'u' => AMQPValue::ShortUInt(number(header)),
        'I' => AMQPValue::LongInt(number(header)),
        'i' => AMQPValue::LongUInt(number(header)),
        'L' | 'l' => AMQPValue::LongLongInt(number(header)),
        'f' => AMQPValue::Float(number(header)),
        'd' => AMQPValue::Double(number(header)),
        'D' => {
            let part = |name: &str| u32::deserialize(&header.value[name]).unwrap();
            AMQPValue::DecimalValue(DecimalValue {
                scale: part("scale").try_into().unwrap(),
                value: part("value"),
            })
        }
        'T' => AMQPValue::Timestamp(number(header)),
        'S' => AMQPValue::LongString(content().into()),
        'x' => AMQPValue::ByteArray(content().into()),
        'A' => {
            let items: Vec<Header> = number(header);
            let innermost = FieldArray::from(items.iter().map(to_value).collect::<Vec<_>>());
            let wrap = |inner| FieldArray::from(vec![AMQPValue::FieldArray(inner)]);
            AMQPValue::FieldArray((1..header.depth).fold(innermost, |inner, _| wrap(inner)))
        }
        'F' => {
            let entries: Vec<Header> = number(header);
            let wrap = |inner| {
                let mut table = FieldTable::default();
                let key = String::from_utf8(entries[0].key()).unwrap();
                table.insert(key.into(), AMQPValue::FieldTable(inner));
                table
            };
            AMQPValue::FieldTable((1..header.depth).fold(to_table(&entries), |inner, _| wrap(inner)))
        }
        'V' => AMQPValue::Void,
        other => panic!("{other} is no AMQP type"),
    }
}

/// A value of the type that the letter stands for.
fn number<T: DeserializeOwned>(header: &Header) -> T {
    T::deserialize(&header.value).unwrap()
}
