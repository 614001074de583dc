//! A message as text for people. What strangers wrote is escaped, so that it cannot move the cursor or do worse.

use std::fmt::Write as _;

use opentelemetry::baggage::BaggageExt as _;
use opentelemetry::trace::{SpanContext, TraceContextExt as _};

use crate::look::{Look, Place, Value};

/// How much of a value is shown: a traceparent and most baggage as a whole.
const MAX_CHARACTERS: usize = 160;

/// How many copies of the fields are shown.
const MAX_COPIES: usize = 64;

pub(crate) fn paragraph(look: &Look) -> String {
    let mut lines = format!("\n{}\n", place(look));
    let mut line = |name: &str, text: &str| {
        let _ = writeln!(lines, "  {name:<11}  {text}");
    };
    line(look.found.status().label(), &look.found.to_string());
    let cx = look.found.context();
    if cx.has_active_span() {
        line("context", &context(cx.span().span_context()));
    }
    for link in look.found.links() {
        line("not used", &context(link));
    }
    for (name, value) in look.fields.iter().take(MAX_COPIES) {
        line(name, &shown(value));
    }
    if let Some(more) = look.fields.len().checked_sub(MAX_COPIES).filter(|more| *more > 0) {
        line("…", &counted(more, "more value"));
    }
    if !look.fields.is_empty() {
        line("takes", &format!("{} bytes, {}", look.bytes, counted(cx.baggage().len(), "baggage member")));
    }
    if !look.unread.is_empty() {
        let names: Vec<_> = look.unread.iter().map(|name| quoted(name)).collect();
        line("not read", &format!("{}: no name of a field that is read", names.join(", ")));
    }
    lines.truncate(lines.trim_end().len());
    lines
}

/// Text with what a terminal would act on escaped.
pub(crate) fn printable(text: &str) -> String {
    let escape = |char: char| match char {
        // Those two are escaped for the sake of quotes only.
        '\'' | '"' => char.to_string(),
        char => char.escape_debug().to_string(),
    };
    text.chars().map(escape).collect()
}

pub(crate) fn counted(count: usize, what: &str) -> String {
    format!("{count} {what}{}", if count == 1 { "" } else { "s" })
}

/// Text in quotes, so that its ends are seen.
fn quoted(text: &str) -> String {
    format!("{text:?}")
}

fn place(look: &Look) -> String {
    let mut text = match &look.place {
        Place::Queue { delivery_tag, redelivered, delivery_count, .. } => {
            let times = match (redelivered, delivery_count) {
                (_, Some(count)) => format!("delivery count {count} before this look"),
                (true, None) => "redelivered".to_owned(),
                (false, None) => "first delivery".to_owned(),
            };
            format!("delivery {delivery_tag}, {times}")
        }
        Place::Topic { partition, offset, .. } => format!("partition {partition}, offset {offset}"),
    };
    if let Some(age) = look.age {
        let _ = match u64::try_from(age) {
            Ok(age) => write!(text, ", {} old", duration(age)),
            Err(_) => {
                let ahead = u64::try_from(age.unsigned_abs()).unwrap_or(u64::MAX);
                write!(text, ", clock ahead: made {} from now", duration(ahead))
            }
        };
    }
    text
}

fn context(span: &SpanContext) -> String {
    let sampled = if span.is_sampled() { "sampled" } else { "not sampled" };
    format!("trace {}, span {}, {sampled}", span.trace_id(), span.span_id())
}

fn shown(value: &Value) -> String {
    match value {
        Value::Text(text) => match text.char_indices().nth(MAX_CHARACTERS) {
            Some((end, _)) => format!("{}… ({} bytes)", quoted(&text[..end]), text.len()),
            None => quoted(text),
        },
        Value::Binary(bytes) => {
            let start = &bytes[..bytes.len().min(MAX_CHARACTERS / 4)];
            let more = if start.len() < bytes.len() { "…" } else { "" };
            format!("binary: \"{}\"{more} ({} bytes)", start.escape_ascii(), bytes.len())
        }
        Value::Null => "null".to_owned(),
        Value::Empty => "empty".to_owned(),
        Value::WrongType(name) => format!("no text: {name}"),
    }
}

fn duration(milliseconds: u64) -> String {
    let (seconds, minutes) = (milliseconds / 1_000, milliseconds / 60_000);
    match milliseconds {
        0 => "0 s".to_owned(),
        1..1_000 => format!("{milliseconds} ms"),
        1_000..60_000 => format!("{seconds} s"),
        60_000..3_600_000 => format!("{minutes} min {} s", seconds % 60),
        3_600_000..86_400_000 => format!("{} h {} min", minutes / 60, minutes % 60),
        _ => counted(usize::try_from(minutes / 1_440).unwrap_or(usize::MAX), "day"),
    }
}
