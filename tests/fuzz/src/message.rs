//! The headers of each client behind one interface.

use std::collections::BTreeMap;
use std::collections::HashMap;
use std::ffi::OsString;
use std::hash::{BuildHasherDefault, DefaultHasher};

use carrier_amqp::{FieldTableCarrier, PropertiesCarrier};
use carrier_core::env::Environment;
use carrier_core::testing::assert_consistent;
use carrier_core::{Extraction, Injection, Propagation};
use carrier_kafka::{HeadersCarrier, RecordCarrier};
use http::{HeaderMap, HeaderName, HeaderValue};
use lapin::BasicProperties;
use lapin::types::{AMQPValue, ByteArray, DecimalValue, FieldArray, FieldTable, LongString, ShortString};
use opentelemetry::Context;
use rdkafka::message::OwnedHeaders;
use rdkafka::producer::FutureRecord;

use crate::input::{Header, Value, is_one_of};
use crate::raw;

pub(crate) trait Message {
    /// The other headers keep their order, and new ones are appended.
    const IS_LIST: bool = false;

    /// Makes a message with those headers that this type can hold.
    fn of(headers: &[Header]) -> Self;
    /// The headers that the message has.
    fn list(&self) -> Vec<Header>;
    /// The headers that can be read, with the names of the fields.
    fn readable(&self) -> Vec<Header> {
        self.list()
    }
    /// Returns whether a header of this name is one of these fields.
    fn is_one_of(fields: &[&str], name: &[u8]) -> bool {
        is_one_of(fields, name)
    }
    fn inspect(&self, propagation: &Propagation) -> Extraction;
    fn extract(&self, propagation: &Propagation) -> Context;
    fn inject(&mut self, propagation: &Propagation, cx: &Context) -> Injection;
    /// Asserts that the carrier's optional methods agree with the required ones.
    fn assert_consistent(&mut self);
}

/// Calls a function that is generic over messages, with the type that a number chooses.
macro_rules! with_message {
    ($choice:expr, $function:ident($($argument:expr),*)) => {
        match $choice % 9 {
            0 => $function::<Vec<(String, String)>>($($argument),*),
            1 => $function::<$crate::message::Map>($($argument),*),
            2 => $function::<std::collections::BTreeMap<String, String>>($($argument),*),
            3 => $function::<http::HeaderMap>($($argument),*),
            4 => $function::<lapin::types::FieldTable>($($argument),*),
            5 => $function::<lapin::BasicProperties>($($argument),*),
            6 => $function::<rdkafka::message::OwnedHeaders>($($argument),*),
            7 => $function::<carrier_core::env::Environment>($($argument),*),
            _ => $function::<rdkafka::producer::FutureRecord<'_, str, str>>($($argument),*),
        }
    };
}
pub(crate) use with_message;

/// A map whose order is the same in each run.
pub(crate) type Map = HashMap<String, String, BuildHasherDefault<DefaultHasher>>;

/// The calls of a carrier of the core, and those of an adapter.
macro_rules! calls {
    () => {
        calls!(|this, propagation| propagation.inspect(this), propagation.extract(this));
        fn inject(&mut self, propagation: &Propagation, cx: &Context) -> Injection {
            propagation.inject(cx, self)
        }
        fn assert_consistent(&mut self) {
            assert_consistent(self);
        }
    };
    ($adapter:ident, |$message:ident| $carrier:expr) => {
        calls!(
            |this, propagation| $adapter::inspect_with(propagation, this),
            $adapter::extract_with(propagation, this)
        );
        fn inject(&mut self, propagation: &Propagation, cx: &Context) -> Injection {
            $adapter::inject_with(propagation, cx, self)
        }
        fn assert_consistent(&mut self) {
            let $message = self;
            assert_consistent(&$carrier);
        }
    };
    (|$this:ident, $propagation:ident| $inspect:expr, $extract:expr) => {
        fn inspect(&self, $propagation: &Propagation) -> Extraction {
            let $this = self;
            $inspect
        }
        fn extract(&self, $propagation: &Propagation) -> Context {
            let $this = self;
            $extract
        }
    };
}

/// The headers whose name and value are text.
fn texts(headers: &[Header]) -> impl Iterator<Item = (String, String)> {
    headers.iter().filter_map(|(name, value)| match value {
        Value::Bytes(value) => Some((text(name)?, text(value)?)),
        _ => None,
    })
}

fn text(bytes: &[u8]) -> Option<String> {
    std::str::from_utf8(bytes).ok().map(str::to_owned)
}

fn header(name: &str, value: &[u8]) -> Header {
    (name.as_bytes().to_vec(), Value::Bytes(value.to_vec()))
}

impl Message for Vec<(String, String)> {
    const IS_LIST: bool = true;

    fn of(headers: &[Header]) -> Self {
        texts(headers).collect()
    }

    fn list(&self) -> Vec<Header> {
        self.iter().map(|(name, value)| header(name, value.as_bytes())).collect()
    }

    calls!();
}

macro_rules! map {
    ($($map:ty),*) => {$(
        impl Message for $map {
            fn of(headers: &[Header]) -> Self {
                texts(headers).collect()
            }

            fn list(&self) -> Vec<Header> {
                self.iter().map(|(name, value)| header(name, value.as_bytes())).collect()
            }

            calls!();
        }
    )*};
}

map!(Map, BTreeMap<String, String>);

