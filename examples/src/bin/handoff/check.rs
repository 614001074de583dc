//! Whether it is one trace, and which hop is broken where it is not.

use std::collections::BTreeSet;

use opentelemetry::trace::SpanId;

use crate::hops::{End, Hop};
use crate::service::Step;

/// What a whole trace comes to.
pub(crate) struct Whole {
    /// More than one where a hop is to be linked.
    pub(crate) trace_ids: BTreeSet<String>,
    pub(crate) spans: usize,
    pub(crate) services: usize,
}

/// A link of the trace that does not hold.
pub(crate) struct Fault {
    pub(crate) link: String,
    pub(crate) what: String,
}

/// Follows the order over each hop, of which one may be linked; an error has each that is broken.
pub(crate) fn check(steps: &[Step], way: &[&Hop], linked: Option<&Hop>) -> Result<Whole, Vec<Fault>> {
    let mut broken: Vec<Fault> = way.iter().filter_map(|hop| fault(steps, hop, linked)).collect();
    let traces: BTreeSet<String> = steps.iter().map(trace_id).collect();
    let roots = steps.iter().filter(|step| step.span.parent_span_id == SpanId::INVALID);
    let roots = roots.count();
    let expected = 1 + usize::from(linked.is_some());
    // No hop is to blame: a service has lost its own way.
    if broken.is_empty() && (traces.len() != expected || roots != expected) {
        broken.push(Fault {
            link: "a service".to_owned(),
            what: format!("{} trace ids and {roots} spans without a parent", traces.len()),
        });
    }
    if !broken.is_empty() {
        return Err(broken);
    }
    let services: BTreeSet<&str> = steps.iter().map(|step| step.service).collect();
    Ok(Whole { trace_ids: traces, spans: steps.len(), services: services.len() })
}

/// Returns the span at one end of a hop.
pub(crate) fn at<'a>(steps: &'a [Step], end: &End) -> Option<&'a Step> {
    steps.iter().find(|step| step.service == end.service && step.span.name == end.span)
}

pub(crate) fn trace_id(step: &Step) -> String {
    step.span.span_context.trace_id().to_string()
}

/// Whether a span links to another.
pub(crate) fn links_to(step: &Step, other: &Step) -> bool {
    let mut linked = step.span.links.iter();
    linked.any(|link| link.span_context.span_id() == other.span.span_context.span_id())
}

fn fault(steps: &[Step], hop: &Hop, linked: Option<&Hop>) -> Option<Fault> {
    let what = match (at(steps, &hop.from), at(steps, &hop.to)) {
        (None, _) => format!("there is no span `{}`", hop.from.span),
        (_, None) => format!("there is no span `{}`", hop.to.span),
        (Some(from), Some(to)) if linked == Some(hop) => match links_to(to, from) {
            true if to.span.parent_span_id == SpanId::INVALID => return None,
            true => format!("`{}` is in no trace of its own", hop.to.span),
            false => format!("`{}` has no link to `{}`", hop.to.span, hop.from.span),
        },
        (Some(_), Some(to)) if to.span.parent_span_id == SpanId::INVALID => {
            format!("`{}` has no parent", hop.to.span)
        }
        (Some(from), Some(to)) if trace_id(from) != trace_id(to) => {
            format!("`{}` belongs to another trace, {}", hop.to.span, trace_id(to))
        }
        (Some(from), Some(to)) if from.span.span_context.span_id() != to.span.parent_span_id => {
            let parent = to.span.parent_span_id;
            format!("the parent of `{}` is {parent}, not `{}`", hop.to.span, hop.from.span)
        }
        (Some(_), Some(to)) if !to.span.parent_span_is_remote => {
            format!("the parent of `{}` did not come from a header", hop.to.span)
        }
        _ => return None,
    };
    Some(Fault { link: format!("{}, {} → {}", hop.name, hop.from.service, hop.to.service), what })
}
