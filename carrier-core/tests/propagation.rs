//! The choices that `Propagation` gives, with our own propagator and with others.
#![cfg(all(feature = "testing", feature = "http"))]

use std::collections::HashMap;

use carrier_core::{
    Budget, Conflict, DropReason, Existing, FieldNames, FieldValue, Fields, InjectionOutcome, MessageSize,
    Propagation, TextMapCarrier, TextMapReader, Trust, W3c, allow_keys, testing, w3c,
};
use http::{HeaderMap, HeaderName, HeaderValue};
use opentelemetry::baggage::{BaggageExt, KeyValueMetadata};
use opentelemetry::propagation::text_map_propagator::FieldIter;
use opentelemetry::propagation::{Extractor, Injector, TextMapCompositePropagator, TextMapPropagator};
use opentelemetry::trace::{SpanContext, TraceContextExt, TraceFlags, TraceState};
use opentelemetry::{Context, KeyValue};
use opentelemetry_sdk::propagation::{BaggagePropagator, TraceContextPropagator};
use proptest::prelude::*;

type Headers = Vec<(String, String)>;

fn headers(pairs: &[(&str, &str)]) -> Headers {
    pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
}

fn value<'a>(headers: &'a Headers, key: &str) -> Option<&'a str> {
    headers.iter().find(|(name, _)| name == key).map(|(_, value)| &**value)
}

fn parent(digit: char) -> String {
    format!("00-{}-{}-01", digit.to_string().repeat(32), digit.to_string().repeat(16))
}

