//! `handoff`, run as a person runs it.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod collector;
#[path = "../common/mod.rs"]
mod common;
mod container;
mod dashboard;
mod delivered;
mod expected;
mod text;

use std::collections::BTreeSet;

use common::Ended;

const WITHOUT_AMQP: (&str, &str) = ("CARRIER_DEMO_WITHOUT_AMQP", "1");

fn handoff(arguments: &[&str], variables: &[(&str, &str)]) -> Ended {
    common::run(env!("CARGO_BIN_EXE_handoff"), arguments, variables)
}

async fn handoff_beside(variables: Vec<(&'static str, String)>) -> Ended {
    handoff_with_beside(&[], variables).await
}

async fn handoff_with_beside(
    arguments: &'static [&'static str],
    variables: Vec<(&'static str, String)>,
) -> Ended {
    let run = move || {
        let variables: Vec<_> = variables.iter().map(|(name, value)| (*name, value.as_str())).collect();
        handoff(arguments, &variables)
    };
    tokio::task::spawn_blocking(run).await.unwrap()
}

fn assert_one_trace(ended: &Ended, numbers: &str, hops: usize) {
    assert_eq!(ended.code, Some(0), "{ended:?}");
    let out = &ended.stdout;
    assert_eq!(out.matches("\n  trace ").count(), 1, "{out}");
    assert!(out.contains("✓ one trace ") && out.contains(numbers), "{out}");
    // The same trace id and the baggage on each hop.
    let ids: BTreeSet<&str> = out
        .lines()
        .filter_map(|line| line.trim().strip_prefix("traceparent"))
        .filter_map(|value| value.split('-').nth(1))
        .collect();
    assert_eq!(ids.len(), 1, "{out}");
    assert_eq!(out.matches("traceparent ").count(), hops, "{out}");
    assert_eq!(out.matches("tenant=acme").count(), hops, "{out}");
}

#[test]
fn without_amqp_it_is_one_trace_and_says_what_is_left_out() {
    let ended = handoff(&[], &[WITHOUT_AMQP]);
    assert_one_trace(&ended, "5 spans, 3 services, 2 hops", 2);
    assert!(ended.stdout.contains("left out"), "{ended:?}");
    assert!(ended.stdout.contains("waits in orders"), "{ended:?}");
    assert!(ended.stdout.contains("╘ process orders"), "{ended:?}");
    assert_eq!(ended.stderr, "");
}

#[test]
fn no_colours_and_no_wide_lines_where_no_terminal_is() {
    for (columns, width) in [("20", 80), ("80", 80), ("100", 100), ("1000", 140)] {
        let ended = handoff(&[], &[WITHOUT_AMQP, ("COLUMNS", columns)]);
        assert!(!ended.stdout.contains('\x1b'), "{ended:?}");
        let widest = ended.stdout.lines().map(|line| line.chars().count()).max();
        assert_eq!(widest, Some(width), "{}", ended.stdout);
    }
}

#[test]
fn a_hop_that_loses_its_headers_is_named() {
    for (hop, link) in [("http", "HTTP, shop → gateway"), ("kafka", "Kafka, gateway → packing")] {
        let ended = handoff(&["--break", hop], &[WITHOUT_AMQP]);
        assert_eq!(ended.code, Some(1), "{ended:?}");
        assert!(ended.stdout.contains(&format!("the trace breaks at {link}")), "{ended:?}");
        assert_eq!(ended.stdout.matches("the trace breaks").count(), 1, "{ended:?}");
        assert!(!ended.stdout.contains("one trace "), "{ended:?}");
    }
}

#[test]
fn the_counter_of_lost_contexts_tells_which_queue_it_was() {
    let counted = |arguments: &[&str]| {
        let out = handoff(arguments, &[WITHOUT_AMQP]).stdout;
        let (_, counters) = out.split_once("(carrier.received.contexts)\n").unwrap();
        counters.lines().next().unwrap().split_whitespace().collect::<Vec<_>>().join(" ")
    };
    assert_eq!(counted(&[]), "packing orders valid 1");
    assert_eq!(counted(&["--break", "kafka"]), "packing orders absent 1");
}

#[test]
fn a_worker_that_fails_leaves_the_trace_whole() {
    let ended = handoff(&["--fail"], &[WITHOUT_AMQP]);
    assert_one_trace(&ended, "5 spans, 3 services, 2 hops", 2);
}

#[test]
fn a_hop_that_is_linked_has_two_traces_and_shows_the_link() {
    let ended = handoff(&["--link", "kafka"], &[WITHOUT_AMQP]);
    assert_eq!(ended.code, Some(0), "{ended:?}");
    let out = &ended.stdout;
    assert_eq!(out.matches("\n  trace ").count(), 2, "{out}");
    assert!(out.contains("\n  packing  process orders "), "{out}");
    assert!(out.contains("\n  gateway  ┊ links to send orders\n"), "{out}");
    assert!(out.contains("✓ 2 traces, joined by a link: 5 spans, 3 services, 2 hops"), "{out}");
}

#[test]
fn a_link_that_is_lost_is_named() {
    let ended = handoff(&["--link", "kafka", "--break", "kafka"], &[WITHOUT_AMQP]);
    assert_eq!(ended.code, Some(1), "{ended:?}");
    assert!(ended.stdout.contains("`process orders` has no link to `send orders`"), "{ended:?}");
}

#[test]
fn options_that_it_does_not_have_are_refused() {
    assert!(handoff(&["--help"], &[]).stdout.contains("KAFKA_BROKERS"));
    for arguments in [&["--nonsense"][..], &["--break"], &["--break", "smtp"], &["--link", "http"]] {
        handoff(arguments, &[WITHOUT_AMQP]).assert_refuses(2, "--help");
    }
    // Nothing to lose there.
    handoff(&["--break", "amqp"], &[WITHOUT_AMQP]).assert_refuses(2, "http, kafka;");
}

#[test]
fn a_broker_that_is_not_there_is_named_within_seconds() {
    // Port 1 is nobody's.
    for (url, shown) in [
        ("amqp://user:secret@127.0.0.1:1/%2f", "amqp://127.0.0.1:1/%2f"),
        ("http://user:secret@127.0.0.1", "http://127.0.0.1"),
        ("user:secret@nonsense", "AMQP_URL=nonsense"),
    ] {
        handoff(&[], &[("AMQP_URL", url)]).assert_refuses(2, shown);
    }
    for brokers in ["127.0.0.1:1", "not a broker"] {
        handoff(&[], &[WITHOUT_AMQP, ("KAFKA_BROKERS", brokers)]).assert_refuses(2, brokers);
    }
}

#[test]
fn a_container_that_cannot_start_is_one_line_with_what_to_do() {
    let image = "127.0.0.1:1/nothing:none";
    let ended = handoff(&[], &[("CARRIER_RABBITMQ_IMAGE", image)]);
    assert_eq!(ended.code, Some(2), "{ended:?}");
    let last = ended.stderr.lines().last().unwrap();
    assert!(last.starts_with("handoff: ") && last.contains("AMQP_URL"), "{ended:?}");
    assert!(!ended.stderr.contains("panicked"), "{ended:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn with_rabbitmq_it_is_one_trace_over_three_hops() {
    let url = carrier_tests::rabbitmq().await.url().to_owned();
    let ended = handoff_beside(vec![("AMQP_URL", url.clone()), ("COLUMNS", "80".to_owned())]).await;
    assert_one_trace(&ended, "7 spans, 4 services, 3 hops", 3);
    assert!(ended.stdout.contains("waits in parcels"), "{ended:?}");
    assert!(!ended.stdout.contains("guest"), "a password: {ended:?}");
    let lines = ended.stdout.lines();
    assert!(lines.map(|line| line.chars().count()).all(|width| width <= 80), "{ended:?}");

    let run = move || handoff(&["--break", "amqp"], &[("AMQP_URL", &url)]);
    let ended = tokio::task::spawn_blocking(run).await.unwrap();
    assert_eq!(ended.code, Some(1), "{ended:?}");
    let link = "the trace breaks at AMQP, packing → shipping";
    assert!(ended.stdout.contains(link), "{ended:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_kafka_that_runs_does_as_well() {
    let brokers = carrier_tests::kafka().await.brokers().to_owned();
    let ended =
        handoff_beside(vec![(WITHOUT_AMQP.0, "1".to_owned()), ("KAFKA_BROKERS", brokers.clone())]).await;
    assert_one_trace(&ended, "5 spans, 3 services, 2 hops", 2);
    assert!(ended.stdout.contains(&brokers), "{ended:?}");
}
