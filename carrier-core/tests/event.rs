//! The debug event of an invalid context. This binary has one test, since the rate of events is limited for the process.
#![cfg(feature = "tracing")]
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod events;

use events::Events;

#[test]
fn an_invalid_context_is_one_event_on_every_path_and_a_valid_one_is_none() {
    let events = Events::during(|| {
        let read = |value: &str| carrier_core::extract(&vec![("traceparent".to_owned(), value.to_owned())]);
        let _ = read("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01");
        let _ = read("");
        (0..100).for_each(|_| drop(read("bad")));
    });
    // A second event could only come from a machine that takes a second for a hundred reads.
    assert!(!events.is_empty() && events.len() < 5, "{events:?}");
    assert_eq!(events[0].level, tracing::Level::DEBUG);
    assert_eq!(events[0].fields["status"], "malformed");
    assert_eq!(events[0].fields["field"], "traceparent");
    // One in a second.
    std::thread::sleep(std::time::Duration::from_millis(1_100));
    opentelemetry::global::set_text_map_propagator(carrier_core::w3c());
    let events =
        Events::during(|| drop(carrier_core::extract(&vec![("baggage".to_owned(), "bad".to_owned())])));
    assert_eq!(events[0].fields["field"], "baggage");
}
