//! A program that installs a default. A process has one, so each case runs in a process of its own.
#![cfg(feature = "testing")]
#![allow(clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

use std::collections::HashMap;
use std::process::Command;

use carrier_core::{Budget, Propagation, Trust, W3c, allow_keys, testing, w3c};
use opentelemetry::baggage::BaggageExt;
use opentelemetry::global::{get_text_map_propagator, set_text_map_propagator};
use opentelemetry::propagation::{TextMapCompositePropagator, TextMapPropagator};
use opentelemetry::trace::TraceContextExt;
use opentelemetry::{Context, KeyValue};

type Headers = HashMap<String, String>;

/// Runs the named test of this binary again, in a process of its own.
fn alone(test: &str, assertions: impl FnOnce()) {
    const VARIABLE: &str = "CARRIER_INSTALLED_TEST";
    if std::env::var(VARIABLE).is_ok_and(|set| set == test) {
        return assertions();
    }
    let program = std::env::current_exe().expect("this test binary has a path");
    let output = Command::new(program).args([test, "--exact"]).env(VARIABLE, test).output().expect("it runs");
    let printed = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && printed.contains("1 passed"), "{printed}");
}

fn context() -> Context {
    testing::remote_context().with_baggage([KeyValue::new("tenant", "blue"), KeyValue::new("email", "x")])
}

fn injected(cx: &Context) -> Headers {
    let mut headers = Headers::new();
    carrier_core::inject(cx, &mut headers);
    headers
}

fn registered(cx: &Context) -> Headers {
    let mut headers = Headers::new();
    get_text_map_propagator(|propagator| propagator.inject_context(cx, &mut headers));
    headers
}

#[test]
fn the_free_functions_and_opentelemetry_use_the_installed_propagator() {
    alone("the_free_functions_and_opentelemetry_use_the_installed_propagator", || {
        let before = Propagation::new();
        assert!(!injected(&context()).contains_key("baggage"));
        Propagation::w3c().install().expect("nothing is installed yet");
        let cx = context();
        assert!(injected(&cx).contains_key("baggage"));
        assert_eq!(registered(&cx), injected(&cx));
        testing::assert_carries(&injected(&cx), &cx);
        let mut late = Headers::new();
        before.inject(&cx, &mut late);
        assert_eq!(late, injected(&cx), "a default that was taken before sees what is installed");
    });
}

#[test]
fn a_second_installation_is_an_error_and_changes_nothing() {
    alone("a_second_installation_is_an_error_and_changes_nothing", || {
        Propagation::w3c().install().expect("nothing is installed yet");
        let error = Propagation::off().install().expect_err("one is installed");
        assert!(error.to_string().contains("off"), "{error}");
        assert!(!injected(&context()).is_empty() && !registered(&context()).is_empty());
        assert!(error.into_propagation().inject(&context(), &mut Headers::new()).fields().len() == 0);
    });
}

#[test]
fn the_free_functions_have_the_installed_budget_trust_and_baggage_lists() {
    alone("the_free_functions_have_the_installed_budget_trust_and_baggage_lists", || {
        let propagation = Propagation::builder()
            .propagator(w3c())
            .trust(Trust::Link)
            .baggage_out(allow_keys(["tenant"]))
            .budget(Budget::bytes(100));
        propagation.build().install().expect("nothing is installed yet");
        let cx = context();
        let sent = injected(&cx);
        assert_eq!(sent.get("baggage").map(String::as_str), Some("tenant=blue"));
        assert!(!carrier_core::extract(&sent).has_active_span());
        assert_eq!(carrier_core::inspect(&sent).links().len(), 1);
        let long = cx.with_baggage([KeyValue::new("tenant", "b".repeat(200))]);
        assert_eq!(injected(&long).keys().collect::<Vec<_>>(), ["traceparent"]);
    });
}

#[test]
fn a_configuration_without_a_propagator_uses_the_installed_one() {
    alone("a_configuration_without_a_propagator_uses_the_installed_one", || {
        Propagation::w3c().install().expect("nothing is installed yet");
        let mut headers = Headers::new();
        let own = Propagation::builder().baggage_out(allow_keys(["tenant"])).build();
        own.inject(&context(), &mut headers);
        assert_eq!(headers.get("baggage").map(String::as_str), Some("tenant=blue"));
    });
}

/// A propagator that is not one of ours by its type.
fn foreign() -> TextMapCompositePropagator {
    TextMapCompositePropagator::new(vec![Box::new(W3c::trace_context())])
}

#[test]
fn a_foreign_propagator_is_installed_and_registered() {
    alone("a_foreign_propagator_is_installed_and_registered", || {
        let propagation = Propagation::builder().propagator(foreign()).build();
        propagation.install().expect("nothing is installed yet");
        let cx = context();
        assert_eq!(injected(&cx).keys().collect::<Vec<_>>(), ["traceparent"]);
        assert_eq!(registered(&cx), injected(&cx));
    });
}

#[test]
fn a_propagator_that_is_registered_later_is_not_used_here() {
    alone("a_propagator_that_is_registered_later_is_not_used_here", || {
        Propagation::w3c().install().expect("nothing is installed yet");
        set_text_map_propagator(W3c::trace_context());
        assert!(injected(&context()).contains_key("baggage"));
        assert!(!registered(&context()).contains_key("baggage"));
    });
}

#[test]
fn an_installed_default_without_a_propagator_follows_the_registered_one() {
    alone("an_installed_default_without_a_propagator_follows_the_registered_one", || {
        set_text_map_propagator(w3c());
        let propagation = Propagation::builder().trust(Trust::Ignore).build();
        propagation.install().expect("nothing is installed yet");
        assert!(injected(&context()).contains_key("baggage"));
        assert!(carrier_core::extract(&injected(&context())).baggage().is_empty());
    });
}

#[test]
fn installed_off_switches_the_free_functions_and_the_registered_propagator_off() {
    alone("installed_off_switches_the_free_functions_and_the_registered_propagator_off", || {
        set_text_map_propagator(w3c());
        Propagation::off().install().expect("nothing is installed yet");
        assert!(injected(&context()).is_empty() && registered(&context()).is_empty());
        let sent: Headers = [("traceparent", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01")]
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .into();
        assert!(!carrier_core::extract(&sent).has_active_span());
        assert!(!w3c().extract(&sent).span().span_context().trace_id().to_string().starts_with("00000"));
    });
}
