//! A worker that packs what is ordered. It reads Kafka as any other consumer does.

use std::collections::HashSet;
use std::time::Duration;

use anyhow::{Context as _, anyhow};
use carrier_examples::kafka::Kafka;
use opentelemetry::trace::{SpanKind, TraceContextExt as _, TraceId};
use rdkafka::Message as _;
use tokio::time;

use crate::kafka;
use crate::screen::{Colour, paint, say, step};
use crate::service::Service;
use crate::shop::Order;

/// How long one record may take that is known to be there.
const LIMIT: Duration = Duration::from_secs(10);

/// A record, and the trace of the span that worked on it.
pub(crate) struct Arrived {
    pub(crate) order: u32,
    pub(crate) trace_id: TraceId,
    pub(crate) again: bool,
}

pub(crate) async fn pack(kafka: &Kafka, worker: &Service, orders: &[Order]) -> anyhow::Result<Vec<Arrived>> {
    say!("\n  {}", paint(Colour::Bold, "The consumer goes on with each trace"));
    let (consumer, count) = kafka::consumer(kafka).await?;
    let mut packed = HashSet::new();
    let mut arrived = Vec::new();
    for _ in 0..count {
        let message = time::timeout(LIMIT, consumer.recv()).await.context("Kafka keeps a record back")??;
        let parent = carrier_kafka::extract(&message);
        let packing = worker.begin("process orders", SpanKind::Consumer, &parent);

        let text = |bytes: Option<&[u8]>| String::from_utf8_lossy(bytes.unwrap_or_default()).into_owned();
        let (key, what) = (text(message.key()), text(message.payload()));
        let order: u32 = key.parse().map_err(|_| anyhow!("{key:?} is no order"))?;
        // What is relayed from an outbox can come twice: its id says whether it did.
        let again = !packed.insert(order);
        packing.span().end();

        let trace_id = packing.span().span_context().trace_id();
        let own = orders.iter().any(|written| (written.id, written.trace_id) == (order, trace_id));
        let mut note = match own {
            true => format!("{} below {}", paint(Colour::Good, "✓"), parent.span().span_context().span_id()),
            false => format!("{} another trace", paint(Colour::Bad, "✗")),
        };
        if again {
            note += &paint(Colour::Warn, ", a duplicate");
        }
        step(order, &what, trace_id, &note);
        arrived.push(Arrived { order, trace_id, again });
    }
    Ok(arrived)
}
