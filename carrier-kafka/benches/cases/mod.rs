//! What is measured: each row with its floors, our ways, and what is used instead.
#![allow(dead_code, unreachable_pub, reason = "each program that measures takes a part of it")]

#[cfg(feature = "instrumentation")]
pub mod instrumented;
#[path = "../../../tests/load/src/peers.rs"]
mod peers;

use std::{ptr, slice};

use carrier_kafka::{extract, extract_with, inject, inject_with};
use carrier_measure::{
    ALL, Meter, PARENT, Row, by_hand, context, extract_all, extract_one, full_context, in_place,
};
use opentelemetry::Context;
use opentelemetry::propagation::{Extractor, TextMapPropagator};
use opentelemetry_sdk::propagation::TraceContextPropagator;
use rdkafka::bindings::{rd_kafka_header_get_last, rd_kafka_resp_err_t};
use rdkafka::message::{BorrowedHeaders, Header, Headers, OwnedHeaders};
use rdkafka::producer::BaseRecord;

use self::peers::{Copied, Short};

type Record = BaseRecord<'static, str, str>;

pub fn all(meter: &mut impl Meter) {
    inject_into(meter, "kafka: inject, no headers", &context(), 0, add_ready);
    for count in [5, 20, 100] {
        inject_into(meter, &format!("kafka: inject, {count} headers"), &context(), count, add_ready);
    }
    inject_into(meter, "kafka: inject, tracestate and baggage", &full_context(), 0, |record| {
        let headers = OwnedHeaders::new_with_capacity(ALL.len());
        record.headers(ALL.into_iter().fold(headers, |all, (key, value)| add(all, key, value)))
    });
    let one = |headers: &OwnedHeaders| extract_one(look_up(headers, c"traceparent")?);
    extract_from(meter, "kafka: extract, 1 header", &received(0, &ALL[..1]), one);
    for count in [20, 100, 1_000] {
        let row = format!("kafka: extract, {count} headers");
        extract_from(meter, &row, &received(count - 1, &ALL[..1]), one);
    }
    extract_from(meter, "kafka: extract, tracestate and baggage", &received(0, &ALL), |headers| {
        let get = |key| look_up(headers, key);
        extract_all(get(c"traceparent")?, get(c"tracestate")?, get(c"baggage")?)
    });
    #[cfg(feature = "instrumentation")]
    if !carrier_measure::is_installed() {
        instrumented::all(meter);
    }
}

fn add(headers: OwnedHeaders, key: &str, value: &str) -> OwnedHeaders {
    headers.insert(Header { key, value: Some(value) })
}

/// So many other headers, and then these fields.
fn received(others: usize, fields: &[(&str, &str)]) -> OwnedHeaders {
    let others = (0..others)
        .fold(OwnedHeaders::new(), |headers, n| add(headers, &format!("x-user-{:x}", n % 16), "value"));
    fields.iter().fold(others, |headers, (key, value)| add(headers, key, value))
}

fn inject_by_hand(cx: &Context, record: &mut Record) {
    let Some((parent, state, baggage)) = by_hand::format(cx) else { return };
    let is_old = |key: &str| matches!(key, "traceparent" | "tracestate" | "baggage");
    let mut headers = record.headers.take().unwrap_or_else(|| OwnedHeaders::new_with_capacity(3));
    if headers.iter().any(|header| is_old(header.key)) {
        let others = headers.iter().filter(|header| !is_old(header.key));
        headers = others.fold(OwnedHeaders::new(), |all, header| all.insert(header));
    }
    headers = headers.insert(Header { key: "traceparent", value: Some(&parent) });
    for (key, value) in [("tracestate", state), ("baggage", baggage)] {
        if !value.is_empty() {
            headers = add(headers, key, &value);
        }
    }
    record.headers = Some(headers);
}

/// The floor of injection: the record's headers and one more.
fn add_ready(record: Record) -> Record {
    let headers = match &record.headers {
        Some(old) => {
            let all = OwnedHeaders::new_with_capacity(old.count() + 1);
            old.iter().fold(all, |all, header| all.insert(header))
        }
        None => OwnedHeaders::new_with_capacity(1),
    };
    let headers = add(headers, "traceparent", PARENT);
    record.headers(headers)
}

fn inject_into(
    meter: &mut impl Meter,
    row: &str,
    cx: &Context,
    others: usize,
    floor: impl Fn(Record) -> Record,
) {
    let make = || {
        let record = Record::to("topic").key("key").payload("payload");
        if others == 0 { record } else { record.headers(received(others, &[])) }
    };
    let stock = TraceContextPropagator::new();
    let with = |own: &_, record: &mut _| drop(inject_with(own, cx, record));
    Row::new(meter, row, make, floor)
        .by_hand(make, in_place(|record| inject_by_hand(cx, record)))
        .ours_in_place(make, with, |record| drop(inject(cx, record)))
        .and("copied snippet", make, |mut record| {
            let mut headers = record.headers.take().unwrap_or_default();
            stock.inject_context(cx, &mut Copied(&mut headers));
            record.headers(headers)
        })
        .and("stock", make, |mut record| {
            let mut headers = record.headers.take().unwrap_or_default();
            stock.inject_context(cx, &mut Short(&mut headers));
            record.headers(headers)
        });
}

fn extract_from(
    meter: &mut impl Meter,
    row: &str,
    message: &OwnedHeaders,
    floor: impl Fn(&OwnedHeaders) -> Option<Context>,
) {
    let (stock, make) = (TraceContextPropagator::new(), || message);
    Row::new(meter, row, make, floor)
        .by_hand(make, |headers| {
            let (mut parent, mut state, mut baggage) = (None, None, None);
            for header in headers.iter() {
                match header.key {
                    "traceparent" => parent = header.value,
                    "tracestate" => state = header.value,
                    "baggage" => baggage = header.value,
                    _ => {}
                }
            }
            by_hand::extract(parent, state, baggage)
        })
        .ours(make, extract_with, extract)
        .and("stock", make, |message| stock.extract_with_context(&Context::new(), &Loop(message)));
}

/// librdkafka's look-up by name, and nothing else.
fn look_up<'a>(headers: &'a OwnedHeaders, name: &std::ffi::CStr) -> Option<&'a [u8]> {
    let (mut value, mut size) = (ptr::null(), 0);
    // SAFETY: rdkafka's `BorrowedHeaders` stands at the address of librdkafka's headers, which live as long as the
    // reference; the value lives as long as they do.
    unsafe {
        let headers = ptr::from_ref::<BorrowedHeaders>(headers.as_borrowed()).cast();
        let code = rd_kafka_header_get_last(headers, name.as_ptr(), &mut value, &mut size);
        let found = code == rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR_NO_ERROR && !value.is_null();
        found.then(|| slice::from_raw_parts(value.cast::<u8>(), size))
    }
}

/// A loop over the headers for each key.
struct Loop<'a>(&'a OwnedHeaders);

impl Extractor for Loop<'_> {
    fn get(&self, key: &str) -> Option<&str> {
        let header = self.0.iter().find(|header| header.key == key)?;
        std::str::from_utf8(header.value?).ok()
    }

    fn keys(&self) -> Vec<&str> {
        self.0.iter().map(|header| header.key).collect()
    }
}
