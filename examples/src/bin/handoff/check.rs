//! Whether it is one trace, and which link is broken where it is not.

use std::collections::BTreeSet;

use opentelemetry::trace::SpanId;

use crate::hops::{End, Hop};
use crate::service::Step;

/// What a whole trace comes to.
pub(crate) struct Whole {
    pub(crate) trace_id: String,
    pub(crate) spans: usize,
    pub(crate) services: usize,
}

/// A link of the trace that does not hold.
pub(crate) struct Fault {
    pub(crate) link: String,
    pub(crate) what: String,
}

/// Follows the order over each hop; an error has each link that is broken.
pub(crate) fn check(steps: &[Step], way: &[&Hop]) -> Result<Whole, Vec<Fault>> {
    let mut broken: Vec<Fault> = way.iter().filter_map(|hop| fault(steps, hop)).collect();
    let traces: BTreeSet<String> = steps.iter().map(trace_id).collect();
    let roots = steps.iter().filter(|step| step.span.parent_span_id == SpanId::INVALID);
    let roots = roots.count();
    // No hop is to blame: a service has lost its own way.
    if broken.is_empty() && (traces.len() != 1 || roots != 1) {
        broken.push(Fault {
            link: "a service".to_owned(),
            what: format!("{} trace ids and {roots} spans without a parent", traces.len()),
        });
    }
    match traces.into_iter().next() {
        Some(trace_id) if broken.is_empty() => Ok(Whole {
            trace_id,
            spans: steps.len(),
            services: steps.iter().map(|step| step.service).collect::<BTreeSet<_>>().len(),
        }),
        _ => Err(broken),
    }
}

/// Returns the span at one end of a hop.
pub(crate) fn at<'a>(steps: &'a [Step], end: &End) -> Option<&'a Step> {
    steps.iter().find(|step| step.service == end.service && step.span.name == end.span)
}

pub(crate) fn trace_id(step: &Step) -> String {
    step.span.span_context.trace_id().to_string()
}

fn fault(steps: &[Step], hop: &Hop) -> Option<Fault> {
    let what = match (at(steps, &hop.from), at(steps, &hop.to)) {
        (None, _) => format!("there is no span `{}`", hop.from.span),
        (_, None) => format!("there is no span `{}`", hop.to.span),
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
