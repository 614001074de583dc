//! Whether every job went the way it should, by what the workers said and what the spans say.

use carrier_amqp::instrumentation::attribute::{MESSAGING_MESSAGE_ID, SETTLEMENT};
use carrier_examples::recording::{Recording, attribute};
use opentelemetry::trace::SpanId;
use opentelemetry_sdk::trace::SpanData;

use crate::job::{JOBS, Job};
use crate::queues::ATTEMPTS;
use crate::worker::{End, Ended};

/// The spans of messages that are about one job.
pub(crate) fn of_job<'a>(spans: &'a [SpanData], job: &Job) -> Vec<&'a SpanData> {
    let id = job.id.to_string();
    let is_about = |span: &&SpanData| {
        attribute(span, MESSAGING_MESSAGE_ID).is_some_and(|value| value.as_str() == id.as_str())
    };
    spans.iter().filter(is_about).collect()
}

pub(crate) fn faults(spans: &[SpanData], ended: &[Ended], recording: &Recording) -> Vec<String> {
    let mut faults = Vec::new();
    for job in &JOBS {
        let fault = end(job, ended).map(str::to_owned).or_else(|| way(job, spans));
        faults.extend(fault.map(|fault| format!("job {} {fault}", job.id)));
    }
    let (_, not_once) = recording.count();
    if not_once > 0 {
        faults.push(format!("{not_once} spans did not end exactly once"));
    }
    faults
}

fn dies(job: &Job) -> bool {
    job.fails >= ATTEMPTS
}

fn end(job: &Job, ended: &[Ended]) -> Option<&'static str> {
    let expected = if dies(job) { End::Dead } else { End::Done };
    let ends: Vec<_> = ended.iter().filter(|ended| ended.job == job.id.to_string()).collect();
    match ends.as_slice() {
        [only] if only.how == expected => None,
        [] => Some("did not come to an end in time"),
        [only] if only.how == End::Forgotten => Some("was not settled: RabbitMQ will give it out again"),
        [only] if only.how == End::Dead => Some("is in the dead-letter queue"),
        [_] => Some("was done, where it could not be"),
        _ => Some("ended more than once"),
    }
}

/// Sent once, tried as often as it should be, settled as it should be, and each attempt where it belongs.
fn way(job: &Job, spans: &[SpanData]) -> Option<String> {
    let (sent, processed): (Vec<_>, Vec<_>) =
        of_job(spans, job).into_iter().partition(|span| span.name == "send jobs");
    let [sent] = sent.as_slice() else { return Some("was not sent once".to_owned()) };

    let tried = ATTEMPTS.min(job.fails.saturating_add(1));
    let rejected = if dies(job) { tried } else { job.fails };
    let expected: Vec<_> = (0..rejected).map(|_| "rejected").chain(["acked"]).collect();
    let settled: Vec<_> = processed.iter().map(|span| settlement(span)).collect();
    if settled != expected {
        return Some(format!("was settled as {}, not as {}", settled.join(", "), expected.join(", ")));
    }

    let sent = &sent.span_context;
    for (number, attempt) in (1..).zip(processed) {
        let mut links = attempt.links.iter().map(|link| &link.span_context);
        let is_linked = links.any(|link| link.span_id() == sent.span_id());
        // The first attempt is a child of the sender; a later one has a trace of its own and a link.
        if is_linked != (number > 1) {
            return Some(format!("has another link than its attempt {number} should have"));
        }
        let parent = if number == 1 { sent.span_id() } else { SpanId::INVALID };
        if attempt.parent_span_id != parent {
            return Some(format!("has its attempt {number} in a trace where it does not belong"));
        }
        let print = spans.iter().find(|span| span.parent_span_id == attempt.span_context.span_id());
        let says = print.and_then(|print| attribute(print, "attempt")).map(|value| value.to_string());
        if number <= tried && says != Some(number.to_string()) {
            return Some(format!("was told another number than {number} as its attempt"));
        }
    }
    None
}

pub(crate) fn settlement(span: &SpanData) -> String {
    attribute(span, SETTLEMENT).map(ToString::to_string).unwrap_or_default()
}