/// Only normalised names are fields.
impl Message for Environment {
    fn of(headers: &[Header]) -> Self {
        texts(headers).collect()
    }

    fn list(&self) -> Vec<Header> {
        let bytes = |text: OsString| text.into_encoded_bytes();
        self.clone().into_iter().map(|(name, value)| (bytes(name), Value::Bytes(bytes(value)))).collect()
    }

    fn readable(&self) -> Vec<Header> {
        let is_normal =
            |name: &[u8]| name.iter().all(|byte| matches!(byte, b'A'..=b'Z' | b'0'..=b'9' | b'_'));
        let mut list = self.list();
        list.retain(|(name, _)| is_normal(name));
        list.iter_mut().for_each(|(name, _)| {
            name.iter_mut().filter(|byte| **byte == b'_').for_each(|byte| *byte = b'-')
        });
        list
    }

    fn is_one_of(fields: &[&str], name: &[u8]) -> bool {
        fields.iter().any(|field| field.to_ascii_uppercase().replace('-', "_").as_bytes() == name)
    }

    calls!();
}

impl Message for HeaderMap {
    fn of(headers: &[Header]) -> Self {
        let mut map = Self::new();
        for (name, value) in headers {
            let Value::Bytes(value) = value else { continue };
            if let (Ok(name), Ok(value)) = (HeaderName::from_bytes(name), HeaderValue::from_bytes(value)) {
                map.append(name, value);
            }
        }
        map
    }

    fn list(&self) -> Vec<Header> {
        self.iter().map(|(name, value)| header(name.as_str(), value.as_bytes())).collect()
    }

    calls!();
}

fn to_amqp(value: &Value) -> AMQPValue {
    match value {
        Value::Null => AMQPValue::Void,
        Value::Bytes(bytes) if bytes.len() % 5 == 4 => AMQPValue::ByteArray(ByteArray::from(bytes.clone())),
        Value::Bytes(bytes) => AMQPValue::LongString(LongString::from(bytes.clone())),
        Value::Other(0) => AMQPValue::Boolean(true),
        Value::Other(1) => AMQPValue::LongInt(-1),
        Value::Other(2) => AMQPValue::Double(0.5),
        Value::Other(3) => AMQPValue::DecimalValue(DecimalValue { scale: 1, value: 2 }),
        Value::Other(4) => AMQPValue::Timestamp(1),
        Value::Other(5) => AMQPValue::ShortString("text".into()),
        Value::Other(6) => AMQPValue::FieldArray(FieldArray::from(vec![AMQPValue::Void])),
        Value::Other(_) => AMQPValue::FieldTable(FieldTable::default()),
    }
}

pub(crate) fn list_table(table: Option<&FieldTable>) -> Vec<Header> {
    let entries = table.into_iter().flat_map(|table| table.inner());
    let value = |value: &AMQPValue| match value {
        AMQPValue::LongString(text) => Value::Bytes(text.as_bytes().to_vec()),
        AMQPValue::ByteArray(bytes) => Value::Bytes(bytes.as_slice().to_vec()),
        AMQPValue::Void => Value::Null,
        _ => Value::Other(0),
    };
    entries.map(|(name, content)| (name.as_str().as_bytes().to_vec(), value(content))).collect()
}

impl Message for FieldTable {
    fn of(headers: &[Header]) -> Self {
        let mut table = Self::default();
        for (name, value) in headers {
            if let Some(Ok(name)) = text(name).map(ShortString::try_new) {
                table.insert(name, to_amqp(value));
            }
        }
        table
    }

    fn list(&self) -> Vec<Header> {
        list_table(Some(self))
    }

    calls!(carrier_amqp, |table| FieldTableCarrier(table));
}

impl Message for BasicProperties {
    fn of(headers: &[Header]) -> Self {
        let properties = Self::default().with_app_id("app".into());
        if headers.is_empty() { properties } else { properties.with_headers(FieldTable::of(headers)) }
    }

    fn list(&self) -> Vec<Header> {
        assert_eq!(self.app_id().as_ref().map(ShortString::as_str), Some("app"));
        list_table(self.headers().as_ref())
    }

    calls!(carrier_amqp, |properties| PropertiesCarrier(properties));
}

impl Message for OwnedHeaders {
    const IS_LIST: bool = true;

    fn of(headers: &[Header]) -> Self {
        raw::headers(headers.iter().map(|(name, value)| match value {
            Value::Bytes(value) => (&**name, Some(&**value)),
            _ => (&**name, None),
        }))
    }

    fn list(&self) -> Vec<Header> {
        let value = |value: Option<&[u8]>| value.map_or(Value::Null, |value| Value::Bytes(value.to_vec()));
        raw::list(Some(self.as_borrowed()))
            .into_iter()
            .map(|(name, content)| (name.to_vec(), value(content)))
            .collect()
    }

    calls!(carrier_kafka, |headers| HeadersCarrier(headers));
}

impl Message for FutureRecord<'_, str, str> {
    const IS_LIST: bool = true;

    fn of(headers: &[Header]) -> Self {
        let record = FutureRecord::to("topic").payload("payload");
        if headers.is_empty() { record } else { record.headers(OwnedHeaders::of(headers)) }
    }

    fn list(&self) -> Vec<Header> {
        self.headers.as_ref().map(OwnedHeaders::list).unwrap_or_default()
    }

    calls!(carrier_kafka, |record| RecordCarrier::new(&mut record.headers, 7));
}
