//! A whole span as it was exported, in a form that can be compared.

use opentelemetry::trace::{Link, SpanKind, Status};
use opentelemetry::{KeyValue, Value};
use opentelemetry_sdk::trace::SpanData;

pub(crate) type Attributes = Vec<(String, Value)>;

/// Sorted by key; an attribute that is set twice is there twice.
pub(crate) fn sorted<'a>(attributes: impl IntoIterator<Item = &'a KeyValue>) -> Attributes {
    let pairs = attributes.into_iter().map(|pair| (pair.key.to_string(), pair.value.clone()));
    let mut pairs: Attributes = pairs.collect();
    pairs.sort_by(|one, other| one.0.cmp(&other.0));
    pairs
}

/// A link: a trace, a span, attributes.
pub(crate) type Linked = (u128, u64, Attributes);

pub(crate) fn linked(links: &[Link]) -> Vec<Linked> {
    let link = |link: &Link| {
        let to = &link.span_context;
        let (trace, span) = (u128::from_be_bytes(to.trace_id().to_bytes()), u64_of(to.span_id()));
        (trace, span, sorted(&link.attributes))
    };
    links.iter().map(link).collect()
}

fn u64_of(id: opentelemetry::trace::SpanId) -> u64 {
    u64::from_be_bytes(id.to_bytes())
}

/// All of a span but its times.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Seen {
    name: String,
    kind: SpanKind,
    trace: u128,
    id: u64,
    /// 0 for a root.
    parent: u64,
    links: Vec<Linked>,
    attributes: Attributes,
    status: Status,
    scope: [String; 3],
    events: usize,
    dropped: u32,
}

impl Seen {
    pub(crate) fn of(span: &SpanData) -> Self {
        let scope = &span.instrumentation_scope;
        Self {
            name: span.name.to_string(),
            kind: span.span_kind.clone(),
            trace: u128::from_be_bytes(span.span_context.trace_id().to_bytes()),
            id: u64_of(span.span_context.span_id()),
            parent: u64_of(span.parent_span_id),
            links: linked(&span.links.links),
            attributes: sorted(&span.attributes),
            status: span.status.clone(),
            scope: [
                scope.name(),
                scope.version().unwrap_or_default(),
                scope.schema_url().unwrap_or_default(),
            ]
            .map(str::to_owned),
            events: span.events.len(),
            dropped: span.dropped_attributes_count + span.links.dropped_count + span.events.dropped_count,
        }
    }

    /// The span of an operation, as it is expected: a root with the id 1 in the first trace.
    fn expected(operation: &str, operation_type: &str, kind: SpanKind, destination: &str) -> Self {
        Self {
            name: format!("{operation} {destination}"),
            kind,
            trace: super::telemetry::TRACE,
            id: 1,
            parent: 0,
            links: Vec::new(),
            attributes: Vec::new(),
            status: Status::Unset,
            scope: ["carrier-core", env!("CARGO_PKG_VERSION"), "https://opentelemetry.io/schemas/1.44.0"]
                .map(str::to_owned),
            events: 0,
            dropped: 0,
        }
        .with("messaging.system", "test")
        .with("messaging.operation.name", operation.to_owned())
        .with("messaging.operation.type", operation_type.to_owned())
        .with("messaging.destination.name", destination.to_owned())
    }

    pub(crate) fn send(destination: &str) -> Self {
        Self::expected("send", "send", SpanKind::Producer, destination)
    }

    pub(crate) fn request(destination: &str) -> Self {
        Self::expected("request", "send", SpanKind::Client, destination)
    }

    pub(crate) fn process(destination: &str) -> Self {
        Self::expected("process", "process", SpanKind::Consumer, destination)
    }

    pub(crate) fn receive(destination: &str) -> Self {
        Self::expected("receive", "receive", SpanKind::Client, destination)
    }

    pub(crate) fn settle(operation: &str, destination: &str) -> Self {
        Self::expected(operation, "settle", SpanKind::Client, destination)
    }

    pub(crate) fn span_id(&self) -> u64 {
        self.id
    }

    pub(crate) fn named(self, name: &str) -> Self {
        Self { name: name.to_owned(), ..self }
    }

    pub(crate) fn kind(self, kind: SpanKind) -> Self {
        Self { kind, ..self }
    }

    pub(crate) fn id(self, trace: u128, id: u64) -> Self {
        Self { trace, id, ..self }
    }

    pub(crate) fn child_of(self, parent: u64) -> Self {
        Self { parent, ..self }
    }

    pub(crate) fn link(self, trace: u128, span: u64) -> Self {
        self.link_with(trace, span, &[])
    }

    pub(crate) fn link_with(mut self, trace: u128, span: u64, attributes: &[KeyValue]) -> Self {
        self.links.push((trace, span, sorted(attributes)));
        self
    }

    pub(crate) fn with(mut self, key: &str, value: impl Into<Value>) -> Self {
        self.attributes.push((key.to_owned(), value.into()));
        self.attributes.sort_by(|one, other| one.0.cmp(&other.0));
        self
    }

    pub(crate) fn failed(self, error_type: &'static str, description: &'static str) -> Self {
        Self { status: Status::error(description), ..self }.with("error.type", error_type)
    }

    pub(crate) fn system(mut self, system: &str) -> Self {
        self.attributes.retain(|(key, _)| key != "messaging.system");
        self.with("messaging.system", system.to_owned())
    }

    pub(crate) fn scope(self, name: &str, version: &str) -> Self {
        // The scope of spans through `tracing` is the layer's.
        if crate::telemetry::is_through_tracing() {
            return self;
        }
        let [.., schema] = self.scope;
        Self { scope: [name.to_owned(), version.to_owned(), schema], ..self }
    }
}
