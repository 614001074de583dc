//! A request whose reply the program waits for.

use std::time::Duration;

use carrier_core::instrumentation::{
    Call, Cancellation, Destination, Failure, Filter, MessageParts, OutgoingMessage, Relation,
};
use opentelemetry::trace::{Status, TraceContextExt as _, TraceFlags};

use crate::measured::{text, told};
use crate::seen::Seen;
use crate::support::{Headers, block_on, from_orders, headers, orders, poll, remote, traceparent};
use crate::telemetry::Telemetry;

/// A request that says where its reply is expected.
struct Request;

impl OutgoingMessage for Request {
    fn destination(&self) -> Destination {
        orders()
    }

    fn parts(&self) -> MessageParts<'_> {
        let mut parts = MessageParts::default();
        (parts.reply_to, parts.conversation_id) = (Some("replies"), Some("17"));
        parts
    }
}

fn call(telemetry: &Telemetry) -> (Call, Headers) {
    let mut request = headers(&[]);
    (telemetry.instrumentation().call(Request, &mut request, |_| {}), request)
}

fn requested() -> Seen {
    let span = Seen::request("orders");
    span.with("messaging.message.conversation_id", "17").with("carrier.reply.destination", "replies")
}

#[test]
fn a_call_and_the_responder_and_its_reply_are_one_trace() {
    let telemetry = Telemetry::new();
    let instrumentation = telemetry.instrumentation();
    let (call, request) = {
        let _current = remote(5, 6, TraceFlags::SAMPLED).attach();
        call(&telemetry)
    };
    assert_eq!(request, headers(&[("traceparent", &traceparent(5, 1, 1))]));
    let mut reply = headers(&[]);
    let answered: Result<u8, String> = block_on(call.run(async {
        let process = instrumentation.process(from_orders(), &request, |_| {});
        block_on(process.run(async {
            instrumentation.send(|| Destination::new("replies"), &mut reply, |_| {}).ended(Ok(()));
        }));
        Ok(42)
    }));
    assert_eq!((answered, telemetry.seen().len()), (Ok(42), 3));
    drop(call);
    assert_eq!(reply, headers(&[("traceparent", &traceparent(5, 3, 1))]));
    assert_eq!(telemetry.seen(), [] as [Seen; 0], "it has ended");
}

#[test]
fn its_span_is_a_clients_with_the_replys_destination_and_the_conversation() {
    let telemetry = Telemetry::new();
    let instrumentation = telemetry.instrumentation();
    let (call, request) = call(&telemetry);
    let process = instrumentation.process(from_orders(), &request, |_| {});
    drop(process);
    block_on(call.run(async {}));
    let responder = Seen::process("orders").id(100, 2).child_of(1);
    // The test's own current span is none, so the responder is linked to nothing.
    assert_eq!(telemetry.seen(), [responder, requested()]);
}

#[test]
fn a_request_that_is_sent_with_a_span_of_its_own_counts_once_and_links_to_nothing() {
    let telemetry = Telemetry::new();
    let instrumentation = telemetry.instrumentation();
    let (call, mut request) = call(&telemetry);
    block_on(call.run(async {
        // Also below a span of the program's own.
        let outer = call
            .context()
            .with_remote_span_context(remote(100, 77, TraceFlags::SAMPLED).span().span_context().clone());
        let _current = outer.attach();
        instrumentation.send(orders, &mut request, |_| {}).ended(Ok(()));
        instrumentation.send(orders, &mut headers(&[]), |_| {}).ended(Ok(()));
    }));
    assert_eq!(request, headers(&[("traceparent", &traceparent(100, 2, 1))]));
    let below = |id| Seen::send("orders").id(100, id).child_of(77);
    assert_eq!(telemetry.seen(), [below(2), below(3), requested()]);
    let sent = telemetry.measured_by("messaging.client.sent.messages").into_iter();
    let sent: Vec<_> = sent.map(|sent| sent.told()).collect();
    let of = |name, count| {
        let attributes = [
            text("messaging.system", "test"),
            text("messaging.operation.name", name),
            text("messaging.destination.name", "orders"),
        ];
        told("messaging.client.sent.messages", &attributes, count)
    };
    // The second message of the program is another one.
    assert_eq!(sent.len(), 2);
    assert!(sent.contains(&of("request", 1)) && sent.contains(&of("send", 1)), "{sent:?}");
    let durations = telemetry.measured_by("messaging.client.operation.duration").into_iter();
    assert_eq!(durations.map(|duration| duration.count).sum::<u64>(), 3);
}

