//! The debug event of an invalid context. This binary has one test, since the rate of events is limited for the process.
#![cfg(feature = "tracing")]
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex};

use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Metadata, Subscriber};

/// Keeps the fields of every event.
#[derive(Clone, Default)]
struct Events(Arc<Mutex<Vec<HashMap<String, String>>>>);

struct Fields(HashMap<String, String>);

impl Visit for Fields {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.0.insert(field.name().to_owned(), format!("{value:?}").trim_matches('"').to_owned());
    }
}

impl Subscriber for Events {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.target() == "carrier"
    }

    fn event(&self, event: &Event<'_>) {
        let mut fields = Fields(HashMap::new());
        event.record(&mut fields);
        self.0.lock().unwrap().push(fields.0);
    }

    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn enter(&self, _: &Id) {}

    fn exit(&self, _: &Id) {}
}

#[test]
fn an_invalid_context_is_one_event_on_every_path_and_a_valid_one_is_none() {
    let events = Events::default();
    tracing::subscriber::with_default(events.clone(), || {
        let read = |value: &str| carrier_core::extract(&vec![("traceparent".to_owned(), value.to_owned())]);
        let _ = read("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01");
        let _ = read("");
        (0..100).for_each(|_| drop(read("bad")));
    });
    {
        let events = events.0.lock().unwrap();
        // A second event could only come from a machine that takes a second for a hundred reads.
        assert!(!events.is_empty() && events.len() < 5, "{events:?}");
        assert_eq!(events[0]["status"], "malformed");
        assert_eq!(events[0]["field"], "traceparent");
    }
    // One in a second.
    std::thread::sleep(std::time::Duration::from_millis(1_100));
    events.0.lock().unwrap().clear();
    opentelemetry::global::set_text_map_propagator(carrier_core::w3c());
    tracing::subscriber::with_default(events.clone(), || {
        drop(carrier_core::extract(&vec![("baggage".to_owned(), "bad".to_owned())]));
    });
    let events = events.0.lock().unwrap();
    assert_eq!(events[0]["field"], "baggage");
}
