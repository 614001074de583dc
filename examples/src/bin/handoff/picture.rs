//! What is printed: the spans as a waterfall, the headers of each hop, and the verdict.

use std::time::{Duration, SystemTime};

use carrier_core::instrumentation::attribute::{QUEUE_DURATION, RECEIVED_CONTEXTS};
use opentelemetry::Value;
use opentelemetry::trace::{SpanId, SpanKind};

use crate::check::{Fault, Whole, at, links_to, trace_id};
use crate::hops::{Arrived, Hop};
use crate::screen::{Colour, Screen, say};
use crate::service::{Received, Step};
use crate::waterfall::{Kind, Row, draw};

pub(crate) fn brokers(screen: &Screen, kafka: &str, rabbitmq: Option<&str>) {
    say!();
    let title = screen.paint(Colour::Bold, "handoff");
    say!("  {title}: one order, handed on with nothing but headers");
    say!();
    say!("  Kafka     {kafka}");
    match rabbitmq {
        Some(rabbitmq) => say!("  RabbitMQ  {rabbitmq}"),
        None => say!(
            "  RabbitMQ  {}",
            screen.paint(Colour::Warn, "left out (CARRIER_DEMO_WITHOUT_AMQP): the order ends at packing")
        ),
    }
}

/// Draws each trace, usually one, over one axis of time.
pub(crate) fn waterfall(screen: &Screen, steps: &[Step], way: &[&'static Hop]) {
    let mut roots: Vec<&Step> = steps.iter().filter(|step| parent(steps, step).is_none()).collect();
    roots.sort_by_key(|step| step.span.start_time);
    let traces = roots.into_iter().map(|root| {
        let mut rows = Vec::new();
        add_rows(&mut rows, steps, way, root, 0);
        (trace_id(root), rows)
    });
    draw(screen, &traces.collect::<Vec<_>>());
}

fn parent<'a>(steps: &'a [Step], child: &Step) -> Option<&'a Step> {
    let id = child.span.parent_span_id;
    let mut known = steps.iter();
    known.find(|step| id != SpanId::INVALID && step.span.span_context.span_id() == id)
}

