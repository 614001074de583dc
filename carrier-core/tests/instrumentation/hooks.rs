//! What a program adds to spans: hooks, captured headers, its own error types.

use std::error::Error;
use std::iter::successors;
use std::sync::{Arc, Mutex};

use carrier_core::instrumentation::{
    Destination, Details, Ended, Failure, Hook, IncomingMessage, MessageParts, MessageView, OperationType,
    OutgoingMessage, StartTime,
};
use carrier_core::{FieldValue, TextMapReader};
use opentelemetry::trace::TraceContextExt as _;
use opentelemetry::{Array, KeyValue, StringValue, Value};
use opentelemetry_sdk::trace::{Sampler, SamplingDecision};

use crate::seen::Seen;
use crate::support::{Asking, block_on, from_orders, headers, orders, sent};
use crate::telemetry::Telemetry;

/// Sets an attribute at each occasion, and remembers how operations ended.
#[derive(Default, Clone)]
struct Told(Arc<Mutex<Vec<String>>>);

impl Hook for Told {
    fn start(&self, message: &MessageView<'_>, attributes: &mut Details<'_>) {
        let tenant = message.header("X-Tenant").and_then(|value| value.as_str()).unwrap_or("none");
        // Both come from a configuration.
        attributes.set(String::from("acme.tenant"), tenant.to_owned());
    }

    fn recorded(&self, message: &MessageView<'_>, details: &mut Details<'_>) {
        let mut names = Vec::new();
        message.for_each_header(|name, _| names.push(name.to_owned()));
        details.set("acme.headers", names.join(" "));
        details.set("acme.key", message.parts().key.map_or(-1, |key| key.len() as i64));
    }

    fn end(&self, ended: &Ended<'_>, details: &mut Details<'_>) {
        let outcome = match ended.outcome {
            Some(Ok(())) => "ok",
            Some(Err(failure)) => failure.error_type(),
            None => "unknown",
        };
        details.set("acme.outcome", outcome.to_owned());
        let span = ended.context.span().span_context().span_id();
        self.0.lock().unwrap().push(format!("{} {outcome} {span}", ended.operation.as_str()));
    }
}

/// A message with a key.
struct Keyed {
    key: &'static [u8],
    is_hidden: bool,
}

fn keyed(is_hidden: bool) -> Keyed {
    Keyed { key: b"person-17", is_hidden }
}

impl Keyed {
    fn parts(&self) -> MessageParts<'_> {
        let mut parts = MessageParts::default();
        parts.key = Some(self.key);
        parts.is_key_hidden = self.is_hidden;
        parts.body = Some(b"body");
        parts
    }
}

impl OutgoingMessage for Keyed {
    fn destination(&self) -> Destination {
        orders()
    }

    fn parts(&self) -> MessageParts<'_> {
        self.parts()
    }
}

impl IncomingMessage for Keyed {
    fn destination(&self) -> Destination {
        orders()
    }

    fn sent_at(&self) -> Option<std::time::SystemTime> {
        None
    }

    fn parts(&self) -> MessageParts<'_> {
        self.parts()
    }
}

fn hooked(span: Seen, names: &'static str, key: i64, outcome: &'static str) -> Seen {
    span.with("acme.tenant", "a")
        .with("acme.headers", names)
        .with("acme.key", key)
        .with("acme.outcome", outcome)
}

#[test]
fn a_hook_sees_the_message_of_each_operation_and_its_end() {
    let (telemetry, told) = (Telemetry::new(), Told::default());
    let instrumentation = telemetry.builder().hook(told.clone()).build();
    let keyed = || keyed(false);
    let mut message = headers(&[("x-tenant", "a")]);
    instrumentation.send(keyed(), &mut message, |_| {}).ended(Ok(()));
    let received = headers(&[("x-tenant", "a")]);
    let message = Ok(Some((&keyed(), &received)));
    instrumentation.received(StartTime::now(), orders(), message, |_| {});
    let process = instrumentation.process(keyed(), &received, |_| {});
    process.fail(Failure::new("broken", "it is broken"));
    drop(process);
    let names = "x-tenant";
    let expected = [
        hooked(Seen::send("orders"), names, 9, "ok"),
        hooked(Seen::receive("orders").id(101, 2), names, 9, "ok"),
        hooked(Seen::process("orders").id(102, 3), names, 9, "broken").failed("broken", "it is broken"),
    ];
    assert_eq!(telemetry.seen(), expected);
    let ends = ["send ok 0000000000000001", "receive ok 0000000000000002", "process broken 0000000000000003"];
    assert_eq!(*told.0.lock().unwrap(), ends);
}

