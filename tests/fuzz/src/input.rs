//! Headers, contexts and configurations from the fuzzer's bytes. Every input has a meaning; missing bytes are zero.

use carrier_core::{
    Budget, Conflict, Existing, FieldValue, Formats, Propagation, Renamed, TextMapReader, Trust, W3c,
    allow_keys, w3c,
};
use opentelemetry::Context;
use opentelemetry::baggage::{BaggageExt as _, KeyValueMetadata};
use opentelemetry::propagation::TextMapCompositePropagator;
use opentelemetry::trace::{SpanContext, TraceContextExt as _, TraceFlags, TraceState};

/// W3C's fields, and the same under other names.
pub(crate) const FIELDS: [&str; 6] =
    ["traceparent", "tracestate", "baggage", "x-traceparent", "x-tracestate", "x-baggage"];

/// Names of headers that matter: the fields, in other cases, and what looks like one.
const NAMES: [&str; 14] = [
    "traceparent",
    "tracestate",
    "baggage",
    "Traceparent",
    "TRACESTATE",
    "Baggage",
    "traceparent\0x",
    "b3",
    "user",
    "",
    "x-traceparent",
    "X-Tracestate",
    "TRACEPARENT",
    "X_TRACEPARENT",
];

const PARENT: &[u8; 55] = b"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

/// Members of a list, near the limits of the grammars.
const MEMBERS: [&str; 8] = ["a=1", "k=v;p=q;r", "t@v=x", " k2 = %C3%A4 ", "=", "%zz=%", "k=", ","];

/// More bytes than any limit on one field.
const MAX_VALUE_BYTES: usize = 20_000;

/// All headers together stay below the limits of the transports, which have tests of their own.
const MAX_BYTES: usize = 100_000;

/// Returns whether a header of this name is one of these fields.
pub(crate) fn is_one_of(fields: &[&str], name: &[u8]) -> bool {
    fields.iter().any(|field| field.as_bytes().eq_ignore_ascii_case(name))
}

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Value {
    Null,
    Bytes(Vec<u8>),
    /// A type without text, by a number.
    Other(u8),
}

pub(crate) type Header = (Vec<u8>, Value);

/// The headers of any client, for comparison.
#[derive(Debug)]
pub(crate) struct Plain(pub(crate) Vec<Header>);

impl TextMapReader for Plain {
    fn entries(&self) -> impl Iterator<Item = (&str, FieldValue<'_>)> {
        self.0.iter().filter_map(|(name, value)| {
            let value = match value {
                Value::Null => FieldValue::Null,
                Value::Bytes(bytes) => FieldValue::Bytes(bytes),
                Value::Other(_) => FieldValue::Other("other"),
            };
            Some((std::str::from_utf8(name).ok()?, value))
        })
    }
}

pub(crate) struct Input<'a>(pub(crate) &'a [u8]);

impl<'a> Input<'a> {
    pub(crate) fn byte(&mut self) -> u8 {
        self.take(1).first().copied().unwrap_or_default()
    }

