//! A message as one line of JSON for tools; `--help` names the keys.

use opentelemetry::baggage::BaggageExt as _;
use opentelemetry::trace::{SpanContext, TraceContextExt as _};
use serde_json::{Value as Json, json};

use crate::look::{Look, Place, Value};

pub(crate) fn line(look: &Look) -> String {
    let status = look.found.status();
    let cx = look.found.context();
    let used = cx.has_active_span().then(|| context(cx.span().span_context()));
    let fields: Vec<_> = look.fields.iter().map(|(name, value)| field(name, value)).collect();
    let links: Vec<_> = look.found.links().iter().map(context).collect();
    let mut object = json!({
        "status": status.label(),
        "reason": status.to_string(),
        "field": status.field(),
        "trace_id": null,
        "span_id": null,
        "sampled": null,
        "links": links,
        "baggage_members": cx.baggage().len(),
        "bytes": look.bytes,
        "timestamp_ms": look.timestamp.map(saturated),
        "age_ms": look.age.filter(|age| *age >= 0).map(saturated),
        "clock_ahead_ms": look.age.filter(|age| *age < 0).map(|age| saturated(age.saturating_neg())),
        "fields": fields,
        "unread": look.unread,
    });
    let place = match &look.place {
        Place::Queue { queue, delivery_tag, redelivered, delivery_count } => json!({
            "transport": "amqp",
            "queue": queue,
            "delivery_tag": delivery_tag,
            "redelivered": redelivered,
            "delivery_count": delivery_count,
        }),
        Place::Topic { topic, partition, offset } => json!({
            "transport": "kafka",
            "topic": topic,
            "partition": partition,
            "offset": offset,
        }),
    };
    if let Json::Object(object) = &mut object {
        for more in [Some(place), used].into_iter().flatten() {
            object.extend(more.as_object().cloned().unwrap_or_default());
        }
    }
    ascii(&object.to_string())
}

fn context(span: &SpanContext) -> Json {
    json!({
        "trace_id": span.trace_id().to_string(),
        "span_id": span.span_id().to_string(),
        "sampled": span.is_sampled(),
    })
}

fn field(name: &str, value: &Value) -> Json {
    let (kind, value, r#type) = match value {
        Value::Text(text) => ("text", Some(text.clone()), None),
        Value::Binary(bytes) => ("binary", Some(hexadecimal(bytes)), None),
        Value::Null => ("null", None, None),
        Value::Empty => ("empty", None, None),
        Value::WrongType(name) => ("wrong_type", None, Some(*name)),
    };
    json!({ "name": name, "kind": kind, "value": value, "type": r#type })
}

fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn saturated(number: i128) -> i64 {
    i64::try_from(number).unwrap_or(if number < 0 { i64::MIN } else { i64::MAX })
}

/// The same JSON in ASCII: serde_json escapes what JSON must, and a terminal acts on more than that.
fn ascii(json: &str) -> String {
    let mut text = String::with_capacity(json.len());
    for char in json.chars() {
        match char {
            ' '..='~' => text.push(char),
            char => {
                text.extend(char.encode_utf16(&mut [0; 2]).iter().map(|unit| format!("\\u{unit:04x}")));
            }
        }
    }
    text
}
