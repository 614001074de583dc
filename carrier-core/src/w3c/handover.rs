//! What our own propagator reads and writes through OpenTelemetry's interface, where behind that is something of ours.
//!
//! A propagator that the application registered sees carriers through [`AsExtractor`](crate::AsExtractor), which checks and
//! joins what it shows, since the propagator may do neither. Ours does both, so it asks the view, and the view reads its
//! carrier in our way and hands over what it found. The question is told by its address, which no message and no other crate
//! has; the answer counts where it comes from the very extractor that was asked, so one that stands before the view and
//! changes or hides something is read as any other. An extraction from a message with one header takes 1,680 instructions so,
//! and 2,756 without it.
//!
//! The other way a `traceparent` is handed to the fields of an injection as it is, where `Injector::set` takes a `String`, which
//! has to be allocated and to be checked for what no header may hold. Before that the propagator says that it will set
//! something (`Injector::reserve`), which other injectors make nothing of, or room; and fields take what is meant for their
//! address. An injector that stands before them has another. An injection into Kafka's headers takes 1,438 instructions so,
//! and 1,901 without it.

use std::cell::{Cell, RefCell};
use std::{mem, ptr};

use opentelemetry::Context;
use opentelemetry::propagation::{Extractor, Injector};

use super::W3c;
use crate::value::Line;
use crate::{Conflict, TextMapReader};

static BOTH: &str = "trace context, baggage";

thread_local! {
    /// Between a propagator and the view that it asks, which are in one call.
    static TALK: RefCell<Talk> = const { RefCell::new(Talk::Nothing) };

    /// Between a propagator and the fields that it writes: for whom, and what.
    static LINE: Cell<Option<(*const (), Line)>> = const { Cell::new(None) };
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

/// Hands a `traceparent` to an injector that takes it as it is; whether this is one.
pub(super) fn hand(line: Line, injector: &mut dyn Injector) -> bool {
    let whom = ptr::from_mut(injector).cast_const().cast();
    if LINE.try_with(|slot| slot.set(Some((whom, line)))).is_err() {
        return false;
    }
    injector.reserve(0);
    LINE.try_with(Cell::take).is_ok_and(|left| left.is_none())
}

/// What is handed to an injector, if it is this one.
pub(crate) fn take<I>(injector: &I) -> Option<Line> {
    LINE.try_with(|slot| {
        let (_, line) = slot.get().filter(|(whom, _)| ptr::eq(*whom, ptr::from_ref(injector).cast()))?;
        slot.set(None);
        Some(line)
    })
    .ok()
    .flatten()
}

#[cfg(test)]
mod tests {
    use opentelemetry::propagation::TextMapPropagator;
    use opentelemetry::trace::TraceContextExt;

    use super::*;
    use crate::{AsExtractor, Fields, w3c};

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

    /// Leaves out one field of what another gets.
    struct Filter<'a>(&'static str, &'a mut dyn Injector);

    impl Injector for Filter<'_> {
        fn set(&mut self, key: &str, value: String) {
            if key != self.0 {
                self.1.set(key, value);
            }
        }

        fn reserve(&mut self, additional: usize) {
            self.1.reserve(additional);
        }
    }

    #[test]
    fn fields_take_a_traceparent_as_it_is() {
        let (propagator, cx) = (crate::W3cTraceContext::new(), crate::testing::remote_context());
        let mut fields = Fields::of(&propagator);
        propagator.inject_context(&cx, &mut fields);
        assert!(fields.is_line());
        let mut map = std::collections::HashMap::new();
        propagator.inject_context(&cx, &mut map);
        assert_eq!(fields.entries().next(), Some(("traceparent", &*map["traceparent"])));
    }

    #[test]
    fn one_that_was_not_declared_replaces_the_old_one() {
        let baggage = crate::W3cBaggage::new();
        let mut fields = Fields::of(&baggage);
        fields.for_a_new_message();
        crate::W3cTraceContext::new().inject_context(&crate::testing::remote_context(), &mut fields);
        assert!(fields.is_line() && fields.may_replace() && fields.names().eq(["traceparent"]));
    }

    #[test]
    fn what_stands_before_fields_is_not_passed_by() {
        let (propagator, cx) = (crate::W3cTraceContext::new(), crate::testing::remote_context());
        let mut fields = Fields::of(&propagator);
        propagator.inject_context(&cx, &mut Filter("traceparent", &mut fields));
        assert_eq!(fields.entries().len(), 0);
        propagator.inject_context(&cx, &mut Filter("tracestate", &mut fields));
        assert_eq!(fields.entries().len(), 1);
        assert!(!fields.is_line());
    }

    #[test]
    fn fields_of_somebody_elses_take_nothing_but_what_is_set() {
        /// Stands where its fields do.
        #[derive(Default)]
        struct Hides(Fields<'static>);
        impl Injector for Hides {
            fn set(&mut self, _: &str, _: String) {}

            fn reserve(&mut self, additional: usize) {
                self.0.reserve(additional);
            }
        }
        let mut hides = Hides::default();
        crate::W3cTraceContext::new().inject_context(&crate::testing::remote_context(), &mut hides);
        assert_eq!(hides.0.entries().len(), 0);
    }
}
