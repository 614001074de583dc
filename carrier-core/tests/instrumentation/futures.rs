//! What may move between threads; that this compiles is the test.

use std::cell::Cell;

use carrier_core::instrumentation::{Batch, Instrumentation, Plain, Process, Sending, Settling};

use crate::support::{block_on, from_orders, headers, orders, yielded};
use crate::telemetry::Telemetry;

fn is_send<T: Send>(value: T) -> T {
    value
}

#[test]
fn all_that_owns_a_span_moves_between_threads_and_is_shared_by_them() {
    fn is_both<T: Send + Sync + 'static>() {}
    is_both::<Instrumentation>();
    is_both::<Sending>();
    is_both::<Process>();
    is_both::<Batch>();
    is_both::<Settling>();
}

#[test]
fn a_handler_that_can_be_spawned_can_be_spawned_with_its_span() {
    let telemetry = Telemetry::new();
    let process = telemetry.instrumentation().process(from_orders(), &headers(&[]), |_| {});
    let batch = [(headers(&[]), from_orders(), |_: &mut carrier_core::instrumentation::Details<'_>| {})];
    let batch = telemetry.instrumentation().process_batch(orders(), batch, |_| {});
    // A value that is not `Sync` may be held over an await.
    let handler = async {
        let count = Cell::new(0);
        yielded().await;
        count.set(1);
        Ok::<_, String>(Plain(count))
    };
    let spawned = is_send(async move {
        let count = process.run(handler).await;
        batch.run(yielded()).await;
        let sending = telemetry.instrumentation().send(orders, &mut headers(&[]), |_| {});
        yielded().await;
        sending.ended(Ok(()));
        count
    });
    assert_eq!(
        std::thread::scope(|scope| scope.spawn(|| block_on(spawned)).join().unwrap()).unwrap().0.get(),
        1
    );
}
