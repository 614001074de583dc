//! What is measured: each row with its floor, our ways, and what is used instead.
#![allow(dead_code, unreachable_pub, reason = "each program that measures takes a part of it")]

#[cfg(feature = "instrumentation")]
pub mod instrumented;

use carrier_core::http::{extract, extract_with, inject, inject_with};
use carrier_core::{FieldValue, Propagation, TextMapReader, w3c};
use carrier_measure::{
    BAGGAGE, Meter, PARENT, Row, STATE, context, extract_all, full_context, register, register_nothing,
};
use http::{HeaderMap, HeaderName, HeaderValue};
use opentelemetry::Context;
use opentelemetry::propagation::{Extractor, Injector, TextMapPropagator};
use opentelemetry_sdk::propagation::TraceContextPropagator;

pub fn all(meter: &mut impl Meter) {
    http_inject(meter);
    http_inject_state_and_baggage(meter);
    http_extract(meter);
    http_extract_state_and_baggage(meter);
    #[cfg(feature = "instrumentation")]
    instrumented::all(meter);
}

/// The same with more in a message.
pub fn growth(meter: &mut impl Meter) {
    for members in [1, 8, 32] {
        tracestate(meter, members);
    }
}

/// The same on several threads at once.
pub fn threads(meter: &mut impl Meter) {
    let (cx, own, received) = (context(), own(), received(&[("traceparent", PARENT)]));
    register(w3c());
    meter.threads("core: http inject, threads", "registered", || drop(inject(&cx, &mut HeaderMap::new())));
    meter
        .threads("core: http inject, threads", "own", || drop(inject_with(&own, &cx, &mut HeaderMap::new())));
    meter.threads("core: http extract, threads", "registered", || drop(extract(&received)));
    meter.threads("core: http extract, threads", "own", || drop(extract_with(&own, &received)));
    register_nothing();
}

fn own() -> Propagation {
    Propagation::builder().propagator(w3c()).build()
}

fn received(fields: &[(&'static str, &'static str)]) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for (name, value) in fields {
        headers.insert(*name, HeaderValue::from_static(value));
    }
    headers
}

const ALL: [(&str, &str); 3] = [("traceparent", PARENT), ("tracestate", STATE), ("baggage", BAGGAGE)];

/// Ready values, as somebody has them who did not get them as `'static`.
fn ready(fields: &[(&'static str, &str)]) -> Vec<(&'static str, HeaderValue)> {
    fields.iter().filter_map(|(name, value)| Some((*name, HeaderValue::from_str(value).ok()?))).collect()
}

fn http_inject(meter: &mut impl Meter) {
    let (cx, own, stock) = (context(), own(), TraceContextPropagator::new());
    let ready = ready(&[("traceparent", PARENT)]);
    let row = Row::new(meter, "core: http inject", HeaderMap::new, |mut headers: HeaderMap| {
        headers.extend(ready.iter().map(|(name, value)| (HeaderName::from_static(name), value.clone())));
        headers
    });
    let row = row.and("own", HeaderMap::new, |mut headers| {
        inject_with(&own, &cx, &mut headers);
        headers
    });
    let row = row.and("default", HeaderMap::new, |mut headers| {
        inject(&cx, &mut headers);
        headers
    });
    register(w3c());
    let row = row.and("registered", HeaderMap::new, |mut headers| {
        inject(&cx, &mut headers);
        headers
    });
    register_nothing();
    row.and("stock", HeaderMap::new, |mut headers| {
        stock.inject_context(&cx, &mut Short(&mut headers));
        headers
    });
}

fn http_inject_state_and_baggage(meter: &mut impl Meter) {
    let (cx, own) = (full_context(), own());
    let ready = ready(&ALL);
    let name = "core: http inject, tracestate and baggage";
    let row = Row::new(meter, name, HeaderMap::new, |mut headers: HeaderMap| {
        headers.extend(ready.iter().map(|(name, value)| (HeaderName::from_static(name), value.clone())));
        headers
    });
    let row = row.and("own", HeaderMap::new, |mut headers| {
        inject_with(&own, &cx, &mut headers);
        headers
    });
    register(w3c());
    row.and("registered", HeaderMap::new, |mut headers| {
        inject(&cx, &mut headers);
        headers
    });
    register_nothing();
}

fn http_extract(meter: &mut impl Meter) {
    let (message, own, stock) = (received(&[("traceparent", PARENT)]), own(), TraceContextPropagator::new());
    let make = || &message;
    let row = Row::new(meter, "core: http extract", make, |headers| {
        carrier_measure::extract(headers.get("traceparent")?.as_bytes())
    });
    let row = row.and("own", make, |headers| extract_with(&own, headers));
    let row = row.and("default", make, extract);
    register(w3c());
    let row = row.and("registered", make, extract);
    register_nothing();
    row.and("stock", make, |headers| stock.extract_with_context(&Context::new(), &Short(headers)));
}

fn http_extract_state_and_baggage(meter: &mut impl Meter) {
    let (message, own) = (received(&ALL), own());
    let make = || &message;
    let row = Row::new(meter, "core: http extract, tracestate and baggage", make, |headers| {
        let get = |name| Some(headers.get(name)?.as_bytes());
        extract_all(get("traceparent")?, get("tracestate")?, get("baggage")?)
    });
    let row = row.and("own", make, |headers| extract_with(&own, headers));
    register(w3c());
    row.and("registered", make, extract);
    register_nothing();
}

/// A message in memory: what the transport adds is not part of these rows.
struct Pairs(Vec<(&'static str, String)>);

impl TextMapReader for Pairs {
    fn keys(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(|(key, _)| *key)
    }

    fn get_all<'a>(&'a self, key: &str) -> impl Iterator<Item = FieldValue<'a>> {
        self.0.iter().filter(move |(name, _)| *name == key).map(|(_, value)| value.into())
    }
}

/// Reading a tracestate of so many members; the floor builds the same `TraceState` and checks nothing.
fn tracestate(meter: &mut impl Meter, members: usize) {
    let state: Vec<String> = (0..members).map(|n| format!("vendor{n}=00f067aa0ba902b7")).collect();
    let message = Pairs(vec![("traceparent", PARENT.to_owned()), ("tracestate", state.join(","))]);
    let own = own();
    let make = || &message;
    let row = Row::new(meter, format!("core: extract, tracestate of {members}"), make, |message: &Pairs| {
        let [(_, parent), (_, state)] = &message.0[..] else { return None };
        carrier_measure::extract_with_state(parent.as_bytes(), carrier_measure::state(state))
    });
    row.and("own", make, |message| own.extract(message));
}

/// The adapter of fifteen lines that people write.
struct Short<T>(T);

impl Injector for Short<&mut HeaderMap> {
    fn set(&mut self, key: &str, value: String) {
        if let (Ok(name), Ok(value)) = (HeaderName::from_bytes(key.as_bytes()), HeaderValue::from_str(&value))
        {
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
