//! What is printed: the traces of each job, and the verdict.

use carrier_amqp::instrumentation::attribute::{DEATH_COUNT, DEATH_FIRST_REASON};
use carrier_examples::recording::{attribute, branch, traces, tree};
use carrier_examples::say;
use carrier_examples::screen::{Colour, paint};
use opentelemetry::trace::{SpanId, Status};
use opentelemetry_sdk::trace::SpanData;

use crate::check::{of_job, settlement};
use crate::job::JOBS;
use crate::options::Options;
use crate::queues::PAUSES;
use crate::worker::{End, Ended};

pub(crate) fn title(rabbitmq: &str, options: &Options) {
    say!("\n  {}: jobs, some of which fail\n", paint(Colour::Bold, "workers"));
    say!("  RabbitMQ  {rabbitmq}");
    let pauses: Vec<_> = PAUSES.iter().map(|pause| format!("{} ms", pause.as_millis())).collect();
    let pauses = pauses.join(" and ");
    say!("  Workers   {}; a job that fails is tried again after {pauses}, and then dead", options.workers);
}

pub(crate) fn jobs(spans: &[SpanData], ended: &[Ended]) {
    for job in &JOBS {
        let how = match ended.iter().find(|ended| ended.job == job.id.to_string()).map(|ended| ended.how) {
            Some(End::Done) => "done",
            Some(End::Dead) => "in the dead-letter queue",
            Some(End::Forgotten) => "not settled",
            None => "not at an end",
        };
        say!("\n  {}  {}: {how}", paint(Colour::Bold, &format!("job {}", job.id)), job.what);
        for trace in traces(of_job(spans, job)) {
            say!("    trace {trace}");
            for (depth, span) in tree(spans, trace) {
                let line = format!("      {:22}{}", branch(depth, span), notes(spans, span).join("  "));
                say!("{}", line.trim_end());
            }
        }
    }
}

/// What a span says of itself.
fn notes(spans: &[SpanData], span: &SpanData) -> Vec<String> {
    let mut notes = Vec::new();
    match settlement(span).as_str() {
        "" => {}
        "acked" => notes.push(paint(Colour::Good, "acked")),
        other => notes.push(paint(Colour::Bad, other)),
    }
    if let Status::Error { description } = &span.status {
        notes.push(paint(Colour::Bad, description));
    }
    if let Some(attempt) = attribute(span, "attempt") {
        notes.push(format!("attempt {attempt}"));
    }
    if let Some(count) = attribute(span, DEATH_COUNT) {
        let first = attribute(span, DEATH_FIRST_REASON).filter(|_| span.name == "process dead");
        let first = first.map_or_else(String::new, |reason| format!(", first {reason}"));
        notes.push(format!("dead-lettered {count}×{first}"));
    }
    for link in span.links.iter() {
        notes.push(paint(Colour::Faint, &format!("→ {}", name(spans, link.span_context.span_id()))));
    }
    notes
}

fn name(spans: &[SpanData], id: SpanId) -> &str {
    let linked = spans.iter().find(|span| span.span_context.span_id() == id);
    linked.map_or("elsewhere", |span| span.name.as_ref())
}

pub(crate) fn verdict(spans: &[SpanData], faults: &[String]) {
    say!();
    if faults.is_empty() {
        let processed =
            |queue: &str| spans.iter().filter(|span| span.name == format!("process {queue}")).count();
        let (attempts, dead) = (processed("jobs"), processed("dead"));
        let (jobs, spans) = (JOBS.len(), spans.len());
        let text = format!(
            "✓ {jobs} jobs in {attempts} attempts: {} done, {dead} dead; {spans} spans, each ended once",
            jobs - dead
        );
        say!("  {}", paint(Colour::Good, &text));
    }
    for fault in faults {
        say!("  {}", paint(Colour::Bad, &format!("✗ {fault}")));
    }
    say!();
}
