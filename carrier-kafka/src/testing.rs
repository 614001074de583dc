//! Messages and assertions for the tests of services; no broker needed.
//!
//! ```
//! use carrier_kafka::testing::{assert_carries, message, remote_context};
//!
//! let cx = remote_context();
//! let message = message(&cx, "orders", b"17"); // as if received: give it to the handler under test
//! assert_carries(&message, &cx);               // what the handler produces can be asserted the same way
//! ```

use carrier_core::testing;
use opentelemetry::Context;
use rdkafka::Timestamp;
use rdkafka::message::{OwnedHeaders, OwnedMessage};

pub use carrier_core::testing::remote_context;

use crate::{ExtractFrom, inject};

/// A message, as if received from partition 0 at offset 0, that carries `cx`.
pub fn message(cx: &Context, topic: &str, payload: &[u8]) -> OwnedMessage {
    let mut headers = OwnedHeaders::new();
    inject(cx, &mut headers);
    let (payload, key) = (Some(payload.to_vec()), None);
    OwnedMessage::new(payload, key, topic.to_owned(), Timestamp::NotAvailable, 0, 0, Some(headers))
}

/// Asserts that a message carries `expected`: trace id, span id, flags, tracestate and baggage are the same.
///
/// # Panics
///
/// Where it does not; the message says what is carried instead.
#[track_caller]
pub fn assert_carries<T: ExtractFrom + ?Sized>(message: &T, expected: &Context) {
    testing::assert_carries(&message.reader(), expected);
}

/// Asserts that a message carries no context at all, and no baggage.
///
/// # Panics
///
/// Where it does; the message says which.
#[track_caller]
pub fn assert_carries_nothing<T: ExtractFrom + ?Sized>(message: &T) {
    testing::assert_carries_nothing(&message.reader());
}
