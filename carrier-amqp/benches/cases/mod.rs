//! What is measured: each row with its floor, our ways, and what is used instead.
#![allow(dead_code, unreachable_pub, reason = "each program that measures takes a part of it")]
#![allow(clippy::unwrap_used, reason = "a program for developers")]

#[cfg(feature = "instrumentation")]
pub mod instrumented;

use std::collections::HashMap;

use carrier_amqp::{extract, extract_with, inject, inject_with};
use carrier_core::{Propagation, w3c};
use carrier_measure::{
    BAGGAGE, Meter, PARENT, Row, STATE, context, extract_all, full_context, register, register_nothing,
};
use lapin::BasicProperties;
use lapin::types::{AMQPValue, FieldTable, ShortString};
use opentelemetry::Context;
use opentelemetry::propagation::{Extractor, Injector, TextMapPropagator};
use opentelemetry_sdk::propagation::TraceContextPropagator;

pub fn all(meter: &mut impl Meter) {
    inject_into_properties(meter, "amqp: inject, empty properties", FieldTable::default(), false);
    inject_into_table(meter, "amqp: inject, table of 5", user_headers(5));
    inject_into_properties(meter, "amqp: inject, properties with 5", user_headers(5), true);
    inject_state_and_baggage(meter);
    extract_from(meter, "amqp: extract, 1 header", 0);
    extract_from(meter, "amqp: extract, 10 headers", 9);
    extract_state_and_baggage(meter);
    #[cfg(feature = "instrumentation")]
    instrumented::all(meter);
}

/// The same with more in a message.
pub fn growth(meter: &mut impl Meter) {
    for count in [20, 100] {
        inject_into_table(meter, &format!("amqp: inject, table of {count}"), user_headers(count));
        extract_from(meter, &format!("amqp: extract, {} headers", count + 1), count);
    }
}

/// The same on several threads at once.
pub fn threads(meter: &mut impl Meter) {
    let (cx, own) = (context(), own());
    let received = received(9);
    register(w3c());
    meter.threads("amqp: inject, threads", "registered", || drop(injected(|table| drop(inject(&cx, table)))));
    meter.threads("amqp: inject, threads", "own", || {
        drop(injected(|table| drop(inject_with(&own, &cx, table))))
    });
    meter.threads("amqp: extract, threads", "registered", || drop(extract(&received)));
    meter.threads("amqp: extract, threads", "own", || drop(extract_with(&own, &received)));
    register_nothing();
}

fn injected(inject: impl FnOnce(&mut FieldTable)) -> FieldTable {
    let mut table = FieldTable::default();
    inject(&mut table);
    table
}

fn own() -> Propagation {
    Propagation::builder().propagator(w3c()).build()
}

fn text(text: &str) -> AMQPValue {
    AMQPValue::LongString(text.into())
}

fn user_headers(count: usize) -> FieldTable {
    let mut table = FieldTable::default();
    for n in 0..count {
        table.insert(format!("x-user-{n}").into(), text("value"));
    }
    table
}

fn received(others: usize) -> BasicProperties {
    let mut headers = user_headers(others);
    headers.insert("traceparent".into(), text(PARENT));
    BasicProperties::default().with_headers(headers)
}

fn inject_into_properties(meter: &mut impl Meter, row: &str, user: FieldTable, has_headers: bool) {
    let make = || match has_headers {
        true => BasicProperties::default().with_headers(user.clone()),
        false => BasicProperties::default(),
    };
    let floor = |properties: BasicProperties| {
        let mut headers = properties.headers().clone().unwrap_or_default();
        headers.insert("traceparent".into(), text(PARENT));
        properties.with_headers(headers)
    };
    let (cx, own, stock) = (context(), own(), TraceContextPropagator::new());
    let row = Row::new(meter, row, make, floor);
    let row = row.and("own", make, |mut properties| {
        inject_with(&own, &cx, &mut properties);
        properties
    });
    let row = row.and("default", make, |mut properties| {
        inject(&cx, &mut properties);
        properties
    });
    register(w3c());
    let row = row.and("registered", make, |mut properties| {
        inject(&cx, &mut properties);
        properties
    });
    register_nothing();
    let row = row.and("stock", make, |properties| {
        let mut headers = properties.headers().clone().unwrap_or_default();
        stock.inject_context(&cx, &mut Short(&mut headers));
        properties.with_headers(headers)
    });
    row.and("hash map", make, |properties| {
        let mut headers = properties.headers().clone().unwrap_or_default();
        let mut map = HashMap::<String, String>::new();
        stock.inject_context(&cx, &mut map);
        for (key, value) in map {
            headers.insert(ShortString::from(key), AMQPValue::LongString(value.into()));
        }
        properties.with_headers(headers)
    });
}

