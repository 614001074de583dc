//! What processing a message costs that nobody records, counted; and that more in a message costs no more.
#![cfg(feature = "instrumentation")]
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::hint::black_box;

use carrier_amqp::Instrumentation;
use carrier_core::{Propagation, testing, w3c};
use carrier_measure::Counting;
use lapin::message::Delivery;
use lapin::types::{AMQPValue, FieldTable};
use opentelemetry_sdk::trace::{Sampler, SdkTracerProvider};

/// The queue's name, the span's name, its attributes, the sender's context, the span's context.
const PROCESS: usize = 5;

/// The sender's context.
const SKIPPED: usize = 1;

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// A service whose sampler says no, and metrics are off: what a metric costs is the SDK's.
fn unsampled(skip_unsampled: bool) -> Instrumentation {
    let provider = SdkTracerProvider::builder().with_sampler(Sampler::AlwaysOff).build();
    let propagation = Propagation::builder().propagator(w3c()).build();
    let builder = Instrumentation::builder().tracer_provider(provider).propagation(propagation);
    builder.metrics(false).skip_unsampled(skip_unsampled).build()
}

/// A message with so many headers of the user's, and so many bytes.
fn delivery(headers: usize, body: usize, traceparent: &str) -> Delivery {
    let mut table = FieldTable::default();
    for number in 0..headers {
        table.insert(format!("user-{number}").into(), AMQPValue::Boolean(true));
    }
    table.insert("traceparent".into(), AMQPValue::LongString(traceparent.into()));
    let mut delivery = Delivery::mock(1, "".into(), "orders".into(), false, vec![b'x'; body]);
    delivery.properties = lapin::BasicProperties::default().with_headers(table).with_timestamp(1);
    delivery
}

fn allocated(amqp: &Instrumentation, delivery: &Delivery) -> usize {
    let process = || drop(black_box(amqp.process("orders", delivery)));
    process();
    Counting::during(process).0
}

const SAMPLED: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
const UNSAMPLED: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00";

#[test]
fn a_message_that_is_not_sampled_is_processed_with_a_fixed_number_of_allocations() {
    let amqp = unsampled(false);
    assert_eq!(allocated(&amqp, &delivery(0, 10, SAMPLED)), PROCESS);
    assert_eq!(allocated(&amqp, &delivery(50, 100_000, SAMPLED)), PROCESS);
    let _around = testing::remote_context().attach();
    assert_eq!(allocated(&amqp, &delivery(0, 10, SAMPLED)), PROCESS + 1, "a link");
}

#[test]
fn below_an_unsampled_sender_no_span_is_allocated_where_that_is_chosen() {
    assert_eq!(allocated(&unsampled(true), &delivery(0, 10, UNSAMPLED)), SKIPPED);
}
