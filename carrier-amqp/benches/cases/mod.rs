//! What is measured: each row with its floors, our ways, and what is used instead.
#![allow(dead_code, unreachable_pub, reason = "each program that measures takes a part of it")]

#[cfg(feature = "instrumentation")]
pub mod instrumented;

use std::collections::BTreeMap;

use carrier_amqp::{extract, extract_with, inject, inject_with};
use carrier_measure::{ALL, Meter, Row, by_hand, context, extract_all, extract_one, full_context, in_place};
use lapin::BasicProperties;
use lapin::types::{AMQPValue, FieldTable};
use opentelemetry::Context;
use opentelemetry::propagation::{Extractor, Injector, TextMapPropagator};
use opentelemetry_sdk::propagation::TraceContextPropagator;

pub fn all(meter: &mut impl Meter) {
    inject_into_properties(meter, "amqp: inject, empty properties", &BasicProperties::default());
    for count in [5, 20, 100] {
        let row = format!("amqp: inject, table of {count}");
        inject_into_table(meter, &row, &context(), &user_headers(count), |table| {
            table.insert("traceparent".into(), text(ALL[0].1));
        });
    }
    let five = BasicProperties::default().with_headers(user_headers(5));
    inject_into_properties(meter, "amqp: inject, properties with 5", &five);
    let row = "amqp: inject, tracestate and baggage";
    inject_into_table(meter, row, &full_context(), &FieldTable::default(), |table| {
        for (key, value) in ALL {
            table.insert(key.into(), text(value));
        }
    });
    let one = |message: &_| extract_one(get(message, "traceparent")?);
    extract_from(meter, "amqp: extract, 1 header", &received(0, &ALL[..1]), one);
    for count in [10, 21, 101] {
        let row = format!("amqp: extract, {count} headers");
        extract_from(meter, &row, &received(count - 1, &ALL[..1]), one);
    }
    extract_from(meter, "amqp: extract, tracestate and baggage", &received(0, &ALL), |message| {
        extract_all(get(message, "traceparent")?, get(message, "tracestate")?, get(message, "baggage")?)
    });
    #[cfg(feature = "instrumentation")]
    if !carrier_measure::is_installed() {
        instrumented::PROCESS.rows(meter);
    }
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

/// A message with so many other headers, and with these fields.
fn received(others: usize, fields: &[(&str, &str)]) -> BasicProperties {
    let mut headers = user_headers(others);
    for (key, value) in fields {
        headers.insert((*key).into(), text(value));
    }
    BasicProperties::default().with_headers(headers)
}

/// A table has no `remove`, so one with an old field that gets no new value is built anew.
fn inject_by_hand(cx: &Context, table: &mut FieldTable) {
    let Some((parent, state, baggage)) = by_hand::format(cx) else { return };
    let lists = [("tracestate", state), ("baggage", baggage)];
    if lists.iter().any(|(key, value)| value.is_empty() && table.contains_key(key)) {
        let is_other = |key: &str| lists.iter().all(|(name, _)| *name != key);
        let others = table.inner().iter().filter(|(key, _)| is_other(key.as_str()));
        *table = others.map(|(key, value)| (key.clone(), value.clone())).collect::<BTreeMap<_, _>>().into();
    }
    table.insert("traceparent".into(), AMQPValue::LongString(parent[..].into()));
    for (key, value) in lists.into_iter().filter(|(_, value)| !value.is_empty()) {
        table.insert(key.into(), AMQPValue::LongString(value.into()));
    }
}

fn inject_into_properties(meter: &mut impl Meter, row: &str, user: &BasicProperties) {
    let (cx, stock, make) = (context(), TraceContextPropagator::new(), || user.clone());
    let headers = |message: &BasicProperties| message.headers().clone().unwrap_or_default();
    let row = Row::new(meter, row, make, |message| {
        let mut headers = headers(&message);
        headers.insert("traceparent".into(), text(ALL[0].1));
        message.with_headers(headers)
    });
    let row = row.by_hand(make, |message| {
        let mut headers = headers(&message);
        inject_by_hand(&cx, &mut headers);
        message.with_headers(headers)
    });
    let with = |own: &_, message: &mut _| drop(inject_with(own, &cx, message));
    row.ours_in_place(make, with, |message| drop(inject(&cx, message))).and("stock", make, |message| {
        let mut headers = headers(&message);
        stock.inject_context(&cx, &mut Short(&mut headers));
        message.with_headers(headers)
    });
}

fn inject_into_table(
    meter: &mut impl Meter,
    row: &str,
    cx: &Context,
    user: &FieldTable,
    floor: impl Fn(&mut FieldTable),
) {
    let (stock, make) = (TraceContextPropagator::new(), || user.clone());
    let with = |own: &_, table: &mut _| drop(inject_with(own, cx, table));
    Row::new(meter, row, make, in_place(floor))
        .by_hand(make, in_place(|table| inject_by_hand(cx, table)))
        .ours_in_place(make, with, |table| drop(inject(cx, table)))
        .and("stock", make, in_place(|table| stock.inject_context(cx, &mut Short(table))));
}

fn get<'a>(message: &'a BasicProperties, key: &str) -> Option<&'a [u8]> {
    Some(message.headers().as_ref()?.inner().get(key)?.as_long_string()?.as_bytes())
}

fn extract_from(
    meter: &mut impl Meter,
    row: &str,
    message: &BasicProperties,
    floor: impl Fn(&BasicProperties) -> Option<Context>,
) {
    let (stock, make) = (TraceContextPropagator::new(), || message);
    Row::new(meter, row, make, floor)
        .by_hand(make, |message| {
            by_hand::extract(get(message, "traceparent"), get(message, "tracestate"), get(message, "baggage"))
        })
        .ours(make, extract_with, extract)
        .and("stock", make, |message| stock.extract_with_context(&Context::new(), &Short(message)));
}

/// The adapter of fifteen lines that people write.
struct Short<T>(T);

impl Injector for Short<&mut FieldTable> {
    fn set(&mut self, key: &str, value: String) {
        self.0.insert(key.into(), AMQPValue::LongString(value.into()));
    }
}

impl Extractor for Short<&BasicProperties> {
    fn get(&self, key: &str) -> Option<&str> {
        std::str::from_utf8(get(self.0, key)?).ok()
    }

    fn keys(&self) -> Vec<&str> {
        self.0.headers().iter().flat_map(|headers| headers.inner().keys()).map(|key| key.as_str()).collect()
    }
}
