//! What is measured: each row with its floor, our ways, and what is used instead.
#![allow(dead_code, unreachable_pub, reason = "each program that measures takes a part of it")]
#![allow(clippy::unwrap_used, reason = "a program for developers")]

#[cfg(feature = "instrumentation")]
pub mod instrumented;

use std::collections::HashMap;
use std::{ptr, slice};

use carrier_core::{Propagation, w3c};
use carrier_kafka::{extract, extract_with, inject, inject_with};
use carrier_measure::{
    BAGGAGE, Meter, PARENT, Row, STATE, context, extract_all, full_context, register, register_nothing,
};
use opentelemetry::Context;
use opentelemetry::propagation::{Extractor, Injector, TextMapPropagator};
use opentelemetry_sdk::propagation::TraceContextPropagator;
use rdkafka::bindings::{rd_kafka_header_get_last, rd_kafka_resp_err_t};
use rdkafka::message::{BorrowedHeaders, Header, Headers, OwnedHeaders};
use rdkafka::producer::BaseRecord;

type Record = BaseRecord<'static, str, str>;

pub fn all(meter: &mut impl Meter) {
    inject_into(meter, "kafka: inject, no headers", 0);
    inject_into(meter, "kafka: inject, 5 headers", 5);
    inject_state_and_baggage(meter);
    extract_from(meter, "kafka: extract, 1 header", 0);
    extract_from(meter, "kafka: extract, 20 headers", 19);
    extract_state_and_baggage(meter);
    #[cfg(feature = "instrumentation")]
    instrumented::all(meter);
}

/// The same with more in a message.
pub fn growth(meter: &mut impl Meter) {
    for count in [20, 100] {
        inject_into(meter, &format!("kafka: inject, {count} headers"), count);
    }
    for count in [100, 1_000] {
        extract_from(meter, &format!("kafka: extract, {count} headers"), count - 1);
    }
}

/// The same on several threads at once.
pub fn threads(meter: &mut impl Meter) {
    let (cx, own) = (context(), own());
    let received = received(9);
    // Nothing in it can be shared between threads but what is read through a reference.
    let received = Shared(received);
    register(w3c());
    meter.threads("kafka: inject, threads", "registered", || {
        drop(injected(|headers| drop(inject(&cx, headers))))
    });
    meter.threads("kafka: inject, threads", "own", || {
        drop(injected(|headers| drop(inject_with(&own, &cx, headers))))
    });
    meter.threads("kafka: extract, threads", "registered", || drop(extract(received.headers())));
    meter.threads("kafka: extract, threads", "own", || drop(extract_with(&own, received.headers())));
    register_nothing();
}

struct Shared(OwnedHeaders);

impl Shared {
    fn headers(&self) -> &BorrowedHeaders {
        self.0.as_borrowed()
    }
}

fn injected(inject: impl FnOnce(&mut OwnedHeaders)) -> OwnedHeaders {
    let mut headers = OwnedHeaders::new();
    inject(&mut headers);
    headers
}

fn own() -> Propagation {
    Propagation::builder().propagator(w3c()).build()
}

const USER: [&str; 20] = [
    "x-user-0", "x-user-1", "x-user-2", "x-user-3", "x-user-4", "x-user-5", "x-user-6", "x-user-7",
    "x-user-8", "x-user-9", "x-user-a", "x-user-b", "x-user-c", "x-user-d", "x-user-e", "x-user-f",
    "x-user-g", "x-user-h", "x-user-i", "x-user-j",
];

fn add(headers: OwnedHeaders, key: &str, value: &str) -> OwnedHeaders {
    headers.insert(Header { key, value: Some(value) })
}

fn user_headers(count: usize) -> OwnedHeaders {
    USER.iter().cycle().take(count).fold(OwnedHeaders::new(), |headers, key| add(headers, key, "value"))
}

fn received(others: usize) -> OwnedHeaders {
    add(user_headers(others), "traceparent", PARENT)
}

fn inject_into(meter: &mut impl Meter, row: &str, count: usize) {
    let make = || {
        let record = Record::to("topic").key("key").payload("payload");
        if count == 0 { record } else { record.headers(user_headers(count)) }
    };
    let floor = |record: Record| {
        let headers = match &record.headers {
            Some(old) => {
                let all = OwnedHeaders::new_with_capacity(old.count() + 1);
                old.iter().fold(all, |all, header| all.insert(header))
            }
            None => OwnedHeaders::new_with_capacity(1),
        };
        let headers = add(headers, "traceparent", PARENT);
        record.headers(headers)
    };
    let (cx, own, stock) = (context(), own(), TraceContextPropagator::new());
    let row = Row::new(meter, row, make, floor);
    let row = row.and("own", make, |mut record| {
        inject_with(&own, &cx, &mut record);
        record
    });
    let row = row.and("default", make, |mut record| {
        inject(&cx, &mut record);
        record
    });
    register(w3c());
    let row = row.and("registered", make, |mut record| {
        inject(&cx, &mut record);
        record
    });
    register_nothing();
    let row = row.and("copied snippet", make, |mut record| {
        let mut headers = record.headers.take().unwrap_or_default();
        stock.inject_context(&cx, &mut Copied(&mut headers));
        record.headers(headers)
    });
    let row = row.and("mem::take", make, |mut record| {
        let mut headers = record.headers.take().unwrap_or_default();
        stock.inject_context(&cx, &mut Taken(&mut headers));
        record.headers(headers)
    });
    row.and("hash map", make, |mut record| {
        let headers = record.headers.take().unwrap_or_default();
        let mut map = HashMap::new();
        stock.inject_context(&cx, &mut map);
        let pairs = map.iter();
        record.headers(pairs.fold(headers, |all, (key, value): (&String, &String)| add(all, key, value)))
    });
}

