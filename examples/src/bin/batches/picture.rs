//! What is printed: the span of each batch with what it links to, and the verdict.

use carrier_examples::recording::{branch, tree};
use carrier_examples::say;
use carrier_examples::screen::{Colour, paint};
use opentelemetry::trace::Status;
use opentelemetry_sdk::trace::SpanData;

use crate::check::{place, span_of};
use crate::consumer::Consumed;
use crate::store::Store;

pub(crate) fn title(kafka: &str) {
    say!("\n  {}: ten records, consumed in batches\n", paint(Colour::Bold, "batches"));
    say!("  Kafka  {kafka}");
}

pub(crate) fn batches(spans: &[SpanData], consumed: &[Consumed], store: &Store) {
    for (number, batch) in (1..).zip(consumed) {
        let waited = batch.waited.map_or_else(String::new, |waited| {
            format!(", {:.0} to {:.0} ms in the topic", waited.least, waited.most)
        });
        let title = paint(Colour::Bold, &format!("batch {number}"));
        say!("\n  {title}  {} records{waited}", batch.places.len());
        let Some(span) = span_of(spans, batch) else { continue };
        say!("    trace {}", span.span_context.trace_id());
        for (depth, row) in tree(spans, span.span_context.trace_id()) {
            let status = match &row.status {
                Status::Error { description } => paint(Colour::Bad, &format!("✗ {description}")),
                _ => String::new(),
            };
            say!("{}", format!("      {:20}{status}", branch(depth, row)).trim_end());
            if row.span_context.span_id() == batch.span {
                links(row, batch, store);
            }
        }
    }
}

/// The senders that a batch links to, by their records.
fn links(span: &SpanData, batch: &Consumed, store: &Store) {
    for link in span.links.iter() {
        let Some((partition, offset)) = place(span, link) else { continue };
        let trace = paint(Colour::Faint, &format!("trace {}", link.span_context.trace_id()));
        let row = store.rows.get(&(partition, offset));
        let tenant = row.and_then(|row| row.tenant.as_deref()).unwrap_or("not stored");
        say!("        → partition {partition}, offset {offset}  {trace}  {tenant}");
    }
    match batch.places.len() - span.links.len() {
        0 => {}
        without => say!("        {without} without a context"),
    }
}

pub(crate) fn verdict(spans: &[SpanData], consumed: &[Consumed], faults: &[String]) {
    say!();
    if faults.is_empty() {
        let again = consumed.iter().filter(|batch| batch.failed).count();
        let records: usize =
            consumed.iter().filter(|batch| !batch.failed).map(|batch| batch.places.len()).sum();
        let text = format!(
            "✓ {records} records stored and committed, {again} batch read again; {} spans, each ended once",
            spans.len()
        );
        say!("  {}", paint(Colour::Good, &text));
    }
    for fault in faults {
        say!("  {}", paint(Colour::Bad, &format!("✗ {fault}")));
    }
    say!();
}
