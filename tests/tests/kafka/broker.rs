//! A broker that is not there.

use std::net::TcpListener;
use std::time::{Duration, Instant};

use carrier_tests::Kafka;

/// "Within seconds": the check's own limit is five.
const SECONDS: Duration = Duration::from_secs(15);

#[tokio::test]
async fn a_check_of_a_dead_port_ends_within_seconds_and_names_the_address() {
    let began = Instant::now();
    let error = Kafka::check("127.0.0.1:1").await.unwrap_err();
    assert!(format!("{error:#}").contains("127.0.0.1:1"), "{error:#}");
    assert!(began.elapsed() < SECONDS, "{:?}", began.elapsed());
}

#[tokio::test]
async fn a_check_of_a_port_that_never_answers_ends_within_seconds_and_names_the_address() {
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = silent.local_addr().unwrap().to_string();
    let began = Instant::now();
    let error = Kafka::check(&address).await.unwrap_err();
    assert!(format!("{error:#}").contains(&address), "{error:#}");
    assert!(began.elapsed() < SECONDS, "{:?}", began.elapsed());
}
