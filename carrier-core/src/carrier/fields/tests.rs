use opentelemetry::Context;
use opentelemetry::propagation::text_map_propagator::FieldIter;
use opentelemetry::propagation::{Extractor, TextMapPropagator};

use super::*;

#[derive(Debug)]
struct Declares(Vec<String>);

impl TextMapPropagator for Declares {
    fn inject_context(&self, _: &Context, _: &mut dyn Injector) {}

    fn extract_with_context(&self, cx: &Context, _: &dyn Extractor) -> Context {
        cx.clone()
    }

    fn fields(&self) -> FieldIter<'_> {
        FieldIter::new(&self.0)
    }
}

fn owned((key, value): (&str, &str)) -> (String, String) {
    (key.to_owned(), value.to_owned())
}

fn added(mut fields: Fields<'_>) -> Vec<(String, String)> {
    fields.drain().map(|(key, value)| (key.into_owned(), value.take_string())).collect()
}

#[test]
fn an_old_copy_is_recognised_in_any_case() {
    let propagator = Declares(vec!["traceparent".into(), "X-B3-TraceId".into()]);
    let mut fields = Fields::of(&propagator);
    fields.set("traceparent", "new".into());
    fields.set("x-b3-traceid", "old".into());
    fields.set("X-B3-TraceId", "new".into());
    for name in ["traceparent", "Traceparent", "x-b3-traceid", "X-B3-TRACEID"] {
        assert!(fields.replaces(name), "{name}");
    }
    assert!(fields.adds("traceparent") && !fields.adds("Traceparent"));
    assert_eq!(fields.additions(), 2);
}

#[test]
fn a_value_is_the_same_as_text_and_as_bytes() {
    let text = TraceParentText(*b"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01");
    let parent = || FieldText(Text::TraceParent(text));
    let values = || [FieldText::default(), parent(), "a=1".to_owned().into(), String::new().into()];
    for (mut value, mut other) in values().into_iter().zip(values()) {
        assert_eq!(value.as_str().as_bytes(), value.as_bytes());
        assert_eq!(value.is_empty(), value.as_str().is_empty());
        assert_eq!(value.take_string().into_bytes(), other.take_bytes());
    }
}

#[test]
fn a_field_that_was_not_set_is_removed_and_not_added() {
    let propagator = Declares(vec!["traceparent".into(), "tracestate".into()]);
    let mut fields = Fields::of(&propagator);
    fields.set("traceparent", "new".into());
    assert!(fields.replaces("traceparent") && fields.replaces("tracestate"));
    assert!(fields.adds("traceparent") && !fields.adds("tracestate"));
    assert!(!fields.replaces("user") && !fields.adds("user"));
    assert_eq!(added(fields), [("traceparent", "new")].map(owned));
}

#[test]
fn a_key_that_the_propagator_did_not_declare_is_replaced_too() {
    let mut fields = Fields::default();
    fields.set("x-undeclared", "1".into());
    assert!(fields.replaces("x-undeclared"));
    assert_eq!(fields.names().to_vec(), ["x-undeclared"]);
}

#[test]
fn of_a_new_message_only_what_was_not_declared_may_be_replaced() {
    let propagator = Declares(vec!["traceparent".into(), "b3".into()]);
    let mut fields = Fields::of(&propagator);
    assert!(fields.may_replace());
    fields.set_new();
    fields.set("traceparent", "new".into());
    fields.set("b3", "new".into());
    assert!(!fields.may_replace() && !fields.replaces("traceparent") && !fields.replaces("b3"));
    for undeclared in ["tracestate", "x-undeclared"] {
        let mut fields = Fields::of(&propagator);
        fields.set_new();
        fields.set(undeclared, "new".into());
        assert!(fields.may_replace() && fields.replaces(undeclared) && !fields.replaces("b3"));
    }
}

#[test]
fn a_key_set_twice_is_added_once_with_the_later_value() {
    let mut fields = Fields::default();
    fields.set("b3", "old".into());
    fields.set("b3", "new".into());
    assert_eq!(added(fields), [("b3", "new")].map(owned));
}

#[test]
fn what_no_header_may_hold_is_left_out() {
    let mut fields = Fields::default();
    fields.set("baggage", "a=1;x\r\nevil: 1".into());
    fields.set("bad key", "v".into());
    fields.set("", "v".into());
    fields.set("tracestate", String::new());
    fields.set("umlaut", "ü".into());
    assert!(fields.additions() == 0 && fields.names().is_empty() && fields.is_refused());
}
