//! A broker that cannot be used is named within seconds, and the password is not.

use std::net::TcpListener;
use std::time::{Duration, Instant};

use carrier_tests::{RabbitMq, rabbitmq};

/// What connecting fails with; it must not take longer than somebody waits.
async fn failure(url: &str) -> String {
    let began = Instant::now();
    let error = RabbitMq::connect(url).await.unwrap_err();
    let took = began.elapsed();
    assert!(took < Duration::from_secs(15), "{took:?}");
    format!("{error:#}")
}

fn assert_names(failure: &str, address: &str) {
    assert!(failure.contains(address), "{address} is not in: {failure}");
    assert!(!failure.contains("hush"), "the password is in: {failure}");
}

#[tokio::test]
async fn a_port_where_nobody_listens_is_named() {
    let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    let failure = failure(&format!("amqp://guest:hush@{address}/%2f")).await;
    assert_names(&failure, &address.to_string());
}

#[tokio::test]
async fn a_port_where_nobody_answers_is_named() {
    let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let address = listener.local_addr().unwrap();
    let failure = failure(&format!("amqp://guest:hush@{address}/%2f")).await;
    assert_names(&failure, &address.to_string());
}

#[tokio::test]
async fn a_wrong_password_is_refused_and_not_repeated() {
    let (_, address) = rabbitmq().await.url().rsplit_once('@').unwrap();
    let failure = failure(&format!("amqp://guest:hush@{address}")).await;
    let (host_and_port, _) = address.split_once('/').unwrap();
    assert_names(&failure, host_and_port);
}

#[tokio::test]
async fn a_url_of_another_kind_is_refused_and_not_repeated() {
    for url in [
        "http://guest:hush@localhost:5672",
        "amqp://guest:hush@localhost:no-port",
        "guest:hush@localhost",
        "amqp://guest:hush@local host",
    ] {
        let failure = failure(url).await;
        assert_names(&failure, "amqp://user:password@host:port/vhost");
    }
}