#[test]
fn a_call_fails_with_an_error_a_panic_and_a_cancellation() {
    let telemetry = Telemetry::new();
    let status = |telemetry: &Telemetry| {
        let [span] = telemetry.ended().try_into().unwrap();
        (span.status, span.attributes.iter().find(|pair| pair.key.as_str() == "error.type").cloned())
    };
    let failed = |error_type, description| (Status::error(description), Some(text("error.type", error_type)));

    block_on(call(&telemetry).0.run(async { Err::<(), _>("no answer") })).unwrap_err();
    assert_eq!(status(&telemetry), failed("&str", "no answer"));

    let call_of = || call(&telemetry).0;
    let panics = || block_on(call_of().run(async { assert_eq!(1, 2, "of the test") }));
    std::panic::catch_unwind(std::panic::AssertUnwindSafe(panics)).unwrap_err();
    assert_eq!(status(&telemetry), failed("panic", "the handler panicked"));

    {
        let (call, _) = call(&telemetry);
        let mut waiting = Box::pin(call.run(std::future::pending::<()>()));
        assert!(poll(waiting.as_mut()).is_pending());
    }
    let (cancelled, error_type) = status(&telemetry);
    assert!(matches!(cancelled, Status::Error { .. }), "{cancelled:?}");
    assert_eq!(error_type, Some(text("error.type", "cancelled")));

    let (call, _) = call(&telemetry);
    call.fail(Failure::new("timeout", "no answer in a second"));
    drop(call);
    assert_eq!(status(&telemetry), failed("timeout", "no answer in a second"));
}

#[test]
fn a_cancelled_call_is_no_failure_if_that_is_chosen_and_one_without_a_span_still_runs() {
    let telemetry = Telemetry::new();
    let unset = telemetry.builder().cancellation(Cancellation::Unset).build();
    let call = unset.call(Request, &mut headers(&[]), |_| {});
    drop(Box::pin(call.run(std::future::pending::<()>())));
    drop(call);
    assert_eq!(telemetry.seen(), [requested()]);

    let skipping = telemetry.builder().filter(|_| Filter::Skip).build();
    let mut request = headers(&[]);
    assert_eq!(block_on(skipping.call(Request, &mut request, |_| {}).run(async { 42 })), 42);
    assert_eq!((request, telemetry.seen().len()), (headers(&[]), 0));
}

#[test]
fn a_rule_links_replies_and_keeps_requests_in_the_trace() {
    struct Received(Option<&'static str>);
    impl carrier_core::instrumentation::IncomingMessage for Received {
        fn destination(&self) -> Destination {
            orders()
        }

        fn sent_at(&self) -> Option<std::time::SystemTime> {
            Some(std::time::SystemTime::now() - Duration::from_secs(1))
        }

        fn parts(&self) -> MessageParts<'_> {
            let mut parts = MessageParts::default();
            (parts.reply_to, parts.conversation_id) = (self.0, Some("17"));
            parts
        }
    }
    let telemetry = Telemetry::new();
    let rule = Relation::rule(|message| match message.is_reply() {
        true => Relation::Link,
        false => Relation::Parent,
    });
    let instrumentation = telemetry.builder().relation(rule).metrics(false).build();
    let trace = |reply_to| {
        let message = headers(&[("traceparent", &traceparent(7, 8, 1))]);
        drop(instrumentation.process(Received(reply_to), &message, |_| {}));
        let [span] = telemetry.ended().try_into().unwrap();
        (span.span_context.trace_id() == 7.into(), span.links.links.len())
    };
    assert_eq!(trace(Some("replies")), (true, 0));
    assert_eq!(trace(None), (false, 1));
}
