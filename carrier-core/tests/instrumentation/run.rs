//! How the span of a message that is processed ends, with a future or without one.

use std::cell::Cell;
use std::convert::Infallible;
use std::future::pending;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::{Pin, pin};
use std::task::Poll;

use carrier_core::instrumentation::{Cancellation, Details, Failure, Process};
use opentelemetry::trace::TraceContextExt as _;

use crate::seen::Seen;
use crate::support::{block_on, current_span, from_orders, headers, orders, poll, yielded};
use crate::telemetry::{TRACE, Telemetry};

fn process(telemetry: &Telemetry) -> Process {
    telemetry.instrumentation().process(from_orders(), &headers(&[]), |_| {})
}

async fn panics() {
    panic!("on purpose")
}

fn cancelled() -> Seen {
    Seen::process("orders").failed("cancelled", "the handler was dropped before it was over")
}

fn panicked() -> Seen {
    Seen::process("orders").failed("panic", "the handler panicked")
}

#[test]
fn the_span_is_current_at_every_poll_on_any_thread_and_at_no_other_time() {
    let telemetry = Telemetry::new();
    let process = process(&telemetry);
    let own = process.context().span().span_context().clone();
    let handler = async {
        for _ in 0..8 {
            assert_eq!(current_span(), own);
            yielded().await;
        }
        assert_eq!(current_span(), own);
    };
    let mut running: Pin<Box<dyn Future<Output = ()> + Send>> = Box::pin(process.run(handler));
    let mut polls = 0;
    let mut is_over = false;
    while !is_over {
        // Each poll on a thread of its own.
        is_over = std::thread::scope(|scope| {
            let one = scope.spawn(|| {
                let polled = poll(running.as_mut());
                assert!(!current_span().is_valid(), "the span is left on the thread");
                polled.is_ready()
            });
            one.join().unwrap()
        });
        assert!(!current_span().is_valid());
        polls += 1;
    }
    assert_eq!(polls, 9);
    drop(running);
    assert_eq!(telemetry.seen(), [Seen::process("orders")]);
}

#[test]
fn a_context_around_it_is_back_between_polls() {
    let telemetry = Telemetry::new();
    let outer = telemetry.outer();
    let outer_span = outer.span().span_context().clone();
    let process = process(&telemetry);
    let _around = outer.attach();
    let mut running = pin!(process.run(yielded()));
    while poll(running.as_mut()).is_pending() {
        assert_eq!(current_span(), outer_span);
    }
    assert_eq!(current_span(), outer_span);
}

#[test]
fn it_ends_when_the_future_is_over_and_not_when_the_guard_goes() {
    let telemetry = Telemetry::new();
    let process = process(&telemetry);
    block_on(process.run(yielded()));
    assert_eq!(telemetry.seen(), [Seen::process("orders")]);
    let kept = process.context().clone();
    drop(process);
    drop(kept);
    assert_eq!(telemetry.seen(), []);
}

#[test]
fn an_error_that_a_handler_gives_back_fails_the_span() {
    let telemetry = Telemetry::new();
    let output = block_on(process(&telemetry).run(async { "x".parse::<u8>() }));
    assert!(output.is_err(), "it is given back");
    let expected = ("core::num::error::ParseIntError", "invalid digit found in string");
    assert_eq!(telemetry.seen(), [Seen::process("orders").failed(expected.0, expected.1)]);
    block_on(process(&telemetry).run(async { Ok::<_, Infallible>(()) })).unwrap();
    assert_eq!(telemetry.seen(), [Seen::process("orders").id(TRACE + 1, 2)]);
}

#[test]
fn a_handler_that_panics_fails_the_span_and_leaves_nothing_attached() {
    let telemetry = Telemetry::new();
    let process = process(&telemetry);
    let kept = process.context().clone();
    let handler = async {
        yielded().await;
        panics().await;
    };
    let unwound = catch_unwind(AssertUnwindSafe(|| block_on(process.run(handler))));
    assert!(unwound.is_err());
    assert!(!current_span().is_valid());
    assert_eq!(telemetry.seen(), [panicked()]);
    drop((process, kept));
    assert_eq!(telemetry.seen(), []);
}

#[test]
fn a_future_that_is_dropped_half_way_is_cancelled() {
    let telemetry = Telemetry::new();
    let process = process(&telemetry);
    let kept = process.context().clone();
    {
        let mut running = pin!(process.run(pending::<()>()));
        assert!(poll(running.as_mut()).is_pending());
        assert_eq!(telemetry.seen(), []);
    }
    assert_eq!(telemetry.seen(), [cancelled()]);
    drop((process, kept));
    assert_eq!(telemetry.seen(), []);
}

