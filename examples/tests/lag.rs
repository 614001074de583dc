//! `lag`, run as a person runs it.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use common::Ended;

fn lag(variables: &[(&str, &str)]) -> Ended {
    common::run(env!("CARGO_BIN_EXE_lag"), &[], variables)
}

/// The lags that were printed.
fn lags(out: &str) -> Vec<u64> {
    let of =
        |line: &str| line.split_once("carrier.kafka.consumer.lag")?.1.split_whitespace().next()?.parse().ok();
    out.lines().filter_map(of).collect()
}

fn assert_rises_and_falls(ended: &Ended) {
    assert_eq!((ended.code, ended.stderr.as_str()), (Some(0), ""), "{ended:?}");
    let lags = lags(&ended.stdout);
    let highest = lags.iter().max().unwrap();
    assert!(lags.first().unwrap() < highest && *highest >= 30, "{lags:?}");
    assert_eq!(lags.last(), Some(&0));
    assert!(ended.stdout.contains(&format!("✓ the lag rose to {highest} and fell to 0")), "{}", ended.stdout);
}

#[test]
fn the_lag_of_a_slow_consumer_rises_and_falls() {
    assert_rises_and_falls(&lag(&[]));
}

#[tokio::test(flavor = "multi_thread")]
async fn it_does_so_on_a_kafka_that_runs() {
    let brokers = carrier_tests::kafka().await.brokers().to_owned();
    let run = move || lag(&[("KAFKA_BROKERS", &brokers)]);
    assert_rises_and_falls(&tokio::task::spawn_blocking(run).await.unwrap());
}

#[test]
fn a_kafka_that_is_not_there_is_one_line_with_its_address() {
    lag(&[("KAFKA_BROKERS", "127.0.0.1:1")]).assert_refuses(1, "127.0.0.1:1");
}