fn inject_into_table(meter: &mut impl Meter, row: &str, user: FieldTable) {
    let make = || user.clone();
    let (cx, own, stock) = (context(), own(), TraceContextPropagator::new());
    let row = Row::new(meter, row, make, |mut table: FieldTable| {
        table.insert("traceparent".into(), text(PARENT));
        table
    });
    let row = row.and("own", make, |mut table| {
        inject_with(&own, &cx, &mut table);
        table
    });
    let row = row.and("default", make, |mut table| {
        inject(&cx, &mut table);
        table
    });
    register(w3c());
    let row = row.and("registered", make, |mut table| {
        inject(&cx, &mut table);
        table
    });
    register_nothing();
    row.and("stock", make, |mut table| {
        stock.inject_context(&cx, &mut Short(&mut table));
        table
    });
}

fn inject_state_and_baggage(meter: &mut impl Meter) {
    let (cx, own) = (full_context(), own());
    let row = Row::new(meter, "amqp: inject, tracestate and baggage", FieldTable::default, |mut table| {
        for (key, value) in [("traceparent", PARENT), ("tracestate", STATE), ("baggage", BAGGAGE)] {
            table.insert(key.into(), text(value));
        }
        table
    });
    let row = row.and("own", FieldTable::default, |mut table| {
        inject_with(&own, &cx, &mut table);
        table
    });
    register(w3c());
    row.and("registered", FieldTable::default, |mut table| {
        inject(&cx, &mut table);
        table
    });
    register_nothing();
}

fn extract_from(meter: &mut impl Meter, row: &str, others: usize) {
    let (message, own, stock) = (received(others), own(), TraceContextPropagator::new());
    let make = || &message;
    let row = Row::new(meter, row, make, |message| {
        let parent = message.headers().as_ref()?.inner().get("traceparent")?;
        carrier_measure::extract(parent.as_long_string()?.as_bytes())
    });
    let row = row.and("own", make, |message| extract_with(&own, message));
    let row = row.and("default", make, extract);
    register(w3c());
    let row = row.and("registered", make, extract);
    register_nothing();
    let row = row.and("stock", make, |message| {
        stock.extract_with_context(&Context::new(), &Short(message.headers().as_ref().unwrap()))
    });
    row.and("hash map", make, |message| {
        let pairs = message.headers().as_ref().unwrap().inner().iter();
        let map: HashMap<String, String> = pairs
            .filter_map(|(key, value)| Some((key.to_string(), value.as_long_string()?.to_string())))
            .collect();
        stock.extract_with_context(&Context::new(), &map)
    });
}

fn extract_state_and_baggage(meter: &mut impl Meter) {
    let mut headers = FieldTable::default();
    for (key, value) in [("traceparent", PARENT), ("tracestate", STATE), ("baggage", BAGGAGE)] {
        headers.insert(key.into(), text(value));
    }
    let (message, own) = (BasicProperties::default().with_headers(headers), own());
    let make = || &message;
    let row = Row::new(meter, "amqp: extract, tracestate and baggage", make, |message| {
        let headers = message.headers().as_ref()?.inner();
        let get = |key: &str| Some(headers.get(key)?.as_long_string()?.as_bytes());
        extract_all(get("traceparent")?, get("tracestate")?, get("baggage")?)
    });
    let row = row.and("own", make, |message| extract_with(&own, message));
    register(w3c());
    row.and("registered", make, extract);
    register_nothing();
}

/// The adapter of fifteen lines that people write.
struct Short<T>(T);

impl Injector for Short<&mut FieldTable> {
    fn set(&mut self, key: &str, value: String) {
        self.0.insert(key.into(), AMQPValue::LongString(value.into()));
    }
}

impl Extractor for Short<&FieldTable> {
    fn get(&self, key: &str) -> Option<&str> {
        std::str::from_utf8(self.0.inner().get(key)?.as_long_string()?.as_bytes()).ok()
    }

    fn keys(&self) -> Vec<&str> {
        self.0.inner().keys().map(|key| key.as_str()).collect()
    }
}
