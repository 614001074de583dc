//! What is measured: each row with its floors, our ways, and what is used instead.
#![allow(dead_code, unreachable_pub, reason = "each program that measures takes a part of it")]

#[cfg(feature = "instrumentation")]
pub mod instrumented;
#[cfg(feature = "tracing-spans")]
pub mod traced;

use carrier_core::Propagation;
use carrier_core::http::{extract, inject};
use carrier_measure::{
    ALL, Meter, PARENT, Row, by_hand, context, extract_all, extract_one, full_context, in_place, own, state,
};
use http::{HeaderMap, HeaderName, HeaderValue};
use opentelemetry::Context;
use opentelemetry::propagation::{Extractor, Injector, TextMapPropagator};
use opentelemetry_sdk::propagation::TraceContextPropagator;

pub fn all(meter: &mut impl Meter) {
    http_inject(meter, "core: http inject", &context(), &ALL[..1]);
    http_inject(meter, "core: http inject, tracestate and baggage", &full_context(), &ALL);
    http_extract(meter, "core: http extract", &ALL[..1], |headers| {
        extract_one(headers.get("traceparent")?.as_bytes())
    });
    http_extract(meter, "core: http extract, tracestate and baggage", &ALL, |headers| {
        let get = |name| Some(headers.get(name)?.as_bytes());
        extract_all(get("traceparent")?, get("tracestate")?, get("baggage")?)
    });
    for members in [1, 8, 32] {
        tracestate(meter, members);
    }
    #[cfg(feature = "instrumentation")]
    if !carrier_measure::is_installed() {
        instrumented::all(meter);
        #[cfg(feature = "tracing-spans")]
        traced::all(meter);
    }
}

/// As constants, these need not be parsed for each message.
const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");
const TRACESTATE: HeaderName = HeaderName::from_static("tracestate");
const BAGGAGE: HeaderName = HeaderName::from_static("baggage");

fn inject_by_hand(cx: &Context, headers: &mut HeaderMap) {
    let Some((parent, state, baggage)) = by_hand::format(cx) else { return };
    let fields = [(TRACEPARENT, &parent[..]), (TRACESTATE, state.as_bytes()), (BAGGAGE, baggage.as_bytes())];
    for (name, value) in fields {
        match HeaderValue::from_bytes(value) {
            Ok(value) if !value.is_empty() => drop(headers.insert(name, value)),
            _ => drop(headers.remove(name)),
        }
    }
}

fn http_inject(meter: &mut impl Meter, row: &str, cx: &Context, fields: &[(&'static str, &str)]) {
    // Values that are no `'static` strings, as a program has them.
    let ready: Vec<(&'static str, HeaderValue)> =
        fields.iter().filter_map(|(name, value)| Some((*name, HeaderValue::from_str(value).ok()?))).collect();
    let floor = |headers: &mut HeaderMap| {
        headers.extend(ready.iter().map(|(name, value)| (HeaderName::from_static(name), value.clone())));
    };
    let (stock, make) = (TraceContextPropagator::new(), HeaderMap::new);
    let with = |own: &_, headers: &mut _| drop(Propagation::inject(own, cx, headers));
    Row::new(meter, row, make, in_place(floor))
        .by_hand(make, in_place(|headers| inject_by_hand(cx, headers)))
        .ours_in_place(make, with, |headers| drop(inject(cx, headers)))
        .and("stock", make, in_place(|headers| stock.inject_context(cx, &mut Short(headers))));
}

fn http_extract(
    meter: &mut impl Meter,
    row: &str,
    fields: &[(&'static str, &'static str)],
    floor: impl Fn(&HeaderMap) -> Option<Context>,
) {
    let fields = fields.iter();
    let fields = fields.map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value)));
    let message: HeaderMap = fields.collect();
    let (stock, make) = (TraceContextPropagator::new(), || &message);
    Row::new(meter, row, make, floor)
        .by_hand(make, |headers| {
            let get = |name| headers.get(name).map(HeaderValue::as_bytes);
            by_hand::extract(get(TRACEPARENT), get(TRACESTATE), get(BAGGAGE))
        })
        .ours(make, Propagation::extract, extract)
        .and("stock", make, |headers| stock.extract_with_context(&Context::new(), &Short(headers)));
}

/// Reading a tracestate of so many members; the floor builds the same `TraceState` and checks nothing.
fn tracestate(meter: &mut impl Meter, members: usize) {
    let text: Vec<String> = (0..members).map(|n| format!("vendor{n}=00f067aa0ba902b7")).collect();
    let message = [("traceparent", PARENT), ("tracestate", &text.join(","))];
    let message: Vec<_> = message.map(|(key, value)| (key.to_owned(), value.to_owned())).into();
    let (own, make) = (own(), || &message);
    let row = format!("core: extract, tracestate of {members}");
    let row = Row::new(meter, row, make, |message: &Vec<(String, String)>| {
        carrier_measure::extract(message[0].1.as_bytes(), state(&message[1].1))
    });
    row.and("own", make, |message| own.extract(message));
}

/// The adapter of fifteen lines that people write.
struct Short<T>(T);

impl Injector for Short<&mut HeaderMap> {
    fn set(&mut self, key: &str, value: String) {
        if let (Ok(name), Ok(value)) = (HeaderName::from_bytes(key.as_bytes()), value.try_into()) {
            self.0.insert(name, value);
        }
    }
}

impl Extractor for Short<&HeaderMap> {
    fn get(&self, key: &str) -> Option<&str> {
        self.0.get(key)?.to_str().ok()
    }

    fn keys(&self) -> Vec<&str> {
        self.0.keys().map(|name| name.as_str()).collect()
    }
}
