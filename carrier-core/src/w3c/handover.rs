//! What our own propagator reads through OpenTelemetry's interface, where the carrier behind that is a view of ours.
//!
//! A propagator that the application registered sees carriers through [`AsExtractor`](crate::AsExtractor), which checks and
//! joins what it shows, since the propagator may do neither. Ours does both, so it asks the view, and the view reads its
//! carrier in our way and hands over what it found. The question is told by its address, which no message and no other crate
//! has; the answer counts where it comes from the very extractor that was asked, so one that stands before the view and
//! changes or hides something is read as any other. An extraction from a message with one header takes 2,334 instructions so,
//! and 3,106 without it.

use std::cell::RefCell;
use std::ptr;

use opentelemetry::propagation::Extractor;

use super::{Found, W3c};

static BOTH: &str = "trace context, baggage";

thread_local! {
    /// Between a view's answer and its propagator, which are in one call.
    static ANSWER: RefCell<Option<(*const (), Found)>> = const { RefCell::new(None) };
}

fn question(ours: &W3c) -> &'static str {
    match (ours.trace_context, ours.baggage) {
        (true, true) => BOTH,
        (true, false) => &BOTH[..13],
        (false, true) => &BOTH[15..],
        (false, false) => "",
    }
}

/// Which of our propagators asks with this key, if one does.
#[inline]
pub(crate) fn asked(key: &str) -> Option<W3c> {
    let choices = [(true, true), (true, false), (false, true)];
    let mut ours = choices.into_iter().map(|(trace_context, baggage)| W3c { trace_context, baggage });
    ours.find(|ours| ptr::eq(key, question(ours)))
}

/// Gives the view's answer.
pub(crate) fn answer<E>(view: &E, found: Found) {
    let view = ptr::from_ref(view).cast();
    // A thread that ends has no place for it: then the propagator reads what the view shows.
    let _ = ANSWER.try_with(|answer| answer.replace(Some((view, found))));
}

/// Asks an extractor; `None` where it is no view of ours.
pub(super) fn ask(ours: &W3c, extractor: &dyn Extractor) -> Option<Found> {
    let _ = extractor.get(question(ours));
    let (view, found) = ANSWER.try_with(RefCell::take).ok().flatten()?;
    ptr::eq(view, ptr::from_ref(extractor).cast()).then_some(found)
}

#[cfg(test)]
mod tests {
    use opentelemetry::propagation::TextMapPropagator;
    use opentelemetry::trace::TraceContextExt;

    use super::*;
    use crate::{AsExtractor, w3c};

    const PARENT: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

    fn headers(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
        pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
    }

    /// Shows another's fields but one.
    struct Without<'a>(&'a str, &'a dyn Extractor);

    impl Extractor for Without<'_> {
        fn get(&self, key: &str) -> Option<&str> {
            if key == self.0 { None } else { self.1.get(key) }
        }

        fn keys(&self) -> Vec<&str> {
            self.1.keys()
        }
    }

    #[test]
    fn a_view_answers_our_propagator_and_nobody_else() {
        let headers = headers(&[("traceparent", PARENT), (BOTH, "spoofed")]);
        let view = AsExtractor::new(&headers);
        assert!(ask(&w3c(), &view).is_some());
        let copy = BOTH.to_owned();
        assert_eq!(view.get(&copy), Some("spoofed"));
        let map: std::collections::HashMap<_, _> = headers.iter().cloned().collect();
        assert!(ask(&w3c(), &map).is_none());
    }

    #[test]
    fn what_stands_before_a_view_is_not_passed_by() {
        let headers = headers(&[("traceparent", PARENT), ("tracestate", "a=1"), ("baggage", "k=v")]);
        let view = AsExtractor::new(&headers);
        let (hides, seen) = (Without("tracestate", &view), w3c().extract(&view));
        assert_eq!(seen.span().span_context().trace_state().header(), "a=1");
        assert!(ask(&w3c(), &hides).is_none());
        let cx = w3c().extract(&hides);
        assert!(cx.has_active_span());
        assert_eq!(cx.span().span_context().trace_state().header(), "");
    }

    #[test]
    fn each_propagator_gets_its_own_fields() {
        use opentelemetry::baggage::BaggageExt;
        let headers = headers(&[("traceparent", PARENT), ("baggage", "k=v")]);
        let view = AsExtractor::new(&headers);
        let cx = crate::W3cTraceContext::new().extract(&view);
        assert!(cx.has_active_span() && cx.baggage().is_empty());
        let cx = crate::W3cBaggage::new().extract(&view);
        assert!(!cx.has_active_span() && cx.baggage().len() == 1);
    }
}
