//! The shop: takes orders and writes each one down. It knows no Kafka.

use carrier_core::StoredContext;
use opentelemetry::baggage::BaggageExt as _;
use opentelemetry::trace::{SpanKind, TraceContextExt as _, TraceId};
use opentelemetry::{Context, KeyValue};

use crate::database::Database;
use crate::screen::{Colour, paint, say, step};
use crate::service::Service;

pub(crate) static ORDERS: [&str; 5] =
    ["three lamps", "a red chair", "two mirrors", "a blue rug", "one clock"];

/// An order, and the trace in which it was written.
pub(crate) struct Order {
    pub(crate) id: u32,
    pub(crate) trace_id: TraceId,
}

pub(crate) fn take_orders(
    database: &mut Database,
    shop: &Service,
    forgets: bool,
) -> anyhow::Result<Vec<Order>> {
    say!("\n  {}", paint(Colour::Bold, "The shop writes each order and its context in one transaction"));
    let tenant = Context::new().with_baggage([KeyValue::new("tenant", "acme")]);
    let mut orders = Vec::new();
    for (id, what) in (1..).zip(ORDERS) {
        let cx = shop.begin("POST /orders", SpanKind::Server, &tenant);
        // Now, while the span of the order is at hand. When the row is relayed it has ended, maybe days ago.
        let mut context = StoredContext::capture(&cx);
        if forgets {
            context = StoredContext::default();
        }
        database.write(id, what, &context)?;
        cx.span().end();

        let trace_id = cx.span().span_context().trace_id();
        step(id, what, trace_id, "written");
        orders.push(Order { id, trace_id });
    }
    if let Some(context) = database.a_context()? {
        say!("    {} {context}", paint(Colour::Faint, "in a row:"));
    }
    Ok(orders)
}
