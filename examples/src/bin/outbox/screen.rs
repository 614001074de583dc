//! Lines in the terminal, with colours where it takes them.

pub(crate) use carrier_examples::say;
pub(crate) use carrier_examples::screen::{Colour, paint};
use opentelemetry::trace::TraceId;

/// One step of one order.
pub(crate) fn step(order: u32, what: &str, trace_id: TraceId, note: &str) {
    say!("    order {order}  {what:13}  trace {trace_id}  {note}");
}
