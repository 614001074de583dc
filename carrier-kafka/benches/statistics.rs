//! librdkafka's statistics of a consumer with 1,000 partitions: rdkafka's parsing, our recording, and the collection.
#![allow(missing_docs, reason = "a benchmark is a program")]
#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "a program for developers")]

use std::hint::black_box;
use std::time::Instant;

use carrier_kafka::Instrumentation;
use carrier_measure::statistics::Summary;
use opentelemetry_sdk::metrics::{InMemoryMetricExporter, SdkMeterProvider};
use rdkafka::statistics::{Partition, Statistics, Topic};

const TOPICS: i32 = 10;
const PARTITIONS: i32 = 100;
const ROUNDS: usize = 300;

fn statistics() -> Statistics {
    let partition = |partition| Partition {
        partition,
        desired: true,
        fetch_state: "active".to_owned(),
        stored_offset: 1_200_225,
        committed_offset: 1_200_100,
        hi_offset: 1_234_567,
        consumer_lag: 34_467,
        consumer_lag_stored: 34_342,
        ..Partition::default()
    };
    let partitions = || (0..PARTITIONS).map(|id| (id, partition(id))).collect();
    let topic = |topic| Topic { topic, partitions: partitions(), ..Topic::default() };
    Statistics {
        name: "billing-1#consumer-1".to_owned(),
        client_type: "consumer".to_owned(),
        topics: (0..TOPICS).map(|id| format!("topic-{id}")).map(|name| (name.clone(), topic(name))).collect(),
        ..Statistics::default()
    }
}

/// Prints the median and the middle half.
fn measure(what: &str, mut work: impl FnMut()) {
    let took = (0..ROUNDS).map(|_| {
        let began = Instant::now();
        work();
        began.elapsed().as_secs_f64() * 1e6
    });
    let Summary { median, low, high, .. } = Summary::of(took).unwrap();
    println!("{what}: {median:.0} µs ({low:.0}–{high:.0})");
}

fn main() {
    let statistics = statistics();
    let json = serde_json::to_vec(&statistics).unwrap();
    println!("{} partitions, {} kB of JSON", TOPICS * PARTITIONS, json.len() / 1_000);
    // What rdkafka does before it calls `ClientContext::stats`.
    measure("rdkafka parses", || drop(serde_json::from_slice::<Statistics>(black_box(&json)).unwrap()));

    let exporter = InMemoryMetricExporter::default();
    let provider = SdkMeterProvider::builder().with_periodic_exporter(exporter.clone()).build();
    let client = Instrumentation::builder().meter_provider(provider.clone()).build().statistics();
    measure("carrier records", || client.record(black_box(&statistics)));
    measure("the SDK collects and exports", || {
        provider.force_flush().unwrap();
        exporter.reset();
    });
}
