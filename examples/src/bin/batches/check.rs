//! Whether every record is stored and committed, by what the store has, what Kafka says and what the spans say.

use std::collections::BTreeSet;

use carrier_examples::recording::{Recording, attribute};
use carrier_kafka::instrumentation::attribute::{
    ERROR_TYPE, MESSAGING_BATCH_MESSAGE_COUNT, MESSAGING_DESTINATION_PARTITION_ID, MESSAGING_KAFKA_OFFSET,
};
use opentelemetry::trace::Link;
use opentelemetry_sdk::trace::SpanData;

use crate::consumer::Consumed;
use crate::store::{Place, Store};

pub(crate) fn faults(
    spans: &[SpanData],
    consumed: &[Consumed],
    store: &Store,
    ends: &[(i64, i64)],
    recording: &Recording,
) -> Vec<String> {
    let mut faults = Vec::new();
    for (partition, (committed, end)) in (0..).zip(ends) {
        let lost = (0..*end).filter(|offset| !store.rows.contains_key(&(partition, *offset)));
        for offset in lost {
            let committed = if offset < *committed { ", and committed" } else { "" };
            faults.push(format!("partition {partition}, offset {offset} is not stored{committed}"));
        }
        if committed != end {
            faults.push(format!("partition {partition} is committed up to {committed}, not {end}"));
        }
    }
    let traced: BTreeSet<_> = consumed.iter().flat_map(|batch| &batch.traced).collect();
    for (place, row) in &store.rows {
        if row.tenant.is_some() != traced.contains(place) {
            faults.push(format!(
                "partition {}, offset {} has another tenant than its baggage",
                place.0, place.1
            ));
        }
    }
    for (number, batch) in (1..).zip(consumed) {
        let fault = of_batch(spans, batch);
        faults.extend(fault.map(|fault| format!("batch {number} {fault}")));
        let again: BTreeSet<_> = consumed[number..].iter().flat_map(|later| &later.places).collect();
        if batch.failed && !batch.places.iter().all(|place| again.contains(place)) {
            faults.push(format!("batch {number} failed and was not read again"));
        }
    }
    let (_, not_once) = recording.count();
    if not_once > 0 {
        faults.push(format!("{not_once} spans did not end exactly once"));
    }
    faults
}

/// Its span links to the sender of each record that has one, and says how it ended; below it is a commit, or none.
fn of_batch(spans: &[SpanData], batch: &Consumed) -> Option<&'static str> {
    let Some(span) = span_of(spans, batch) else { return Some("has no span") };
    let linked: BTreeSet<_> = span.links.iter().filter_map(|link| place(span, link)).collect();
    let count = attribute(span, MESSAGING_BATCH_MESSAGE_COUNT).map(|count| count.to_string());
    if linked != batch.traced || count != Some(batch.places.len().to_string()) {
        return Some("has other links than to the senders of its records");
    }
    let known = |link: &Link| {
        let sender = spans.iter().find(|span| span.span_context.span_id() == link.span_context.span_id());
        sender.is_some_and(|sender| sender.name == "send orders")
    };
    if !span.links.iter().all(known) {
        return Some("has a link that does not lead to a sender");
    }
    let commits =
        spans.iter().filter(|child| child.parent_span_id == batch.span && child.name == "commit orders");
    match (batch.failed, attribute(span, ERROR_TYPE).is_some(), commits.count()) {
        (true, true, 0) | (false, false, 1) => None,
        _ => Some("does not say how it ended"),
    }
}

pub(crate) fn span_of<'a>(spans: &'a [SpanData], batch: &Consumed) -> Option<&'a SpanData> {
    spans.iter().find(|span| span.span_context.span_id() == batch.span)
}

/// Which record a link is for. The partition is on the span where all records of the batch have the same.
pub(crate) fn place(span: &SpanData, link: &Link) -> Option<Place> {
    let of_link = |key: &str| {
        let mut attributes = link.attributes.iter().chain(&span.attributes);
        attributes.find(|pair| pair.key.as_str() == key).map(|pair| pair.value.to_string())
    };
    let partition = of_link(MESSAGING_DESTINATION_PARTITION_ID)?.parse().ok()?;
    Some((partition, of_link(MESSAGING_KAFKA_OFFSET)?.parse().ok()?))
}