fn with_baggage(pairs: &[(&'static str, &str)]) -> Context {
    let pairs = pairs.iter().map(|(key, value)| KeyValue::new(*key, (*value).to_owned()));
    testing::remote_context().with_baggage(pairs.collect::<Vec<_>>())
}

fn ours() -> carrier_core::PropagationBuilder {
    Propagation::builder().propagator(w3c())
}

#[test]
fn off_touches_nothing_and_reads_nothing() {
    let mut sent = headers(&[("traceparent", &parent('a')), ("user", "1")]);
    let report = Propagation::off().inject(&testing::remote_context(), &mut sent);
    assert_eq!(report.outcome(), InjectionOutcome::Nothing);
    assert_eq!(sent, headers(&[("traceparent", &parent('a')), ("user", "1")]));
    assert!(!Propagation::off().extract(&sent).has_active_span());
}

#[test]
fn a_link_is_no_parent_and_keeps_baggage() {
    let received = headers(&[("traceparent", &parent('a')), ("baggage", "k=v")]);
    let found = ours().trust(Trust::Link).build().inspect(&received);
    assert!(!found.context().has_active_span());
    assert_eq!(found.links()[0].trace_id().to_string(), "a".repeat(32));
    assert_eq!(found.context().baggage().get("k").map(|value| value.as_str()), Some("v"));
    assert_eq!(found.status().label(), "valid");
}

#[test]
fn an_ignored_source_gives_neither_span_nor_baggage_nor_link() {
    let received = headers(&[("traceparent", &parent('a')), ("baggage", "k=v")]);
    let found = ours().trust(Trust::Ignore).build().inspect(&received);
    assert!(!found.context().has_active_span() && found.context().baggage().is_empty());
    assert!(found.links().is_empty());
}

/// `extract` takes a shorter way than `inspect` where there is nothing to say.
#[test]
fn what_is_extracted_is_what_is_inspected_whoever_is_trusted() {
    let received = headers(&[("traceparent", &parent('a')), ("baggage", "tenant=acme,mail=x")]);
    let spans = |cx: &Context| (cx.span().span_context().clone(), cx.baggage().len());
    for trust in [Trust::Parent, Trust::Link, Trust::Ignore] {
        let wrapped = TextMapCompositePropagator::new(vec![Box::new(w3c())]);
        for builder in [ours(), Propagation::builder().propagator(wrapped)] {
            let propagation = builder.trust(trust).baggage_in(allow_keys(["tenant"])).build();
            let (extracted, inspected) = (propagation.extract(&received), propagation.inspect(&received));
            assert_eq!(spans(&extracted), spans(inspected.context()), "{trust:?}");
        }
        let propagation = ours().trust(trust).build();
        let (extracted, inspected) = (propagation.extract(&received), propagation.inspect(&received));
        assert_eq!(spans(&extracted), spans(inspected.context()), "{trust:?}");
    }
}

#[test]
fn an_allow_list_works_in_and_out_and_with_any_propagator() {
    for builder in [ours(), Propagation::builder().propagator(BaggagePropagator::new())] {
        let propagation = builder.baggage_in(allow_keys(["in"])).baggage_out(allow_keys(["out"])).build();
        let cx = propagation.extract(&headers(&[("baggage", "in=1,secret=2")]));
        assert_eq!(cx.baggage().len(), 1);
        let mut sent = Headers::new();
        let report = propagation.inject(&with_baggage(&[("out", "1"), ("secret", "2")]), &mut sent);
        assert_eq!(value(&sent, "baggage"), Some("out=1"));
        let dropped = &report.dropped()[0];
        assert_eq!(
            (&*dropped.field, dropped.members, dropped.reason),
            ("baggage", 1, DropReason::NotAllowed)
        );
    }
}

#[test]
fn a_context_that_is_there_is_replaced_and_reported_by_default() {
    let mut sent = headers(&[("traceparent", &parent('a'))]);
    let cx = testing::remote_context();
    let report = ours().build().inject(&cx, &mut sent);
    assert_eq!(report.existing().map(|old| old.trace_id().to_string()), Some("a".repeat(32)));
    assert_eq!(report.outcome(), InjectionOutcome::Written);
    testing::assert_carries(&sent, &cx);
}

#[test]
fn keep_keeps_a_valid_context_as_it_is_and_replaces_a_bad_one() {
    let propagation = ours().existing(Existing::Keep).build();
    let kept = headers(&[("traceparent", &parent('a')), ("baggage", "k=v")]);
    let mut sent = kept.clone();
    let report = propagation.inject(&testing::remote_context(), &mut sent);
    assert_eq!((report.outcome(), report.existing().is_some(), sent), (InjectionOutcome::Kept, true, kept));
    let (mut sent, cx) = (headers(&[("traceparent", "bad")]), testing::remote_context());
    assert_eq!(propagation.inject(&cx, &mut sent).outcome(), InjectionOutcome::Written);
    testing::assert_carries(&sent, &cx);
}

#[test]
fn a_message_with_any_field_is_left_alone_where_that_is_chosen() {
    let propagation = ours().existing(Existing::LeaveAlone).build();
    let mut sent = headers(&[("tracestate", "bad")]);
    let report = propagation.inject(&testing::remote_context(), &mut sent);
    assert_eq!((report.outcome(), report.existing()), (InjectionOutcome::LeftAlone, None));
    assert_eq!(sent, headers(&[("tracestate", "bad")]));
    let mut fresh = headers(&[("user", "1")]);
    assert_eq!(
        propagation.inject(&testing::remote_context(), &mut fresh).outcome(),
        InjectionOutcome::Written
    );
}

#[test]
fn the_conflict_setting_overrides_the_carriers_default() {
    let received = headers(&[("traceparent", &parent('a')), ("traceparent", &parent('b'))]);
    let restart = ours().build().inspect(&received);
    assert!(!restart.context().has_active_span());
    assert_eq!(restart.links().len(), 2);
    let last = ours().conflict(Conflict::Last).build().inspect(&received);
    assert_eq!(last.context().span().span_context().trace_id().to_string(), "b".repeat(32));
    assert_eq!(last.links()[0].trace_id().to_string(), "a".repeat(32));
    assert_eq!((restart.status().label(), last.status().label()), ("conflicting", "conflicting"));
}

#[test]
fn every_invalid_field_has_a_status_that_names_it() {
    type Case<'a> = (&'a [(&'a str, &'a str)], &'a str, &'a str);
    let cases: &[Case<'_>] = &[
        (&[], "absent", "no context"),
        (&[("traceparent", ""), ("user", "1")], "absent", "no context"),
        (&[("traceparent", "00-0-0-00")], "malformed", "traceparent is malformed: its length is wrong"),
        (&[("traceparent", &parent('a'))], "valid", "a valid context"),
        (
            &[("traceparent", &parent('a')), ("tracestate", "BAD")],
            "malformed",
            "tracestate is malformed: it has a member that is not allowed",
        ),
        (
            &[("traceparent", &parent('a')), ("baggage", "k=v,bad")],
            "malformed",
            "baggage is malformed: it has a member that is not allowed",
        ),
        (&[("traceparent", &parent('0'))], "malformed", "traceparent is malformed: its trace id is zero"),
        (&[("baggage", "k=v")], "valid", "a valid context"),
        (&[("baggage", ",")], "absent", "no context"),
        (&[("tracestate", "a=1")], "absent", "no context"),
        (
            &[("traceparent", &parent('a')), ("traceparent", "x")],
            "conflicting",
            "copies of traceparent differ",
        ),
    ];
    // Our own is asked directly, others through a view; both must say the same.
    let composite = TextMapCompositePropagator::new(vec![Box::new(w3c())]);
    let through_a_view = Propagation::builder().propagator(composite).build();
    for (pairs, label, text) in cases {
        for propagation in [ours().build(), through_a_view.clone()] {
            let found = propagation.inspect(&headers(pairs));
            assert_eq!((found.status().label(), &*found.to_string()), (*label, *text), "{pairs:?}");
        }
    }
}

#[test]
fn a_budget_takes_baggage_first_then_tracestate_and_never_traceparent() {
    let state = TraceState::from_key_value([("a", "1"), ("b", "2")]).unwrap_or_default();
    let span = SpanContext::new(7.into(), 7.into(), TraceFlags::SAMPLED, true, state);
    let cx = Context::new().with_remote_span_context(span).with_baggage([KeyValue::new("k", "v")]);
    let fields = |limit: usize| {
        let mut sent = Headers::new();
        let report = ours().budget(Budget::bytes(limit)).build().inject(&cx, &mut sent);
        let dropped: Vec<_> = report.dropped().iter().map(|dropped| dropped.field.to_string()).collect();
        (value(&sent, "traceparent").is_some(), value(&sent, "tracestate").map(str::to_owned), dropped)
    };
    // 66 for traceparent, 17 for tracestate, 10 for baggage.
    assert_eq!(fields(93), (true, Some("a=1,b=2".to_owned()), vec![]));
    assert_eq!(fields(92), (true, Some("a=1,b=2".to_owned()), vec!["baggage".to_owned()]));
    assert_eq!(fields(82).1, Some("a=1".to_owned()));
    assert_eq!(fields(0), (true, None, vec!["baggage".to_owned(), "tracestate".to_owned()]));
}

#[test]
fn the_stock_baggage_propagator_is_kept_within_w3cs_limits() {
    let values: Vec<_> = (0..64).map(|n| KeyValue::new(format!("k{n}"), "\u{e9}".repeat(60))).collect();
    let mut sent = Headers::new();
    let propagation = Propagation::builder().propagator(BaggagePropagator::new()).build();
    let report = propagation.inject(&Context::new().with_baggage(values), &mut sent);
    let baggage = value(&sent, "baggage").unwrap_or_default();
    assert!(baggage.len() <= 8_192 && baggage.ends_with("%A9"), "{}", baggage.len());
    assert_eq!(report.dropped()[0].members, 64 - baggage.split(',').count());
}

#[test]
fn in_link_mode_the_senders_span_comes_first() {
    let received = headers(&[("traceparent", &parent('a')), ("traceparent", &parent('b'))]);
    let found = ours().trust(Trust::Link).conflict(Conflict::Last).build().inspect(&received);
    let traces: Vec<_> = found.links().iter().map(|span| span.trace_id().to_string()).collect();
    assert_eq!(traces, ["b".repeat(32), "a".repeat(32)]);
}

#[test]
fn of_conflicting_contexts_that_are_there_the_newest_is_reported() {
    let [a, b] = ['a', 'b'].map(parent);
    for (copies, newest) in [([&a, &a, &b], "b"), ([&a, &b, &a], "a")] {
        let mut sent = headers(&copies.map(|copy| ("traceparent", &**copy)));
        let report = ours().build().inject(&testing::remote_context(), &mut sent);
        assert_eq!(report.existing().map(|old| old.trace_id().to_string()), Some(newest.repeat(32)));
    }
}

#[test]
fn the_outcome_says_whether_anything_was_written_or_removed() {
    let outcome = |cx: &Context, mut sent: Headers| ours().build().inject(cx, &mut sent).outcome();
    assert_eq!(outcome(&Context::new(), headers(&[("user", "1")])), InjectionOutcome::Nothing);
    assert_eq!(outcome(&Context::new(), headers(&[("tracestate", "a=1")])), InjectionOutcome::Removed);
    assert_eq!(outcome(&testing::remote_context(), Headers::new()), InjectionOutcome::Written);
}

#[test]
fn members_that_the_propagator_leaves_out_are_reported() {
    let dropped = |builder: carrier_core::PropagationBuilder, cx: &Context| {
        let mut sent = Headers::new();
        let report = builder.build().inject(cx, &mut sent);
        assert!(sent.iter().all(|(_, value)| !value.is_empty()), "{sent:?}");
        report
            .dropped()
            .iter()
            .map(|dropped| (dropped.field.to_string(), dropped.members, dropped.reason))
            .collect::<Vec<_>>()
    };
    let stock = || Propagation::builder().propagator(BaggagePropagator::new());
    let too_long = with_baggage(&[("k", &"\u{e9}".repeat(3_000))]);
    for builder in [ours(), stock()] {
        assert_eq!(dropped(builder, &too_long), [("baggage".to_owned(), 1, DropReason::Budget)]);
    }
    let line_break = KeyValueMetadata::new("k", "v", "p\r\nq");
    let broken = Context::new().with_baggage([line_break]);
    assert_eq!(dropped(stock(), &broken), [("baggage".to_owned(), 1, DropReason::Invalid)]);
    let state = TraceState::from_key_value([("a", "1"), ("b", "x\ny")]).unwrap_or_default();
    let span = SpanContext::new(7.into(), 7.into(), TraceFlags::SAMPLED, true, state);
    let cx = Context::new().with_remote_span_context(span);
    assert_eq!(dropped(ours(), &cx), [("tracestate".to_owned(), 1, DropReason::Invalid)]);
}

/// A message that takes so many bytes, with so many in it that are no headers.
struct Limited {
    headers: Headers,
    body: usize,
    limit: usize,
}

impl TextMapReader for Limited {
    fn entries(&self) -> impl Iterator<Item = (&str, FieldValue<'_>)> {
        self.headers.entries()
    }
}

impl TextMapCarrier for Limited {
    fn replace(&mut self, fields: &mut Fields<'_>) {
        self.headers.replace(fields);
    }

    fn measure(&self, names: &FieldNames<'_>) -> MessageSize {
        let (fields, rest): (Headers, Headers) =
            self.headers.iter().cloned().partition(|(key, _)| names.position(key).is_some());
        let bytes = self.body + rest.iter().map(|(key, value)| key.len() + value.len()).sum::<usize>();
        MessageSize::limited(!fields.is_empty(), bytes, Some(self.limit), |name, value| name.len() + value)
    }
}

#[test]
fn over_the_transports_limit_nothing_is_written_and_the_old_context_goes() {
    let old = headers(&[("traceparent", &parent('a')), ("user", "1")]);
    let mut message = Limited { headers: old, body: 40, limit: 100 };
    let report = ours().build().inject(&testing::remote_context(), &mut message);
    assert_eq!(report.outcome(), InjectionOutcome::NoRoom);
    assert_eq!(message.headers, headers(&[("user", "1")]));
}

/// Says that it writes another field than those it writes: W3C's, and one more where that is asked for.
#[derive(Debug)]
struct Undeclared {
    declares: Vec<String>,
    more: Option<&'static str>,
}

impl Undeclared {
    fn propagation(more: Option<&'static str>) -> Propagation {
        Propagation::builder().propagator(Self { declares: vec!["b3".to_owned()], more }).build()
    }
}

impl TextMapPropagator for Undeclared {
    fn inject_context(&self, cx: &Context, injector: &mut dyn Injector) {
        W3c::trace_context().inject_context(cx, injector);
        if let Some(key) = self.more {
            injector.set(key, "new".into());
        }
    }

    fn extract_with_context(&self, cx: &Context, _: &dyn Extractor) -> Context {
        cx.clone()
    }

    fn fields(&self) -> FieldIter<'_> {
        FieldIter::new(&self.declares)
    }
}

