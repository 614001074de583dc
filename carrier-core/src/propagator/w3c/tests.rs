use std::collections::{BTreeMap, HashMap};

use proptest::prelude::*;

use super::*;
use crate::format::{BAGGAGE, TRACEPARENT, TRACESTATE};

type Pairs = Vec<(String, String)>;

fn any_pairs() -> impl Strategy<Value = Pairs> {
    let field = |key: &'static str, values: &'static [&'static str]| {
        proptest::sample::select(values).prop_map(move |value| (key.to_owned(), value.to_owned()))
    };
    let parents = &[
        "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
        "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-03",
        "01-0af7651916cd43dd8448eb211c80319c-00f067aa0ba902b7-00-more",
        "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331",
        "",
    ];
    let states = &["a=1", "a=1,b=2", "x@y@z=1,b=2", "BAD", " , ", ""];
    let members = &["k=v", "k=v;p,l=%20", "k=1,bad", " , ", ""];
    let field = prop_oneof![
        5 => field(TRACEPARENT, parents),
        3 => field(TRACESTATE, states),
        3 => field(BAGGAGE, members),
        1 => field("user", &["1"]),
    ];
    proptest::collection::vec(field, 0..5)
}

proptest! {
    #[test]
    fn the_fast_path_reads_the_same_as_the_full_read(
        pairs in any_pairs(), baggage: bool,
    ) {
        let (w3c, cx) = (W3c { trace_context: true, baggage }, Context::new());
        let (slow, status, unused) = w3c.inspect(&pairs, Conflict::Restart).onto(&cx);
        if let Some(once) = w3c.read_once(&pairs) {
            prop_assert_eq!(once.status() == ExtractionStatus::Absent, status == ExtractionStatus::Absent);
            prop_assert!(!status.is_invalid() && unused.is_empty());
            let fast = once.onto(&cx);
            // What OpenTelemetry's types cannot hold shows in what is sent.
            let sent = |cx: &Context| {
                let mut sent = HashMap::new();
                w3c.inject_context(cx, &mut sent);
                sent
            };
            prop_assert_eq!(sent(&fast), sent(&slow));
            let span = |cx: &Context| cx.span().span_context().clone();
            prop_assert_eq!(span(&fast), span(&slow));
        }
    }
}

