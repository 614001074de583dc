//! Compares what a carrier holds with what a vector expects.

use std::collections::BTreeMap;
use std::fmt::Debug;

use carrier_core::{
    Extraction, FieldValue, Fields, Propagation, PropagationBuilder, TextMapCarrier, TextMapReader, w3c,
};
use opentelemetry::Context;
use opentelemetry::baggage::BaggageExt as _;
use opentelemetry::propagation::TextMapCompositePropagator;
use opentelemetry::trace::{SpanContext, TraceContextExt as _};

use crate::file::{Conflict, Outcome};

/// The result of a read, comparable.
#[derive(Debug, PartialEq)]
struct Seen {
    status: String,
    field: Option<String>,
    /// Trace id, span id, flags and tracestate.
    context: Option<[String; 4]>,
    /// Key, value and properties of each member, sorted.
    baggage: Vec<[String; 3]>,
    /// Trace id, span id and flags of each valid context that is not used.
    links: Vec<[String; 3]>,
}

impl Seen {
    fn expected(outcome: &Outcome) -> Self {
        let text = str::to_owned;
        Self {
            status: outcome.status.clone(),
            field: outcome.field.clone(),
            context: outcome.context.as_ref().map(|span| {
                [text(&span.trace_id), text(&span.span_id), text(&span.flags), span.tracestate.text()]
            }),
            baggage: outcome
                .baggage
                .iter()
                .map(|member| [text(&member.key), member.value.text(), text(&member.properties)])
                .collect(),
            links: outcome
                .links
                .iter()
                .map(|link| [text(&link.trace_id), text(&link.span_id), text(&link.flags)])
                .collect(),
        }
    }

    fn of(found: &Extraction) -> Self {
        let (status, context) = (found.status(), found.context());
        Self {
            status: status.label().to_owned(),
            field: status.field().map(str::to_owned),
            context: span(context),
            baggage: members(context),
            links: found.links().iter().map(ids).collect(),
        }
    }
}

fn ids(span: &SpanContext) -> [String; 3] {
    let flags = format!("{:02x}", span.trace_flags().to_u8());
    [span.trace_id().to_string(), span.span_id().to_string(), flags]
}

fn span(cx: &Context) -> Option<[String; 4]> {
    // OpenTelemetry's type does not hold every tracestate, so what counts is what is sent.
    let mut sent = BTreeMap::new();
    Propagation::w3c().inject(cx, &mut sent);
    let [trace_id, span_id, flags] = ids(cx.span().span_context());
    let state = sent.remove("tracestate").unwrap_or_default();
    cx.has_active_span().then_some([trace_id, span_id, flags, state])
}

fn members(cx: &Context) -> Vec<[String; 3]> {
    let members = cx.baggage().iter();
    let mut members: Vec<_> = members
        .map(|(key, (value, properties))| {
            [key.to_string(), value.to_string(), properties.as_str().to_owned()]
        })
        .collect();
    members.sort();
    members
}

/// The propagations that apply a rule: our propagator read directly, and through OpenTelemetry's interface.
pub(crate) fn propagations(rule: Conflict) -> [(&'static str, Propagation); 2] {
    let foreign = TextMapCompositePropagator::new(vec![Box::new(w3c())]);
    let with = |builder: PropagationBuilder| {
        let rule = match rule {
            Conflict::Restart => carrier_core::Conflict::Restart,
            Conflict::Last => carrier_core::Conflict::Last,
        };
        builder.conflict(rule).build()
    };
    [
        ("own propagator", with(Propagation::builder().propagator(w3c()))),
        ("composite propagator", with(Propagation::builder().propagator(foreign))),
    ]
}

/// Compares, and adds the difference to the problems.
pub(crate) fn compare<T: PartialEq + Debug>(what: &str, found: &T, expected: &T, problems: &mut Vec<String>) {
    if found != expected {
        let short = |value: &T| format!("{value:?}").chars().take(2_000).collect::<String>();
        problems.push(format!("{what}\n  expected: {}\n     found: {}", short(expected), short(found)));
    }
}

/// Compares what `inspect` and `extract` find with an outcome.
pub(crate) fn read<R: TextMapReader>(
    what: &str,
    propagation: &Propagation,
    reader: &R,
    outcome: &Outcome,
    problems: &mut Vec<String>,
) {
    let expected = Seen::expected(outcome);
    compare(&format!("{what}, inspect"), &Seen::of(&propagation.inspect(reader)), &expected, problems);
    let cx = propagation.extract(reader);
    compare(&format!("{what}, extract"), &span(&cx), &expected.context, problems);
    compare(&format!("{what}, baggage"), &members(&cx), &expected.baggage, problems);
}

/// A carrier that knows nothing of a client: names as bytes, and any type of value.
#[derive(Clone)]
pub(crate) struct Plain<V> {
    pub(crate) headers: Vec<(Vec<u8>, V)>,
    pub(crate) value: fn(&V) -> FieldValue<'_>,
    pub(crate) text: fn(Vec<u8>) -> V,
}

impl<V> TextMapReader for Plain<V> {
    fn entries(&self) -> impl Iterator<Item = (&str, FieldValue<'_>)> {
        let named =
            self.headers.iter().filter_map(|(key, value)| Some((std::str::from_utf8(key).ok()?, value)));
        named.map(|(key, value)| (key, (self.value)(value)))
    }
}

impl<V> TextMapCarrier for Plain<V> {
    fn replace(&mut self, fields: &mut Fields<'_>) {
        self.headers.retain(|(key, _)| !std::str::from_utf8(key).is_ok_and(|key| fields.replaces(key)));
        for (key, value) in fields.drain() {
            self.headers.push((key.into_owned().into_bytes(), (self.text)(value.take_bytes())));
        }
    }
}
