//! What happens where the application registered no propagator; nothing in this binary may register one.

#![allow(clippy::expect_used, reason = "a test fails by panicking")]

use std::collections::HashMap;
use std::process::Command;

use opentelemetry::baggage::BaggageExt;
use opentelemetry::trace::TraceContextExt;
use opentelemetry::{Context, KeyValue};

const PARENT: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

fn received() -> HashMap<String, String> {
    [("traceparent", PARENT), ("tracestate", "vendor=1"), ("baggage", "k=v")]
        .map(|(key, value)| (key.to_owned(), value.to_owned()))
        .into()
}

fn injected(cx: &Context) -> HashMap<String, String> {
    let mut headers = HashMap::new();
    carrier_core::inject(cx, &mut headers);
    headers
}

/// Runs the named test of this binary again, in a process of its own with `OTEL_PROPAGATORS` set: the variable is read once.
fn in_a_process_with(propagators: &str, test: &str, assertions: impl FnOnce()) {
    if std::env::var("OTEL_PROPAGATORS").is_ok_and(|set| set == propagators) {
        return assertions();
    }
    let program = std::env::current_exe().expect("this test binary has a path");
    let output = Command::new(program)
        .args([test, "--exact"])
        .env("OTEL_PROPAGATORS", propagators)
        .output()
        .expect("this test binary runs");
    let printed = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && printed.contains("1 passed"), "{printed}");
}

#[test]
fn trace_context_is_carried_and_baggage_is_not() {
    in_a_process_with("", "trace_context_is_carried_and_baggage_is_not", || {
        let cx = carrier_core::extract(&received());
        assert_eq!(cx.span().span_context().trace_state().get("vendor"), Some("1"));
        assert!(cx.baggage().is_empty());
        let sent = injected(&cx.with_baggage([KeyValue::new("k", "v")]));
        let mut expected = received();
        expected.remove("baggage");
        assert_eq!(sent, expected);
    });
}

#[test]
fn a_baggage_header_of_the_users_is_left_alone() {
    in_a_process_with("", "a_baggage_header_of_the_users_is_left_alone", || {
        let mut headers = received();
        carrier_core::inject(&Context::new(), &mut headers);
        assert_eq!(headers, HashMap::from([("baggage".to_owned(), "k=v".to_owned())]));
    });
}

#[test]
fn the_variable_turns_baggage_on_and_trace_context_off() {
    in_a_process_with("baggage", "the_variable_turns_baggage_on_and_trace_context_off", || {
        let cx = carrier_core::extract(&received());
        assert!(!cx.has_active_span());
        assert_eq!(cx.baggage().get("k").map(|value| value.as_str()), Some("v"));
        assert_eq!(injected(&cx), HashMap::from([("baggage".to_owned(), "k=v".to_owned())]));
    });
}

#[test]
fn the_variable_turns_all_off() {
    in_a_process_with("none", "the_variable_turns_all_off", || {
        assert!(!carrier_core::extract(&received()).has_active_span());
        let mut headers = received();
        carrier_core::inject(&Context::new(), &mut headers);
        assert_eq!(headers, received());
    });
}