#[test]
fn a_sampler_sees_what_a_hook_adds_at_the_start_and_nothing_else() {
    let sampler = Asking::and(SamplingDecision::RecordAndSample);
    let telemetry = Telemetry::sampled_by(sampler.clone());
    let instrumentation = telemetry.builder().hook(Told::default()).build();
    instrumentation.send(orders, &mut headers(&[("x-tenant", "a")]), |_| {}).ended(Ok(()));
    let asked = sampler.asked();
    let own = asked[0].attributes.iter().filter(|(key, _)| key.starts_with("acme."));
    assert_eq!(own.cloned().collect::<Vec<_>>(), [("acme.tenant".to_owned(), "a".into())]);
}

#[test]
fn a_hook_is_told_of_an_end_that_is_not_recorded() {
    let (telemetry, told) = (Telemetry::sampled_by(Sampler::AlwaysOff), Told::default());
    let instrumentation = telemetry.builder().metrics(false).hook(told.clone()).build();
    instrumentation.send(orders, &mut headers(&[]), |_| {}).ended(Err(Failure::new("broken", "")));
    drop(instrumentation.send(orders, &mut headers(&[]), |_| {}));
    drop(telemetry.builder().metrics(false).skip_unsampled(true).hook(told.clone()).build().process(
        from_orders(),
        &headers(&[("traceparent", &crate::support::traceparent(7, 8, 0))]),
        |_| {},
    ));
    let ends =
        ["send broken 0000000000000001", "send unknown 0000000000000002", "process ok 0000000000000008"];
    assert_eq!(*told.0.lock().unwrap(), ends);
    assert_eq!(telemetry.seen(), []);
}

#[test]
fn a_hook_that_panics_harms_neither_the_message_nor_the_other_hooks() {
    struct Broken;
    impl Hook for Broken {
        fn start(&self, _: &MessageView<'_>, _: &mut Details<'_>) {
            panic!("start");
        }
        fn recorded(&self, _: &MessageView<'_>, details: &mut Details<'_>) {
            details.set("acme.before", true);
            panic!("recorded");
        }
        fn end(&self, _: &Ended<'_>, _: &mut Details<'_>) {
            panic!("end");
        }
    }
    let telemetry = Telemetry::new();
    let instrumentation = telemetry.builder().hook(Broken).hook(Told::default()).build();
    let mut message = headers(&[("x-tenant", "a")]);
    instrumentation.send(orders, &mut message, |_| {}).ended(Ok(()));
    assert_eq!(message.iter().filter(|(name, _)| name == "traceparent").count(), 1);
    let expected = hooked(Seen::send("orders"), "x-tenant", -1, "ok").with("acme.before", true);
    assert_eq!(telemetry.seen(), [expected]);
}

fn strings(values: &[&str]) -> Value {
    let values = values.iter().map(|value| StringValue::from((*value).to_owned()));
    Value::Array(Array::String(values.collect()))
}