#[test]
fn a_message_with_each_field_once_takes_the_fast_path() {
    let pairs = |pairs: &[(&str, &str)]| -> Pairs {
        pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
    };
    let parent = ("traceparent", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-03");
    let (state, baggage) = (("tracestate", "x@y@z=1"), ("baggage", "k=v"));
    for headers in [&[][..], &[parent], &[baggage], &[("user", "1"), parent, state, baggage]] {
        assert!(w3c().read_once(&pairs(headers)).is_some(), "{headers:?}");
    }
}

const PARENT: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-03";

type Headers = HashMap<String, String>;

fn headers(state: &str) -> Headers {
    [(TRACEPARENT, PARENT), (TRACESTATE, state)].map(|(key, value)| (key.to_owned(), value.to_owned())).into()
}

fn received(state: &str) -> Context {
    onto(&headers(state), &Context::new())
}

fn onto(headers: &Headers, cx: &Context) -> Context {
    w3c().inspect(headers, Conflict::Restart).onto(cx).0
}

fn sent(cx: &Context) -> Headers {
    let mut headers = Headers::new();
    W3c::trace_context().inject_context(cx, &mut headers);
    headers
}

/// A child as an SDK makes it: a span of its own in the same trace, with these flags and this state.
fn child(cx: &Context, flags: u8, state: TraceState) -> Context {
    let trace_id = cx.span().span_context().trace_id();
    let span = SpanContext::new(trace_id, 7.into(), TraceFlags::new(flags), false, state);
    cx.with_remote_span_context(span)
}

#[test]
fn a_service_without_an_sdk_hands_on_what_came() {
    for state in ["a=1,b=2", "x@y@z=1,b=2", &format!("{}=1", "k".repeat(256))] {
        assert_eq!(sent(&received(state)), headers(state));
    }
}

#[test]
fn the_random_flag_survives_a_decision_to_drop() {
    let cx = received("a=1");
    let dropped = child(&cx, 0x00, TraceState::NONE);
    assert!(sent(&dropped)[TRACEPARENT].ends_with("-02"));
}

#[test]
fn the_random_flag_does_not_reach_another_trace() {
    let other = SpanContext::new(9.into(), 7.into(), TraceFlags::SAMPLED, false, TraceState::NONE);
    let cx = received("x@y@z=1").with_remote_span_context(other);
    let sent = sent(&cx);
    assert!(sent[TRACEPARENT].ends_with("-01"));
    assert!(!sent.contains_key(TRACESTATE));
}

#[test]
fn a_child_keeps_members_that_the_type_cannot_hold() {
    let cx = received("x@y@z=1,b=2");
    let state = cx.span().span_context().trace_state().insert("new", "n").unwrap();
    assert_eq!(sent(&child(&cx, 1, state))[TRACESTATE], "new=n,x@y@z=1,b=2");
}

#[test]
fn a_second_message_of_the_trace_does_not_get_the_members_of_the_first() {
    let second = onto(&headers("b=2"), &received("x@y@z=1"));
    assert_eq!(sent(&second), headers("b=2"));
    let mut without_random = headers("b=2");
    without_random.insert(TRACEPARENT.to_owned(), PARENT.replace("-03", "-01"));
    let second = onto(&without_random, &received("x@y@z=1"));
    assert_eq!(sent(&second), without_random);
}

#[test]
fn a_bad_tracestate_leaves_traceparent_alone() {
    let cx = received("BAD");
    assert!(cx.has_active_span());
    assert!(!sent(&cx).contains_key(TRACESTATE));
}

#[test]
fn without_a_valid_traceparent_nothing_is_read() {
    let mut headers = headers("a=1");
    headers.remove(TRACEPARENT);
    let (cx, status, _) = w3c().inspect(&headers, Conflict::Restart).onto(&Context::new());
    assert_eq!(status, ExtractionStatus::Absent);
    assert!(!cx.has_active_span());
}

#[test]
fn baggage_that_is_there_already_stays() {
    let cx = Context::new().with_baggage([opentelemetry::KeyValue::new("old", "1")]);
    let headers = BTreeMap::from([(BAGGAGE.to_owned(), "new=2".to_owned())]);
    let cx = w3c().inspect(&headers, Conflict::Restart).onto(&cx).0;
    let baggage = cx.baggage();
    assert_eq!((baggage.get("old").unwrap().as_str(), baggage.get("new").unwrap().as_str()), ("1", "2"));
    let bad = BTreeMap::from([(BAGGAGE.to_owned(), "bad".to_owned())]);
    assert_eq!(w3c().inspect(&bad, Conflict::Restart).onto(&cx).0.baggage().len(), 2);
}

/// Hides one field of another extractor, which it holds by value.
struct Without<E>(&'static str, E);

impl<E: Extractor> Extractor for Without<E> {
    fn get(&self, key: &str) -> Option<&str> {
        if key == self.0 { None } else { self.1.get(key) }
    }

    fn keys(&self) -> Vec<&str> {
        self.1.keys()
    }
}

#[test]
fn an_extractor_that_hides_a_field_is_respected() {
    let headers: Pairs = [("traceparent", PARENT), ("tracestate", "a=1"), ("baggage", "k=v")]
        .map(|(key, value)| (key.to_owned(), value.to_owned()))
        .into();
    let view = || crate::AsExtractor::new(&headers);
    let all = w3c().extract(&view());
    assert!(all.has_active_span() && all.baggage().len() == 1);
    assert!(w3c().extract(&Without("baggage", view())).baggage().is_empty());
    let cx = w3c().extract(&Without("tracestate", view()));
    assert_eq!((cx.span().span_context().trace_state().header(), cx.baggage().len()), (String::new(), 1));
    assert!(!w3c().extract(&Without("traceparent", view())).has_active_span());
}

#[test]
fn an_injector_whose_reserve_injects_gets_the_outer_context() {
    #[derive(Default)]
    struct Nested(HashMap<String, String>, bool);
    impl Injector for Nested {
        fn set(&mut self, key: &str, value: String) {
            self.0.insert(key.to_owned(), value);
        }

        fn reserve(&mut self, _: usize) {
            if !std::mem::replace(&mut self.1, true) {
                w3c().inject_context(&received("b=2"), self);
            }
        }
    }
    let outer = received("a=1");
    let mut nested = Nested::default();
    nested.reserve(1);
    w3c().inject_context(&outer, &mut nested);
    assert_eq!(nested.0, sent(&outer));
}

#[test]
fn a_panic_in_a_foreign_extractor_or_injector_leaves_nothing_for_the_next_call() {
    struct Panics;
    impl Extractor for Panics {
        fn get(&self, _: &str) -> Option<&str> {
            panic!("a foreign extractor")
        }

        fn keys(&self) -> Vec<&str> {
            Vec::new()
        }
    }
    impl Injector for Panics {
        fn set(&mut self, _: &str, _: String) {
            panic!("a foreign injector")
        }
    }
    let cx = received("a=1");
    let extracted = std::panic::catch_unwind(|| w3c().extract_with_context(&received("a=1"), &Panics));
    let injected = std::panic::catch_unwind(|| w3c().inject_context(&received("a=1"), &mut Panics));
    assert!(extracted.is_err() && injected.is_err());
    assert_eq!(sent(&Context::new()), Headers::new());
    assert!(!w3c().extract(&HashMap::new()).has_active_span());
    assert_eq!(sent(&cx), headers("a=1"));
}
