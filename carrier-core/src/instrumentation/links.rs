//! The links of a span that starts.

use opentelemetry::trace::{Link, SpanContext, SpanId, TraceContextExt as _, TraceId};
use opentelemetry::{Context, KeyValue};

type Ids = (TraceId, SpanId);

/// The links of a span below `parent`. By default none of them is to the parent.
///
/// Jaeger turns a parent and a link with the same ids into one FOLLOWS_FROM reference, and leaves the span out of the
/// critical path.
pub(super) struct Links {
    /// `None` if the parent may be linked.
    parent: Option<Ids>,
    links: Vec<Link>,
}

impl Links {
    pub(super) fn below(parent: &Context, link_parent: bool) -> Self {
        let parent = (!link_parent).then(|| ids(parent.span().span_context()));
        Self { parent, links: Vec::new() }
    }

    /// Adds a link to another span, unless there is one.
    pub(super) fn add(&mut self, to: SpanContext) {
        // The ids are compared: the current span is local, and may be the remote sender's.
        if self.links.iter().all(|link| ids(&link.span_context) != ids(&to)) {
            self.add_with(to, Vec::new);
        }
    }

    /// Adds a link with attributes, also if there is one to this span.
    pub(super) fn add_with(&mut self, to: SpanContext, attributes: impl FnOnce() -> Vec<KeyValue>) {
        if self.parent != Some(ids(&to)) {
            self.links.push(Link::new(to, attributes(), 0));
        }
    }

    pub(super) fn len(&self) -> usize {
        self.links.len()
    }

    pub(super) fn into_vec(self) -> Vec<Link> {
        self.links
    }
}

fn ids(span: &SpanContext) -> Ids {
    (span.trace_id(), span.span_id())
}

/// Whether two span contexts are of the same span.
pub(super) fn is_same(one: &SpanContext, other: &SpanContext) -> bool {
    ids(one) == ids(other)
}
