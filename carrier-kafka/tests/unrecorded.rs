//! What a message that nobody records costs, counted; and that more in a message costs no more.
#![cfg(feature = "instrumentation")]
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::hint::black_box;

use carrier_core::{Propagation, testing, w3c};
use carrier_kafka::Instrumentation;
use carrier_measure::Counting;
use opentelemetry::Context;
use opentelemetry_sdk::trace::{Sampler, SdkTracerProvider};
use rdkafka::message::{Header, OwnedHeaders, OwnedMessage};
use rdkafka::producer::BaseRecord;
use rdkafka::{ClientConfig, Timestamp};

/// The topic, the span's name, its attributes, its context, the envelope.
const SEND: usize = 5;

/// The topic, the span's name, its attributes, the sender's context, the span's context.
const PROCESS: usize = 5;

/// The envelope.
const SKIPPED: usize = 1;

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// How often `work` allocates the second time, when what is made once is there; librdkafka's own are not counted.
fn allocated<T>(mut work: impl FnMut() -> T) -> usize {
    drop(black_box(work()));
    Counting::during(work).0
}

/// A service whose sampler says no, and metrics are off: what a metric costs is the SDK's.
fn unsampled(skip_unsampled: bool) -> Instrumentation {
    let provider = SdkTracerProvider::builder().with_sampler(Sampler::AlwaysOff).build();
    let propagation = Propagation::builder().propagator(w3c()).build();
    let builder = Instrumentation::builder().tracer_provider(provider).propagation(propagation);
    builder.metrics(false).skip_unsampled(skip_unsampled).build()
}

/// A user's headers, so many.
fn headers(count: usize) -> OwnedHeaders {
    (0..count).fold(OwnedHeaders::new(), |headers, number| {
        headers.insert(Header { key: &format!("user-{number}"), value: Some("value") })
    })
}

/// What a send costs beyond rdkafka's own.
fn send(kafka: &Instrumentation, header_count: usize, payload: usize) -> usize {
    let config = ClientConfig::new();
    let ours = kafka.base_producer(&config).unwrap();
    let theirs: rdkafka::producer::BaseProducer = config.create().unwrap();
    let payload = vec![b'x'; payload];
    let headers = headers(header_count);
    let record =
        || BaseRecord::<[u8], [u8]>::to("orders").key(b"17").payload(&payload).headers(headers.clone());
    let with = allocated(|| ours.send(record()).is_ok());
    let without = allocated(|| theirs.send(record()).is_ok());
    with - without
}

/// What a message costs from its reception to the end of its span.
fn process(kafka: &Instrumentation, header_count: usize, payload: usize) -> usize {
    let mut headers = headers(header_count);
    carrier_kafka::inject(&testing::remote_context(), &mut headers);
    let payload = Some(vec![b'x'; payload]);
    let (key, topic, time) = (Some(b"17".to_vec()), "orders".to_owned(), Timestamp::CreateTime(1));
    let message = OwnedMessage::new(payload, key, topic, time, 3, 7, Some(headers));
    allocated(|| drop(kafka.process(&message)))
}

#[test]
fn a_send_that_is_not_sampled_allocates_a_fixed_number() {
    let kafka = unsampled(false);
    let _caller = testing::remote_context().attach();
    let fixed = send(&kafka, 0, 10);
    assert_eq!(fixed, SEND);
    assert_eq!(send(&kafka, 50, 100_000), fixed);
}

#[test]
fn a_message_that_is_not_sampled_is_processed_with_a_fixed_number() {
    let kafka = unsampled(false);
    let fixed = process(&kafka, 0, 10);
    assert_eq!(fixed, PROCESS);
    assert_eq!(process(&kafka, 50, 100_000), fixed);
}

#[test]
fn below_an_unsampled_parent_no_span_is_allocated_where_that_is_chosen() {
    use opentelemetry::trace::{SpanContext, TraceContextExt as _, TraceFlags};
    let remote = testing::remote_context();
    let sampled = remote.span().span_context().clone();
    let (trace, span) = (sampled.trace_id(), sampled.span_id());
    let state = sampled.trace_state().clone();
    let unsampled_parent = SpanContext::new(trace, span, TraceFlags::default(), true, state);
    let _caller = Context::new().with_remote_span_context(unsampled_parent).attach();
    assert_eq!(send(&unsampled(true), 0, 10), SKIPPED);
}