fn inject_state_and_baggage(meter: &mut impl Meter) {
    let (cx, own) = (full_context(), own());
    let make = || Record::to("topic").key("key").payload("payload");
    let row = Row::new(meter, "kafka: inject, tracestate and baggage", make, |record| {
        let fields = [("traceparent", PARENT), ("tracestate", STATE), ("baggage", BAGGAGE)];
        let headers = OwnedHeaders::new_with_capacity(fields.len());
        record.headers(fields.into_iter().fold(headers, |all, (key, value)| add(all, key, value)))
    });
    let row = row.and("own", make, |mut record| {
        inject_with(&own, &cx, &mut record);
        record
    });
    register(w3c());
    row.and("registered", make, |mut record| {
        inject(&cx, &mut record);
        record
    });
    register_nothing();
}

fn extract_from(meter: &mut impl Meter, row: &str, others: usize) {
    let (message, own, stock) = (received(others), own(), TraceContextPropagator::new());
    let make = || &message;
    let row = Row::new(meter, row, make, |message| {
        carrier_measure::extract(look_up(message.as_borrowed(), c"traceparent")?)
    });
    let row = row.and("own", make, |message| extract_with(&own, message));
    let row = row.and("default", make, extract);
    register(w3c());
    let row = row.and("registered", make, extract);
    register_nothing();
    let row = row.and("stock", make, |message| stock.extract_with_context(&Context::new(), &Loop(message)));
    row.and("hash map", make, |message| {
        let pairs = message.iter();
        let map: HashMap<String, String> = pairs
            .filter_map(|header| {
                Some((header.key.to_owned(), String::from_utf8(header.value?.to_vec()).ok()?))
            })
            .collect();
        stock.extract_with_context(&Context::new(), &map)
    });
}

fn extract_state_and_baggage(meter: &mut impl Meter) {
    let fields = [("traceparent", PARENT), ("tracestate", STATE), ("baggage", BAGGAGE)];
    let message = fields.into_iter().fold(OwnedHeaders::new(), |all, (key, value)| add(all, key, value));
    let own = own();
    let make = || &message;
    let row = Row::new(meter, "kafka: extract, tracestate and baggage", make, |message| {
        let get = |key| look_up(message.as_borrowed(), key);
        extract_all(get(c"traceparent")?, get(c"tracestate")?, get(c"baggage")?)
    });
    let row = row.and("own", make, |message| extract_with(&own, message));
    register(w3c());
    row.and("registered", make, extract);
    register_nothing();
}

/// librdkafka's look-up by name, and nothing else.
fn look_up<'a>(headers: &'a BorrowedHeaders, name: &std::ffi::CStr) -> Option<&'a [u8]> {
    let (mut value, mut size) = (ptr::null(), 0);
    // SAFETY: rdkafka's `BorrowedHeaders` stands at the address of librdkafka's headers, which live as long as the
    // reference; the value lives as long as they do.
    unsafe {
        let headers = ptr::from_ref(headers).cast();
        let code = rd_kafka_header_get_last(headers, name.as_ptr(), &mut value, &mut size);
        let found = code == rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR_NO_ERROR && !value.is_null();
        found.then(|| slice::from_raw_parts(value.cast::<u8>(), size))
    }
}

/// The snippet that is copied from project to project: all headers anew for each key.
struct Copied<'a>(&'a mut OwnedHeaders);

impl Injector for Copied<'_> {
    fn set(&mut self, key: &str, value: String) {
        let mut new = OwnedHeaders::new().insert(Header { key, value: Some(&value) });
        for header in self.0.iter() {
            let value = String::from_utf8(header.value.unwrap().to_vec()).unwrap();
            new = new.insert(Header { key: header.key, value: Some(&value) });
        }
        self.0.clone_from(&new);
    }
}

/// The better one: the headers are taken out and put back for each key.
struct Taken<'a>(&'a mut OwnedHeaders);

impl Injector for Taken<'_> {
    fn set(&mut self, key: &str, value: String) {
        *self.0 = add(std::mem::take(self.0), key, &value);
    }
}

/// A loop over the headers for each key.
struct Loop<'a>(&'a OwnedHeaders);

impl Extractor for Loop<'_> {
    fn get(&self, key: &str) -> Option<&str> {
        self.0
            .iter()
            .find(|header| header.key == key)
            .and_then(|header| std::str::from_utf8(header.value?).ok())
    }

    fn keys(&self) -> Vec<&str> {
        self.0.iter().map(|header| header.key).collect()
    }
}