#[test]
fn captured_headers_are_arrays_on_send_receive_and_process_spans() {
    let telemetry = Telemetry::new();
    let instrumentation = telemetry.builder().capture_headers(["X-Tenant", "x-none"]).build();
    let tenants = || headers(&[("x-tenant", "a"), ("X-TENANT", "b")]);
    instrumentation.send(orders, &mut tenants(), |_| {}).ended(Ok(()));
    let message = Ok(Some((&from_orders(), &tenants())));
    instrumentation.received(StartTime::now(), orders(), message, |_| {});
    drop(instrumentation.process(from_orders(), &tenants(), |_| {}));
    let captured = |span: Seen| span.with("carrier.message.header.x-tenant", strings(&["a", "b"]));
    let expected = [
        captured(Seen::send("orders")),
        captured(Seen::receive("orders").id(101, 2)),
        captured(Seen::process("orders").id(102, 3)),
    ];
    assert_eq!(telemetry.seen(), expected);
}

#[test]
fn captured_headers_and_hooks_are_on_the_links_of_a_batch() {
    let telemetry = Telemetry::new();
    let instrumentation = telemetry.builder().capture_headers(["x-tenant"]).hook(Told::default()).build();
    let with = |tenant: &str| {
        let mut message = sent();
        message.push(("x-tenant".to_owned(), tenant.to_owned()));
        (message, from_orders(), |_: &mut Details<'_>| {})
    };
    drop(instrumentation.process_batch(orders(), [with("a"), with("b")], |_| {}));
    let link = |tenant: &str| {
        [
            KeyValue::new("acme.headers", "traceparent x-tenant"),
            KeyValue::new("acme.key", -1),
            KeyValue::new("carrier.message.header.x-tenant", strings(&[tenant])),
        ]
    };
    let expected = Seen::process("orders").with("messaging.batch.message_count", 2);
    let expected = expected.with("acme.outcome", "ok");
    assert_eq!(telemetry.seen(), [expected.link_with(7, 8, &link("a")).link_with(7, 8, &link("b"))]);
}

#[test]
fn the_contexts_own_headers_and_a_hidden_key_are_never_captured() {
    let captured = |is_hidden| {
        let telemetry = Telemetry::new();
        let names = ["traceparent", "TraceState", "baggage", "x-person"];
        let instrumentation = telemetry.builder().capture_headers(names).build();
        let mut message = sent();
        message.push(("tracestate".to_owned(), "a=1".to_owned()));
        message.push(("baggage".to_owned(), "a=1".to_owned()));
        message.push(("x-person".to_owned(), "person-17".to_owned()));
        drop(instrumentation.process(keyed(is_hidden), &message, |_| {}));
        telemetry.seen()
    };
    let span = Seen::process("orders").id(7, 1).child_of(8);
    assert_eq!(captured(true), std::slice::from_ref(&span));
    assert_eq!(captured(false), [span.with("carrier.message.header.x-person", strings(&["person-17"]))]);
}

#[test]
fn a_hidden_key_that_is_no_text_is_not_captured_in_digits() {
    struct Bytes(&'static [u8]);
    impl TextMapReader for Bytes {
        fn entries(&self) -> impl Iterator<Item = (&str, FieldValue<'_>)> {
            [("x-person", FieldValue::Bytes(self.0))].into_iter()
        }
    }
    let captured = |is_hidden| {
        let telemetry = Telemetry::new();
        let instrumentation = telemetry.builder().capture_headers(["x-person"]).build();
        let message = Keyed { key: b"\xff\x01", is_hidden };
        drop(instrumentation.process(message, &Bytes(b"\xff\x01"), |_| {}));
        telemetry.seen()
    };
    assert_eq!(captured(true), [Seen::process("orders")]);
    let shown = Seen::process("orders").with("carrier.message.header.x-person", strings(&["0xff01"]));
    assert_eq!(captured(false), [shown]);
}

#[test]
fn a_captured_value_is_cut_at_256_bytes_and_there_are_at_most_16() {
    let telemetry = Telemetry::new();
    let instrumentation = telemetry.builder().capture_headers(["long", "many"]).build();
    let mut message = headers(&[("long", &format!("x{}", "ß".repeat(128)))]);
    message.extend((0..20).map(|number| ("many".to_owned(), number.to_string())));
    drop(instrumentation.process(from_orders(), &message, |_| {}));
    let [span] = telemetry.ended().try_into().unwrap();
    let value = |name: &str| {
        let key = format!("carrier.message.header.{name}");
        match &span.attributes.iter().find(|attribute| attribute.key.as_str() == key).unwrap().value {
            Value::Array(Array::String(values)) => values.clone(),
            other => panic!("{other:?}"),
        }
    };
    let long = value("long");
    assert_eq!((long.len(), long[0].as_str()), (1, format!("x{}…", "ß".repeat(126)).as_str()));
    assert_eq!(value("many").len(), 16);
}

#[test]
fn the_bodys_size_is_on_spans_only_if_it_is_wanted() {
    for is_wanted in [false, true] {
        let telemetry = Telemetry::new();
        let instrumentation = telemetry.builder().body_size(is_wanted).build();
        let keyed = || keyed(true);
        instrumentation.send(keyed(), &mut headers(&[]), |_| {}).ended(Ok(()));
        drop(instrumentation.process(keyed(), &headers(&[]), |_| {}));
        let expected = [Seen::send("orders"), Seen::process("orders").id(101, 2)];
        let with = |span: Seen| span.with("messaging.message.body.size", 4);
        assert_eq!(telemetry.seen(), if is_wanted { expected.map(with) } else { expected });
    }
}

#[test]
fn a_classifier_names_an_error_also_in_a_box_and_below_anyhows_context() {
    use anyhow::Context as _;
    let telemetry = Telemetry::new();
    let builder = telemetry.builder().error_types(|error| {
        let mut chain = successors(Some(error), |error| (*error).source());
        let io = chain.find_map(|error| error.downcast_ref::<std::io::Error>())?;
        Some(format!("io::{:?}", io.kind()).into())
    });
    let instrumentation = builder.build();
    let io = || std::io::Error::from(std::io::ErrorKind::NotFound);
    let process = || instrumentation.process(from_orders(), &headers(&[]), |_| {});
    let _ = block_on(process().run(async { Err::<(), _>(io()) }));
    let _ = block_on(process().run(async { Err::<(), Box<dyn Error>>(io().into()) }));
    let _ = block_on(process().run(async { Err::<(), _>(io()).context("storing").context("billing") }));
    let _ = block_on(process().run(async { "x".parse::<u8>() }));
    let types = telemetry.ended().into_iter().map(|span| {
        let attribute = span.attributes.iter().find(|attribute| attribute.key.as_str() == "error.type");
        attribute.unwrap().value.to_string()
    });
    let expected = ["io::NotFound", "io::NotFound", "io::NotFound", "core::num::error::ParseIntError"];
    assert_eq!(types.collect::<Vec<_>>(), expected);
}

#[test]
fn a_classifier_that_panics_keeps_the_default() {
    let telemetry = Telemetry::new();
    let instrumentation = telemetry.builder().error_types(|_| panic!("classifier")).build();
    let process = instrumentation.process(from_orders(), &headers(&[]), |_| {});
    let failed = block_on(process.run(async { "x".parse::<u8>() }));
    assert!(failed.is_err());
    let expected =
        Seen::process("orders").failed("core::num::error::ParseIntError", "invalid digit found in string");
    assert_eq!(telemetry.seen(), [expected]);
}

#[test]
fn the_operation_of_a_view_is_that_of_the_span() {
    struct Operations(Arc<Mutex<Vec<OperationType>>>);
    impl Hook for Operations {
        fn recorded(&self, message: &MessageView<'_>, _: &mut Details<'_>) {
            assert_eq!(message.destination().name(), Some("orders"));
            self.0.lock().unwrap().push(message.operation());
        }
    }
    let (telemetry, operations) = (Telemetry::new(), Arc::default());
    let instrumentation = telemetry.builder().hook(Operations(Arc::clone(&operations))).build();
    instrumentation.send(orders, &mut headers(&[]), |_| {}).ended(Ok(()));
    drop(instrumentation.process(from_orders(), &headers(&[]), |_| {}));
    assert_eq!(*operations.lock().unwrap(), [OperationType::Send, OperationType::Process]);
}
