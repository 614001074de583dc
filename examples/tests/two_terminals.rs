//! The four programs for two terminals: both show the same trace id.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use carrier_tests::{kafka, rabbitmq, unique_name};

use common::{Ended, run};

/// Publishes, consumes, and compares the trace ids that both print.
async fn one_trace_id_in_both(publish: &'static str, consume: &'static str, broker: (&'static str, String)) {
    let both = move || {
        let text = unique_name("text");
        let broker = [(broker.0, broker.1.as_str())];
        let published = run(publish, &[&text], &broker);
        // A broker that others use as well may have older messages.
        let mut consumed = run(consume, &["1"], &broker);
        for _ in 0..20 {
            if consumed.code == Some(0) && !consumed.stdout.contains(&text) {
                consumed = run(consume, &["1"], &broker);
            }
        }
        let trace = |ended: &Ended| {
            assert_eq!(ended.code, Some(0), "{ended:?}");
            let line = ended.stdout.lines().find(|line| line.contains(&text)).unwrap();
            line.rsplit(' ').next().unwrap().to_owned()
        };
        let trace_id = trace(&published);
        assert_eq!((trace_id.len(), trace(&consumed)), (32, trace_id));
    };
    tokio::task::spawn_blocking(both).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn over_amqp() {
    let publish = env!("CARGO_BIN_EXE_amqp-publish");
    let consume = env!("CARGO_BIN_EXE_amqp-consume");
    one_trace_id_in_both(publish, consume, ("AMQP_URL", rabbitmq().await.url().to_owned())).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn over_kafka() {
    let publish = env!("CARGO_BIN_EXE_kafka-publish");
    let consume = env!("CARGO_BIN_EXE_kafka-consume");
    let brokers = kafka().await.brokers().to_owned();
    one_trace_id_in_both(publish, consume, ("KAFKA_BROKERS", brokers)).await;
}

#[test]
fn a_broker_that_is_not_there_is_one_line_with_its_address() {
    for program in [env!("CARGO_BIN_EXE_amqp-publish"), env!("CARGO_BIN_EXE_amqp-consume")] {
        for (url, shown) in [
            ("amqp://user:secret@127.0.0.1:1/%2f", "amqp://127.0.0.1:1/%2f"),
            ("user:secret@nonsense", "AMQP_URL=nonsense"),
        ] {
            run(program, &[], &[("AMQP_URL", url)]).assert_refuses(1, shown);
        }
    }
    for program in [env!("CARGO_BIN_EXE_kafka-publish"), env!("CARGO_BIN_EXE_kafka-consume")] {
        run(program, &[], &[("KAFKA_BROKERS", "127.0.0.1:1")]).assert_refuses(1, "127.0.0.1:1");
    }
}
