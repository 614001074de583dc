//! Messages and assertions for the tests of services; no broker needed.
//!
//! ```
//! use carrier_amqp::testing::{assert_carries, delivery, remote_context};
//!
//! let cx = remote_context();
//! let delivery = delivery(&cx, b"order 17"); // as if received: give it to the handler under test
//! assert_carries(&delivery, &cx);            // what the handler publishes can be asserted the same way
//! ```

use carrier_core::testing;
use lapin::message::Delivery;
use opentelemetry::Context;

pub use carrier_core::testing::remote_context;

use crate::{ExtractFrom, inject};

/// A delivery, as if received, that carries `cx`; its acker is lapin's mock, which acknowledges to nobody.
pub fn delivery(cx: &Context, body: &[u8]) -> Delivery {
    let mut delivery = Delivery::mock(1, "".into(), "".into(), false, body.to_vec());
    inject(cx, &mut delivery.properties);
    delivery
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
