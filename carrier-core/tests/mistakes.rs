//! The events that name a mistake in the set-up. A binary of its own: no test here registers a global provider.
#![cfg(all(feature = "instrumentation", feature = "tracing"))]
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod events;

use std::collections::HashMap;
use std::pin::pin;
use std::task::{Context as Task, Waker};
use std::time::Duration;

use carrier_core::instrumentation::{
    Batch, Destination, Details, Incoming, Instrumentation, Process, Settlement,
};
use opentelemetry::Context;
use opentelemetry::trace::noop::NoopTracerProvider;
use opentelemetry_sdk::trace::{Sampler, SdkTracerProvider};
use tracing::Level;

use events::Events;

fn process(instrumentation: &Instrumentation) -> Process {
    let headers = HashMap::<String, String>::new();
    instrumentation.process(Incoming::new(Destination::new("orders")), &headers, |_| {})
}

fn batch(instrumentation: &Instrumentation) -> Batch {
    let message = || (HashMap::<String, String>::new(), Incoming::new(Destination::none()));
    let messages =
        [message(), message()].map(|(headers, message)| (headers, message, |_: &mut Details<'_>| {}));
    instrumentation.process_batch(Destination::new("orders"), messages, |_| {})
}

fn poll_once(future: impl Future) {
    let _ = pin!(future).poll(&mut Task::from_waker(Waker::noop()));
}

#[test]
fn a_message_whose_handler_gets_no_context_is_one_event_in_a_second() {
    let noop = Instrumentation::builder("test").tracer_provider(NoopTracerProvider::new()).build();
    let used = Events::during(|| {
        poll_once(process(&noop).run(async {}));
        let _ = process(&noop).context();
        poll_once(batch(&noop).run(async {}));
        let _ = batch(&noop).context();
        let _ = batch(&noop).contexts();
        let _suppressed = Context::enter_telemetry_suppressed_scope();
        drop(process(&noop));
        drop(batch(&noop));
    });
    assert!(used.is_empty(), "{used:?}");

    let mut unused = Events::during(|| (0..100).for_each(|_| drop(process(&noop))));
    let first = unused.remove(0);
    assert_eq!(first.level, Level::DEBUG);
    assert!(first.fields["message"].contains("without `run` and without `context`"), "{first:?}");
    assert!(unused.len() < 4, "a machine that takes seconds for a hundred messages? {unused:?}");

    std::thread::sleep(Duration::from_millis(1_100));
    let settled = Events::during(|| {
        let process = process(&noop).until_settled();
        process.settle(Settlement::Acked);
        drop(process.run(async {}));
    });
    assert_eq!(settled.len(), 1, "a settlement is no handler, and neither is a future that is never polled");
    assert!(settled[0].fields["suppressed"].parse::<u64>().unwrap() > 90, "{settled:?}");

    std::thread::sleep(Duration::from_millis(1_100));
    assert_eq!(Events::during(|| drop(batch(&noop))).len(), 1);
}

#[test]
fn without_a_global_provider_there_is_one_event_for_each_instrumentation() {
    let starts = |instrumentation: &Instrumentation| {
        let _ = process(instrumentation).context();
        let headers = &mut HashMap::<String, String>::new();
        instrumentation.clone().send(|| Destination::new("orders"), headers, |_| {}).ended(Ok(()));
    };
    for _ in 0..2 {
        let instrumentation = Instrumentation::builder("test").build();
        let told = Events::during(|| (0..10).for_each(|_| starts(&instrumentation)));
        let [told] = &told[..] else { panic!("{told:?}") };
        assert_eq!(told.level, Level::WARN);
        assert!(told.fields["message"].contains("opentelemetry::global::set_tracer_provider"), "{told:?}");
    }
}

#[test]
fn a_message_below_a_sender_is_told_from_one_with_a_span() {
    let sender = carrier_core::testing::remote_context().attach();
    let instrumentation = Instrumentation::builder("test").build();
    let headers = &mut HashMap::<String, String>::new();
    let send = |headers| instrumentation.send(|| Destination::new("orders"), headers, |_| {}).ended(Ok(()));
    assert_eq!(Events::during(|| send(headers)).len(), 1);
    drop(sender);
}

#[test]
fn with_a_provider_that_was_passed_there_is_no_event_whatever_it_samples() {
    let builder = || Instrumentation::builder("test");
    let sampled_by = |sampler| {
        builder().tracer_provider(SdkTracerProvider::builder().with_sampler(sampler).build()).build()
    };
    let noop = builder().tracer_provider(NoopTracerProvider::new()).build();
    for instrumentation in [sampled_by(Sampler::AlwaysOn), sampled_by(Sampler::AlwaysOff), noop] {
        let told = Events::during(|| {
            let _ = process(&instrumentation).context();
            let _sender = carrier_core::testing::remote_context().attach();
            let _ = process(&instrumentation).context();
        });
        assert!(told.is_empty(), "{told:?}");
    }
}
