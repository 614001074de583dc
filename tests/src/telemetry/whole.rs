//! Spans compared whole: what is expected is written down, and everything else is a difference.

use opentelemetry::trace::{SpanContext, SpanId, SpanKind, Status, TraceId};
use opentelemetry::{KeyValue, Value};
use opentelemetry_sdk::trace::SpanData;

use super::Recorder;

/// What stands for a number with a fraction: a time that was measured, which no test can know.
pub const MEASURED: &str = "(measured)";

/// Attributes sorted by key; one that was set twice is there twice.
pub type Attributes = Vec<(String, Value)>;

/// An exported span, or one that is expected: name, kind, parent, links, attributes, status, number of events.
///
/// ```
/// use carrier_tests::telemetry::{Recorder, Whole};
/// use opentelemetry::trace::{Span as _, SpanKind, Tracer as _};
///
/// let recorder = Recorder::new();
/// recorder.tracer().start("work").end();
/// assert_eq!(recorder.whole("work"), Whole::new("work", SpanKind::Internal));
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct Whole {
    name: String,
    kind: SpanKind,
    parent: Option<Parent>,
    links: Vec<(TraceId, SpanId, Attributes)>,
    attributes: Attributes,
    status: Status,
    events: usize,
}

/// The span's trace is its parent's, or differs.
#[derive(Debug, Clone, PartialEq)]
struct Parent {
    trace: TraceId,
    span: SpanId,
    is_remote: bool,
}

impl Whole {
    /// An expected span: without a parent, links, attributes and events, its status unset.
    pub fn new(name: impl Into<String>, kind: SpanKind) -> Self {
        Self {
            name: name.into(),
            kind,
            parent: None,
            links: Vec::new(),
            attributes: Vec::new(),
            status: Status::Unset,
            events: 0,
        }
    }

    /// It is a child of a span in this program.
    pub fn child_of(self, parent: &SpanContext) -> Self {
        self.below(parent, false)
    }

    /// It is a child of a span that a message brought.
    pub fn continues(self, parent: &SpanContext) -> Self {
        self.below(parent, true)
    }

    fn below(self, parent: &SpanContext, is_remote: bool) -> Self {
        let parent = Parent { trace: parent.trace_id(), span: parent.span_id(), is_remote };
        Self { parent: Some(parent), ..self }
    }

    /// The same span of another kind.
    pub fn of_kind(self, kind: SpanKind) -> Self {
        Self { kind, ..self }
    }

    /// The same span with another value of an attribute that it has.
    ///
    /// # Panics
    ///
    /// Where it has none.
    pub fn but(mut self, key: &str, value: impl Into<Value>) -> Self {
        match self.attributes.iter_mut().find(|(name, _)| name == key) {
            Some((_, old)) => *old = value.into(),
            None => panic!("{} has no attribute {key}", self.name),
        }
        self
    }

    /// The same span without its links, where they are too many to write down.
    pub fn without_links(self) -> Self {
        Self { links: Vec::new(), ..self }
    }

    /// It has one more link, behind the others.
    pub fn linked<'a>(
        mut self,
        to: &SpanContext,
        attributes: impl IntoIterator<Item = (&'a str, Value)>,
    ) -> Self {
        let attributes = attributes.into_iter().map(|(key, value)| (key.to_owned(), value));
        self.links.push((to.trace_id(), to.span_id(), sorted(attributes)));
        self
    }

    /// It has these attributes as well.
    pub fn with<'a>(self, attributes: impl IntoIterator<Item = (&'a str, Value)>) -> Self {
        let more = attributes.into_iter().map(|(key, value)| (key.to_owned(), value));
        Self { attributes: sorted(self.attributes.into_iter().chain(more)), ..self }
    }

    /// It failed: the status, and `error.type`.
    pub fn failed(self, error_type: &str, description: &str) -> Self {
        let status = Status::error(description.to_owned());
        Self { status, ..self.with([("error.type", error_type.to_owned().into())]) }
    }
}

impl From<&SpanData> for Whole {
    fn from(span: &SpanData) -> Self {
        let parent = Parent {
            trace: span.span_context.trace_id(),
            span: span.parent_span_id,
            is_remote: span.parent_span_is_remote,
        };
        let link = |link: &opentelemetry::trace::Link| {
            let to = &link.span_context;
            (to.trace_id(), to.span_id(), sorted(link.attributes.iter().map(pair)))
        };
        Self {
            name: span.name.to_string(),
            kind: span.span_kind.clone(),
            parent: (span.parent_span_id != SpanId::INVALID).then_some(parent),
            links: span.links.iter().map(link).collect(),
            attributes: sorted(span.attributes.iter().map(pair)),
            status: span.status.clone(),
            events: span.events.iter().count(),
        }
    }
}

impl Recorder {
    /// Returns the spans that have ended so far, to be compared whole.
    ///
    /// # Panics
    ///
    /// As [`spans`](Self::spans).
    pub fn wholes(&self) -> Vec<Whole> {
        self.spans().iter().map(Whole::from).collect()
    }

    /// Returns the one ended span with this name, to be compared whole.
    ///
    /// # Panics
    ///
    /// Where there is none or more than one, with the names that there are.
    pub fn whole(&self, name: &str) -> Whole {
        Whole::from(&self.span(name))
    }
}

pub(super) fn pair(attribute: &KeyValue) -> (String, Value) {
    let value = match &attribute.value {
        Value::F64(_) => MEASURED.into(),
        value => value.clone(),
    };
    (attribute.key.to_string(), value)
}

pub(super) fn sorted(attributes: impl Iterator<Item = (String, Value)>) -> Attributes {
    let mut sorted: Attributes = attributes.collect();
    sorted.sort_by(|left, right| left.0.cmp(&right.0));
    sorted
}
