//! `call`, run as a person runs it.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

fn call(url: &str) -> common::Ended {
    common::run(env!("CARGO_BIN_EXE_call"), &[], &[("AMQP_URL", url)])
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_and_its_reply_are_one_trace() {
    let url = carrier_tests::rabbitmq().await.url().to_owned();
    let ended = tokio::task::spawn_blocking(move || call(&url)).await.unwrap();
    assert_eq!((ended.code, ended.stderr.as_str()), (Some(0), ""), "{ended:?}");
    let out = &ended.stdout;
    assert!(out.contains("6 + 7 = 13") && !out.contains("guest"), "{out}");
    let shown = out.lines().skip_while(|line| !line.starts_with("  trace ")).skip(1);
    let shown: Vec<_> = shown.map(str::trim_end).collect();
    let expected = [
        "    request sums      sum-1  reply to amq.rabbitmq.reply-to",
        "    └ process sums    sum-1",
        "      └ send          sum-1",
        "",
        "  ✓ one trace: 3 spans, each ended once",
    ];
    assert_eq!(shown, expected);
}

#[test]
fn without_a_broker_it_is_one_line() {
    call("amqp://user:secret@127.0.0.1:1/%2f").assert_refuses(1, "127.0.0.1:1");
}