fn add_rows(rows: &mut Vec<Row>, steps: &[Step], way: &[&'static Hop], step: &Step, depth: usize) {
    let is_received = step.span.span_kind == SpanKind::Consumer && parent(steps, step).is_some();
    rows.push(Row {
        owner: step.service,
        colour: Colour::Of(step.service),
        label: step.span.name.clone().into_owned(),
        depth,
        from: step.span.start_time,
        to: step.span.end_time,
        kind: if is_received { Kind::Received } else { Kind::Span },
    });
    rows.extend(links(steps, step, depth + 1));
    rows.extend(way.iter().filter_map(|hop| waiting(steps, hop, step, depth + 1)));
    let id = step.span.span_context.span_id();
    let mut children: Vec<&Step> = steps.iter().filter(|child| child.span.parent_span_id == id).collect();
    children.sort_by_key(|child| child.span.start_time);
    for child in children {
        add_rows(rows, steps, way, child, depth + 1);
    }
}

/// The spans that a span links to.
fn links(steps: &[Step], step: &Step, depth: usize) -> impl Iterator<Item = Row> {
    let others = steps.iter().filter(move |other| links_to(step, other));
    others.map(move |other| Row {
        owner: other.service,
        colour: Colour::Of(other.service),
        label: format!("links to {}", other.span.name),
        depth,
        from: step.span.start_time,
        to: step.span.start_time,
        kind: Kind::Link,
    })
}

/// The time between publishing and picking up, which is no span of anybody's.
fn waiting(steps: &[Step], hop: &'static Hop, step: &Step, depth: usize) -> Option<Row> {
    let (broker, queue) = hop.queue?;
    let is_sender = step.service == hop.from.service && step.span.name == hop.from.span;
    let receiver = at(steps, &hop.to).filter(|_| is_sender)?;
    Some(Row {
        owner: broker,
        colour: Colour::Faint,
        label: format!("waits in {queue}"),
        depth,
        // RabbitMQ stamps no message unless it is set up to, and then the publisher's clock is all there is.
        from: sent_at(receiver).unwrap_or(step.span.start_time),
        to: receiver.span.start_time,
        kind: Kind::Waits,
    })
}

/// When the message that a span is about was sent, where it carried a timestamp.
fn sent_at(receiver: &Step) -> Option<SystemTime> {
    let waited = receiver.span.attributes.iter().find(|pair| pair.key.as_str() == QUEUE_DURATION)?;
    let Value::F64(seconds) = waited.value else { return None };
    receiver.span.start_time.checked_sub(Duration::try_from_secs_f64(seconds).ok()?)
}

/// Lists what travelled on each hop; the ids are painted as the spans they belong to.
pub(crate) fn headers(screen: &Screen, steps: &[Step], arrived: &[Arrived]) {
    let names = arrived.iter().flat_map(|arrived| &arrived.headers);
    let widest = names.map(|(name, _)| name.len()).max().unwrap_or(0);
    for Arrived { hop, headers } in arrived {
        let [from, to] = [hop.from.service, hop.to.service].map(|name| screen.paint(Colour::Of(name), name));
        say!("\n  {} headers, {from} → {to}", screen.paint(Colour::Bold, hop.name));
        if headers.is_empty() {
            say!("    {}", screen.paint(Colour::Bad, "none"));
        }
        for (name, value) in headers {
            let ours = ["traceparent", "tracestate", "baggage"].contains(&name.as_str());
            let shown = match ours {
                true => paint_ids(screen, steps, value),
                false => screen.paint(Colour::Faint, value),
            };
            say!("    {name:widest$}  {shown}");
        }
    }
}

/// Shows the counter that tells whose messages arrive without a context.
pub(crate) fn received(screen: &Screen, received: &[Received]) {
    if received.is_empty() {
        return;
    }
    say!("\n  {} ({RECEIVED_CONTEXTS})", screen.paint(Colour::Bold, "Contexts of received messages"));
    for Received { service, queue, status, count } in received {
        let colour = if status == "valid" { Colour::Good } else { Colour::Bad };
        let shown = screen.paint(Colour::Of(service), &format!("{service:8}"));
        say!("    {shown}  {queue:8}  {}  {count}", screen.paint(colour, &format!("{status:11}")));
    }
}

fn paint_ids(screen: &Screen, steps: &[Step], value: &str) -> String {
    let owner = |id: &str| steps.iter().find(|step| step.span.span_context.span_id().to_string() == id);
    let parts = value.split('-').map(|part| match owner(part) {
        Some(step) => screen.paint(Colour::Of(step.service), part),
        None if part.len() == 32 => screen.paint(Colour::Bold, part),
        None => part.to_owned(),
    });
    parts.collect::<Vec<_>>().join("-")
}

/// Says whether it is one trace, and returns it.
pub(crate) fn verdict(screen: &Screen, checked: Result<Whole, Vec<Fault>>, way: &[&Hop]) -> bool {
    let whole = checked.is_ok();
    say!();
    match checked {
        Ok(Whole { trace_ids, spans, services }) => {
            let hops = way.len();
            let what = match trace_ids.len() {
                1 => format!("one trace {}", trace_ids.into_iter().collect::<String>()),
                count => format!("{count} traces, joined by a link"),
            };
            let text = format!("✓ {what}: {spans} spans, {services} services, {hops} hops");
            say!("  {}", screen.paint(Colour::Good, &text));
        }
        Err(faults) => {
            for Fault { link, what } in faults {
                let text = format!("✗ the trace breaks at {link}");
                say!("  {}\n    {what}", screen.paint(Colour::Bad, &text));
            }
        }
    }
    say!();
    whole
}