#[test]
fn fields_that_a_propagator_did_not_declare_are_replaced_and_their_old_size_does_not_count() {
    let propagation = Undeclared::propagation(Some("x-undeclared"));
    let old = "o".repeat(100);
    let headers = headers(&[("traceparent", &parent('a')), ("x-undeclared", &old)]);
    let mut message = Limited { headers, body: 0, limit: 100 };
    let report = propagation.inject(&testing::remote_context(), &mut message);
    assert_eq!(report.outcome(), InjectionOutcome::Written);
    assert_eq!(value(&message.headers, "x-undeclared"), Some("new"));
    let keys: Vec<_> = message.headers.entries().map(|(key, _)| key).collect();
    assert_eq!(keys, ["traceparent", "x-undeclared"]);
}

#[test]
fn a_traceparent_that_was_not_declared_replaces_the_old_one() {
    let propagation = Undeclared::propagation(None);
    let mut sent = headers(&[("traceparent", &parent('a'))]);
    propagation.inject(&testing::remote_context(), &mut sent);
    assert_eq!(sent.iter().filter(|(key, _)| key == "traceparent").count(), 1);
}

proptest! {
    #[test]
    fn a_budget_is_kept_and_traceparent_never_lost(
        limit in 0usize..400,
        state in proptest::collection::vec(("[a-z]{1,8}", "[a-z]{1,140}"), 0..5),
        baggage in proptest::collection::hash_map("[a-z]{1,8}", "\\PC{0,40}", 0..5),
    ) {
        let state = TraceState::from_key_value(state).unwrap_or_default();
        let span = SpanContext::new(7.into(), 7.into(), TraceFlags::SAMPLED, true, state);
        let baggage: Vec<_> = baggage.into_iter().map(|(key, value)| KeyValue::new(key, value)).collect();
        let cx = Context::new().with_remote_span_context(span).with_baggage(baggage);
        let mut sent = Headers::new();
        let report = ours().budget(Budget::bytes(limit)).build().inject(&cx, &mut sent);
        let size: usize = sent.iter().map(|(key, value)| key.len() + value.len()).sum();
        prop_assert!(value(&sent, "traceparent").is_some());
        prop_assert!(size <= limit.max("traceparent".len() + 55), "{size} of {limit}");
        prop_assert_eq!(size, report.bytes());
        // What is sent is whole members only, so all of it is read back.
        prop_assert!(!ours().build().inspect(&sent).status().is_invalid());
    }

    #[test]
    fn what_is_read_and_passed_on_is_the_same_to_the_byte(
        flags in 0u8..4,
        state in proptest::collection::btree_map("[a-z0-9][a-z0-9_*/@-]{0,20}", "[!-+--<>-~][ -+--<>-~]{0,20}[!-+--<>-~]", 1..32),
    ) {
        let parent = format!("00-{}-{}-{flags:02x}", "a".repeat(32), "b".repeat(16));
        let list: Vec<_> = state.iter().map(|(key, value)| format!("{key}={value}")).collect();
        let received: HashMap<_, _> = headers(&[("traceparent", &parent), ("tracestate", &list.join(","))]).into_iter().collect();
        let mut sent = HashMap::new();
        let propagation = ours().build();
        propagation.inject(&propagation.extract(&received), &mut sent);
        prop_assert_eq!(sent, received);
    }

    #[test]
    fn where_the_stock_propagator_accepts_what_is_valid_we_agree(
        trace in 1u128.., span in 1u64.., flags in 0u8..2,
        state in proptest::collection::btree_map("[a-z][a-z0-9_*/-]{0,20}", "[!-+--<>-~]{1,20}", 0..8),
    ) {
        let parent = format!("00-{trace:032x}-{span:016x}-{flags:02x}");
        let list: Vec<_> = state.iter().map(|(key, value)| format!("{key}={value}")).collect();
        let received = headers(&[("traceparent", &parent), ("tracestate", &list.join(","))]);
        let stock = Propagation::builder().propagator(TraceContextPropagator::new()).build();
        let span = |propagation: Propagation| propagation.extract(&received).span().span_context().clone();
        prop_assert_eq!(span(ours().build()), span(stock));
    }

    #[test]
    fn a_transports_limit_is_never_crossed_by_us(
        limit in 0usize..600, body in 0usize..400, budget in proptest::option::of(0usize..600),
        state in proptest::collection::vec(("[a-z]{1,8}", "[a-z]{1,140}"), 0..5),
        baggage in proptest::collection::hash_map("[a-z]{1,8}", "\\PC{0,40}", 0..5),
        reused: bool,
    ) {
        let state = TraceState::from_key_value(state).unwrap_or_default();
        let span = SpanContext::new(7.into(), 7.into(), TraceFlags::SAMPLED, true, state);
        let baggage: Vec<_> = baggage.into_iter().map(|(key, value)| KeyValue::new(key, value)).collect();
        let cx = Context::new().with_remote_span_context(span).with_baggage(baggage);
        let old = if reused { headers(&[("traceparent", &parent('a')), ("user", "1")]) } else { headers(&[("user", "1")]) };
        let mut message = Limited { headers: old, body, limit };
        let builder = match budget {
            Some(bytes) => ours().budget(Budget::message(bytes)),
            None => ours(),
        };
        let report = builder.build().inject(&cx, &mut message);
        let size = message.measure(&FieldNames::new(&[])).bytes();
        prop_assert!(size <= budget.unwrap_or(limit).max(body + 5), "{size}");
        prop_assert_eq!(value(&message.headers, "traceparent").is_some(), report.outcome() == InjectionOutcome::Written);
        let fits = body + 5 + 66 <= budget.unwrap_or(limit);
        prop_assert_eq!(report.outcome() == InjectionOutcome::Written, fits);
    }

    #[test]
    fn any_bytes_are_read_without_a_panic_on_both_paths_and_with_the_same_result(
        fields in proptest::collection::vec(
            ("traceparent|tracestate|baggage", proptest::collection::vec(any::<u8>(), 0..80)), 0..6),
        nearly in "0[0-1]-[0-9a-f]{32}-[0-9a-f]{16}-0[0-3]",
        list in "[a-z=,; %0-9]{0,40}",
    ) {
        let mut received = HeaderMap::new();
        let strings = [("traceparent", nearly), ("tracestate", list.clone()), ("baggage", list)];
        let strings = strings.map(|(key, value)| (key.to_owned(), value.into_bytes()));
        for (key, bytes) in fields.into_iter().chain(strings) {
            if let (Ok(name), Ok(value)) = (HeaderName::try_from(key), HeaderValue::from_bytes(&bytes)) {
                received.append(name, value);
            }
        }
        for conflict in [Conflict::Restart, Conflict::Last] {
            let direct = ours().conflict(conflict).build().inspect(&received);
            let view = Propagation::builder().propagator(TextMapCompositePropagator::new(vec![Box::new(w3c())])).conflict(conflict).build().inspect(&received);
            prop_assert_eq!(direct.status(), view.status());
            prop_assert_eq!(direct.links(), view.links());
            let span = |cx: &Context| cx.span().span_context().clone();
            prop_assert_eq!(span(direct.context()), span(view.context()));
            prop_assert_eq!(direct.context().baggage().to_string().len(), view.context().baggage().to_string().len());
        }
    }
}