    fn take(&mut self, length: usize) -> &'a [u8] {
        let (taken, rest) = self.0.split_at(length.min(self.0.len()));
        self.0 = rest;
        taken
    }

    /// Bytes after their length.
    fn bytes(&mut self) -> &'a [u8] {
        let length = self.byte();
        self.take(length.into())
    }

    fn text(&mut self) -> String {
        String::from_utf8_lossy(self.bytes()).into_owned()
    }

    pub(crate) fn headers(&mut self) -> Vec<Header> {
        let (mut headers, mut bytes) = (Vec::new(), 0);
        while !self.0.is_empty() && bytes < MAX_BYTES {
            let name = match NAMES.get(usize::from(self.byte())) {
                Some(name) => name.as_bytes(),
                None => self.bytes(),
            };
            let value = self.value();
            bytes += name.len() + if let Value::Bytes(bytes) = &value { bytes.len() } else { 0 };
            headers.push((name.to_vec(), value));
        }
        headers
    }

    fn value(&mut self) -> Value {
        let kind = self.byte();
        match kind % 8 {
            0 => Value::Null,
            1 => Value::Other(kind / 8),
            2..4 => Value::Bytes(self.bytes().to_vec()),
            4 => {
                // A `traceparent` with some other bytes, and more bytes after it.
                let mut parent = PARENT.to_vec();
                for _ in 0..kind / 8 % 4 {
                    let place = usize::from(self.byte()) % parent.len();
                    parent[place] = self.byte();
                }
                if kind >= 128 {
                    parent.extend(self.bytes());
                }
                Value::Bytes(parent)
            }
            5 => {
                let members = (0..=kind / 8).map(|_| MEMBERS[usize::from(self.byte() % 8)]);
                Value::Bytes(members.collect::<Vec<_>>().join(",").into_bytes())
            }
            _ => Value::Bytes(self.long()),
        }
    }

    /// A long value, cheap in input: some bytes that are repeated.
    fn long(&mut self) -> Vec<u8> {
        let (bytes, times) = (self.bytes(), usize::from(self.byte()) * 4);
        let mut long = bytes.repeat(times.min(MAX_VALUE_BYTES / bytes.len().max(1)));
        long.extend(self.bytes());
        long
    }

    pub(crate) fn context(&mut self) -> Context {
        let kind = self.byte();
        let mut cx = Context::new();
        if kind & 1 == 1 {
            let id = self.bytes().iter().fold(0, |id: u128, byte| id << 8 | u128::from(*byte));
            let flags = TraceFlags::new(self.byte());
            let span = SpanContext::new(id.into(), (id as u64).into(), flags, kind & 2 == 2, self.state());
            cx = cx.with_remote_span_context(span);
        }
        if kind & 4 == 4 {
            let members = (0..kind / 8).map(|_| {
                let (key, value, metadata) = (self.text(), self.value(), self.text());
                let value = if let Value::Bytes(bytes) = value { bytes } else { Vec::new() };
                let value = String::from_utf8_lossy(&value).into_owned();
                KeyValueMetadata::new(key, value, metadata)
            });
            cx = cx.with_baggage(members.collect::<Vec<_>>());
        }
        cx
    }

    fn state(&mut self) -> TraceState {
        let members = (0..self.byte() % 40).map(|_| (self.text(), self.text())).collect::<Vec<_>>();
        TraceState::from_key_value(members).unwrap_or_default()
    }

    /// A configuration, and the fields of its propagator.
    pub(crate) fn propagation(&mut self) -> (Propagation, &'static [&'static str]) {
        let [choice, more] = [self.byte(), self.byte()];
        let builder = Propagation::builder()
            .conflict(if choice & 1 == 1 { Conflict::Last } else { Conflict::Restart })
            .trust([Trust::Parent, Trust::Parent, Trust::Link, Trust::Ignore][usize::from(choice / 2 % 4)])
            .existing(
                [Existing::Replace, Existing::Replace, Existing::Keep, Existing::LeaveAlone]
                    [usize::from(choice / 8 % 4)],
            );
        let composite = || TextMapCompositePropagator::new(vec![Box::new(w3c())]);
        let renamed = || Renamed::new(w3c(), |name| format!("x-{name}"));
        let (builder, fields) = match choice / 32 {
            0 | 1 => (builder.propagator(w3c()), &FIELDS[..3]),
            2 => (builder.propagator(W3c::trace_context()), &FIELDS[..2]),
            3 => (builder.propagator(W3c::baggage()), &FIELDS[2..3]),
            4 | 5 => (builder.propagator(composite()), &FIELDS[..3]),
            6 => (builder.propagator(Formats::writing(w3c()).reading(renamed())), &FIELDS[..]),
            _ => (builder.propagator(renamed()), &FIELDS[3..]),
        };
        let builder = if more & 4 == 4 { builder.baggage_in(allow_keys(["a", "k"])) } else { builder };
        let builder = if more & 1 == 1 { builder.baggage_out(allow_keys(["a", "k"])) } else { builder };
        let limit = Budget::bytes(usize::from(more) * 8);
        let builder = if more & 2 == 2 { builder.budget(limit) } else { builder };
        (builder.build(), fields)
    }
}
