//! Stored contexts: any text is parsed, and what is serialised is parsed back.

use std::collections::BTreeMap;

use carrier_core::{Propagation, StoredContext};
use opentelemetry::Context;
use opentelemetry::trace::TraceContextExt as _;

use crate::compare::carried;
use crate::input::Input;
use crate::round_trip::members;

pub(crate) fn run(bytes: &[u8]) {
    let mut input = Input(bytes);
    let format = input.byte() % 6;
    let stored = match format {
        0 => Some(StoredContext::from_properties(&String::from_utf8_lossy(input.0))),
        1 => Some(StoredContext::capture(&input.context())),
        2 => serde_json::from_slice(input.0).ok(),
        3 => ciborium::from_reader(input.0).ok(),
        4 => rmp_serde::from_slice(input.0).ok(),
        _ => postcard::from_bytes(input.0).ok(),
    };
    let Some(stored) = stored else { return };
    let parsed = match format {
        0 | 1 => StoredContext::from_properties(&stored.to_properties()),
        2 => serde_json::from_str(&serde_json::to_string(&stored).unwrap()).unwrap(),
        3 => {
            let mut bytes = Vec::new();
            ciborium::into_writer(&stored, &mut bytes).unwrap();
            ciborium::from_reader(&bytes[..]).unwrap()
        }
        4 => rmp_serde::from_slice(&rmp_serde::to_vec(&stored).unwrap()).unwrap(),
        _ => postcard::from_bytes(&postcard::to_allocvec(&stored).unwrap()).unwrap(),
    };
    assert_eq!(parsed, stored);
    let cx = stored.extract();
    let again = StoredContext::capture(&cx).extract();
    assert_eq!(again.span().span_context(), cx.span().span_context());
    assert_eq!(members(&again), members(&cx));
    assert_eq!(sent(&again), sent(&cx));
    // Properties are stored as they are sent, which matches the grammar, so from here on nothing changes.
    assert_eq!(carried(&StoredContext::capture(&again).extract()), carried(&again));
}

fn sent(cx: &Context) -> BTreeMap<String, String> {
    let mut sent = BTreeMap::new();
    Propagation::w3c().inject(cx, &mut sent);
    sent
}
