//! What our own propagator reads through OpenTelemetry's interface, where the carrier behind that is a view of ours.
//!
//! A propagator that the application registered sees carriers through [`AsExtractor`](crate::AsExtractor), which checks and
//! joins what it shows, since the propagator may do neither. Ours does both, so it asks the view, and the view reads its
//! carrier in our way and hands over what it found. The question is told by its address, which no message and no other crate
//! has; the answer counts where it comes from the very extractor that was asked, so one that stands before the view and
//! changes or hides something is read as any other. An extraction from a message with one header takes 1,680 instructions so,
//! and 2,756 without it.

use std::cell::RefCell;
use std::{mem, ptr};

use opentelemetry::Context;
use opentelemetry::propagation::Extractor;

use super::W3c;
use crate::{Conflict, TextMapReader};

static BOTH: &str = "trace context, baggage";

thread_local! {
    /// Between a propagator and the view that it asks, which are in one call.
    static TALK: RefCell<Talk> = const { RefCell::new(Talk::Nothing) };
}

/// What one says to the other.
enum Talk {
    Nothing,
    /// The context that is to get what is found.
    Asked(Context),
    /// Whose answer it is, and that context with what was found.
    Answered(*const (), Context),
}

/// Says something, and gives what was said before.
///
/// A thread that ends has no place for it: then the propagator reads what the view shows.
fn say(next: Talk) -> Talk {
    TALK.try_with(|talk| mem::replace(&mut *talk.borrow_mut(), next)).unwrap_or(Talk::Nothing)
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

/// Answers for a view of `reader`.
pub(crate) fn answer<E, R: TextMapReader>(view: &E, ours: &W3c, reader: &R, conflict: Conflict) {
    if let Talk::Asked(cx) = say(Talk::Nothing) {
        let found = ours.extract_onto(&cx, reader, conflict);
        say(Talk::Answered(ptr::from_ref(view).cast(), found));
    }
}

/// Asks an extractor for a context with what it shows; `None` where it is no view of ours.
pub(super) fn ask(ours: &W3c, cx: &Context, extractor: &dyn Extractor) -> Option<Context> {
    say(Talk::Asked(cx.clone()));
    let _ = extractor.get(question(ours));
    match say(Talk::Nothing) {
        Talk::Answered(view, found) if ptr::eq(view, ptr::from_ref(extractor).cast()) => Some(found),
        _ => None,
    }
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
        assert!(ask(&w3c(), &Context::new(), &view).is_some());
        let copy = BOTH.to_owned();
        assert_eq!(view.get(&copy), Some("spoofed"));
        let map: std::collections::HashMap<_, _> = headers.iter().cloned().collect();
        assert!(ask(&w3c(), &Context::new(), &map).is_none());
    }

    #[test]
    fn what_stands_before_a_view_is_not_passed_by() {
        let headers = headers(&[("traceparent", PARENT), ("tracestate", "a=1"), ("baggage", "k=v")]);
        let view = AsExtractor::new(&headers);
        let (hides, seen) = (Without("tracestate", &view), w3c().extract(&view));
        assert_eq!(seen.span().span_context().trace_state().header(), "a=1");
        assert!(ask(&w3c(), &Context::new(), &hides).is_none());
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