#[test]
fn a_cancellation_is_no_failure_where_that_is_chosen() {
    for (cancellation, expected) in
        [(Cancellation::Error, cancelled()), (Cancellation::Unset, Seen::process("orders"))]
    {
        let telemetry = Telemetry::new();
        let instrumentation = telemetry.builder().cancellation(cancellation).build();
        let process = instrumentation.process(from_orders(), &headers(&[]), |_| {});
        assert!(poll(pin!(process.run(pending::<()>()))).is_pending());
        assert_eq!(telemetry.seen(), [expected], "{cancellation:?}");
        let [measured] = telemetry.measured_by("messaging.process.duration").try_into().unwrap();
        let is_failed = measured.attributes.iter().any(|(key, _)| key == "error.type");
        assert_eq!((measured.count, is_failed), (1, cancellation == Cancellation::Error));
    }
}

#[test]
fn a_batch_is_cancelled_as_a_message_is_and_a_panic_is_always_a_failure() {
    let telemetry = Telemetry::new();
    let instrumentation = telemetry.builder().cancellation(Cancellation::Unset).build();
    let message = (headers(&[]), from_orders(), |_: &mut Details<'_>| {});
    let batch = instrumentation.process_batch(orders(), [message], |_| {});
    assert!(poll(pin!(batch.run(pending::<()>()))).is_pending());
    let expected = Seen::process("orders").with("messaging.batch.message_count", 1);
    assert_eq!(telemetry.seen(), [expected]);
    let process = instrumentation.process(from_orders(), &headers(&[]), |_| {});
    assert!(catch_unwind(AssertUnwindSafe(|| block_on(process.run(panics())))).is_err());
    assert_eq!(telemetry.seen(), [panicked().id(TRACE + 1, 2)]);
}

#[test]
fn one_whose_sibling_panics_is_cancelled_and_does_not_panic() {
    let telemetry = Telemetry::new();
    let (waiting, failing) = (process(&telemetry), process(&telemetry));
    let unwound = catch_unwind(AssertUnwindSafe(|| {
        let mut one = pin!(waiting.run(pending::<()>()));
        let mut other = pin!(failing.run(panics()));
        block_on(std::future::poll_fn(move |task| {
            let _ = one.as_mut().poll(task);
            other.as_mut().poll(task)
        }))
    }));
    assert!(unwound.is_err());
    let mut seen = telemetry.seen();
    seen.sort_by_key(Seen::span_id);
    assert_eq!(seen, [cancelled(), panicked().id(TRACE + 1, 2)]);
}

#[test]
fn a_future_that_is_never_polled_did_nothing() {
    let telemetry = Telemetry::new();
    let process = process(&telemetry);
    drop(process.run(panics()));
    assert_eq!(telemetry.seen(), [], "it can still be run");
    block_on(process.run(yielded()));
    drop(process);
    assert_eq!(telemetry.seen(), [Seen::process("orders")]);
}

#[test]
fn of_two_futures_at_once_the_last_ends_the_span_and_the_first_failure_counts() {
    let telemetry = Telemetry::new();
    let process = process(&telemetry);
    let mut long = pin!(process.run(async {
        yielded().await;
        Err::<(), _>("the second failure")
    }));
    assert!(poll(long.as_mut()).is_pending());
    let _ = block_on(process.run(async { Err::<(), _>("the first failure") }));
    assert_eq!(telemetry.seen(), [], "one still runs");
    assert!(poll(long.as_mut()).is_ready());
    assert_eq!(telemetry.seen(), [Seen::process("orders").failed("&str", "the first failure")]);
}

#[test]
fn without_a_future_it_ends_when_the_guard_goes_with_the_first_failure_that_it_was_told() {
    let telemetry = Telemetry::new();
    let guard = process(&telemetry);
    guard.fail(Failure::new("first", "one"));
    guard.fail(Failure::new("second", "two"));
    assert_eq!(telemetry.seen(), []);
    drop(guard);
    drop(process(&telemetry));
    let succeeded = Seen::process("orders").id(TRACE + 1, 2);
    assert_eq!(telemetry.seen(), [Seen::process("orders").failed("first", "one"), succeeded]);
}

#[test]
fn the_span_is_still_open_while_the_handler_is_dropped() {
    struct Late<'a>(&'a Telemetry, &'a Cell<bool>);
    impl Drop for Late<'_> {
        fn drop(&mut self) {
            self.1.set(self.0.seen().is_empty());
        }
    }
    let (telemetry, was_open) = (Telemetry::new(), Cell::new(false));
    let process = process(&telemetry);
    let late = Late(&telemetry, &was_open);
    {
        let mut running = pin!(process.run(async move {
            pending::<()>().await;
            drop(late);
        }));
        assert!(matches!(poll(running.as_mut()), Poll::Pending));
    }
    assert!(was_open.get());
}

#[test]
fn an_error_whose_text_panics_is_a_panic() {
    #[derive(Debug)]
    struct Mute;
    impl std::error::Error for Mute {}
    impl std::fmt::Display for Mute {
        fn fmt(&self, _: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            panic!("on purpose")
        }
    }
    let telemetry = Telemetry::new();
    let process = process(&telemetry);
    let unwound =
        catch_unwind(AssertUnwindSafe(|| block_on(process.run(async { Err::<(), _>(Mute) })).is_err()));
    assert!(unwound.is_err());
    assert_eq!(telemetry.seen(), [panicked()]);
}
