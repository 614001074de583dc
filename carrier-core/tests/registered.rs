//! What happens where the application registered the SDK's propagators, which are laxer than ours.

use std::sync::Once;

use opentelemetry::baggage::BaggageExt;
use opentelemetry::global::set_text_map_propagator;
use opentelemetry::propagation::TextMapCompositePropagator;
use opentelemetry::trace::noop::NoopTextMapPropagator;
use opentelemetry::trace::{SpanContext, TraceContextExt, TraceFlags};
use opentelemetry::{Context, KeyValue};
use opentelemetry_sdk::propagation::{BaggagePropagator, TraceContextPropagator};

const PARENT: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

type Headers = Vec<(String, String)>;

fn headers(pairs: &[(&str, &str)]) -> Headers {
    static REGISTER: Once = Once::new();
    REGISTER.call_once(|| {
        set_text_map_propagator(TextMapCompositePropagator::new(vec![
            // Answers with the current context, whatever it is given.
            Box::new(NoopTextMapPropagator::new()),
            Box::new(TraceContextPropagator::new()),
            Box::new(BaggagePropagator::new()),
        ]));
    });
    pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
}

fn span(trace: u128) -> Context {
    let span = SpanContext::new(trace.into(), 1.into(), TraceFlags::SAMPLED, true, Default::default());
    Context::new().with_remote_span_context(span)
}

#[test]
fn its_fields_are_written_and_an_empty_tracestate_is_not() {
    let mut sent = headers(&[("tracestate", "old=1"), ("user", "1")]);
    carrier_core::inject(&span(7).with_baggage([KeyValue::new("k", "v")]), &mut sent);
    let parent = "00-00000000000000000000000000000007-0000000000000001-01";
    assert_eq!(sent, headers(&[("user", "1"), ("traceparent", parent), ("baggage", "k=v")]));
}

#[test]
fn without_a_span_and_baggage_its_old_fields_go() {
    let mut sent =
        headers(&[("traceparent", PARENT), ("user", "1"), ("tracestate", "a=1"), ("baggage", "k=v")]);
    carrier_core::inject(&Context::new(), &mut sent);
    assert_eq!(sent, headers(&[("user", "1")]));
}

#[test]
fn what_it_would_accept_and_the_specification_does_not_is_no_context() {
    for lax in
        ["00-7-1-01", "00-+af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", &format!("{PARENT}\n")]
    {
        let received = headers(&[("traceparent", lax)]);
        assert!(!carrier_core::extract(&received).has_active_span(), "{lax:?}");
    }
}

#[test]
fn it_sees_repeated_lists_joined() {
    let received = headers(&[
        ("traceparent", PARENT),
        ("tracestate", "a=1"),
        ("baggage", "x=1"),
        ("tracestate", "b=2"),
        ("baggage", "y=2"),
    ]);
    let cx = carrier_core::extract(&received);
    assert_eq!(cx.span().span_context().trace_state().header(), "a=1,b=2");
    assert_eq!(cx.baggage().len(), 2);
}

#[test]
fn a_message_without_a_context_does_not_get_the_ambient_one() {
    let _guard = span(9).with_baggage([KeyValue::new("k", "v")]).attach();
    let cx = carrier_core::extract(&headers(&[("user", "1")]));
    assert!(!cx.has_active_span());
    assert!(cx.baggage().is_empty());
}

#[test]
fn the_ambient_context_is_back_after_a_read() {
    let _guard = span(9).attach();
    let _ = carrier_core::extract(&headers(&[("traceparent", PARENT)]));
    assert_eq!(Context::current().span().span_context().trace_id(), 9.into());
}
