//! `outbox`, run as a person runs it.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use common::Ended;

fn outbox(arguments: &[&str], variables: &[(&str, &str)]) -> Ended {
    common::run(env!("CARGO_BIN_EXE_outbox"), arguments, variables)
}

/// The rows of a step: for each order its trace and the end of the line.
fn rows<'a>(out: &'a str, step: &str) -> Vec<(&'a str, &'a str, &'a str)> {
    let lines = out.lines().filter(|line| line.starts_with("    order ") && line.contains(step));
    let row = |line: &'a str| {
        let (order, rest) = line.trim().strip_prefix("order ").unwrap().split_at(1);
        let (trace, end) = rest.split_once("trace ").unwrap().1.split_at(32);
        (order, trace, end.trim())
    };
    lines.map(row).collect()
}

/// Every order arrived in its own trace, below a span of the relay's; `again` came twice.
fn assert_nothing_is_lost(ended: &Ended, again: Option<&str>) {
    assert_eq!(ended.code, Some(0), "{ended:?}");
    assert_eq!(ended.stderr, "");
    let out = &ended.stdout;
    let traces: BTreeMap<_, _> =
        rows(out, "written").into_iter().map(|(order, trace, _)| (order, trace)).collect();
    assert_eq!(traces.keys().copied().collect::<Vec<_>>(), ["1", "2", "3", "4", "5"], "{out}");
    assert_eq!(traces.values().collect::<BTreeSet<_>>().len(), 5, "{out}");

    let (sent, arrived) = (rows(out, "sent in span "), rows(out, "✓ below "));
    let spans: BTreeSet<_> = sent.iter().map(|(_, _, end)| end.rsplit(' ').next().unwrap()).collect();
    assert_eq!(spans.len(), sent.len(), "{out}");
    for steps in [&sent, &arrived] {
        assert!(steps.iter().all(|(order, trace, _)| traces[order] == *trace), "{out}");
        let mut orders: Vec<_> = steps.iter().map(|(order, ..)| *order).collect();
        let twice = orders.windows(2).find(|pair| pair[0] == pair[1]).map(|pair| pair[0]);
        assert_eq!(twice, again, "{out}");
        orders.dedup();
        assert_eq!(orders, ["1", "2", "3", "4", "5"], "{out}");
    }
    let below: BTreeSet<_> =
        arrived.iter().map(|(_, _, end)| end.split([' ', ',']).nth(2).unwrap()).collect();
    assert_eq!(below, spans, "{out}");
    assert_eq!(out.matches("a duplicate").count(), usize::from(again.is_some()), "{out}");
    assert!(out.contains("✓ 5 orders were written and 5 arrived, each in its own trace; "), "{out}");
}

#[test]
fn a_relay_that_lives_sends_each_order_once_in_its_own_trace() {
    let ended = outbox(&[], &[]);
    assert_nothing_is_lost(&ended, None);
    assert!(ended.stdout.contains("none came twice"), "{ended:?}");
    assert!(ended.stdout.contains(r#"{"baggage":"tenant=acme","traceparent":"00-"#), "{ended:?}");
    assert_eq!(ended.stdout.matches("The relay starts").count(), 1, "{ended:?}");
}

#[test]
fn a_relay_that_is_killed_at_any_order_loses_none_and_sends_that_one_twice() {
    for order in 1..=5 {
        let order = order.to_string();
        let ended = outbox(&["--kill-after", &order], &[]);
        assert_nothing_is_lost(&ended, Some(&order));
        let out = &ended.stdout;
        assert_eq!(out.matches("✗ killed").count(), 1, "{out}");
        assert!(out.contains("1 came twice and was packed once"), "{out}");
        let starts: Vec<_> = out.lines().filter(|line| line.contains("The relay starts")).collect();
        let left = 6 - order.parse::<usize>().unwrap();
        assert!(starts[0].ends_with(": 5") && starts[1].ends_with(&format!(": {left}")), "{out}");
        let processes: BTreeSet<_> = starts.iter().map(|line| line.split([' ', ';']).nth(6)).collect();
        assert_eq!(processes.len(), 2, "{out}");
    }
}

#[test]
fn without_the_stored_context_no_order_is_in_its_own_trace() {
    let ended = outbox(&["--forget"], &[]);
    assert_eq!(ended.code, Some(1), "{ended:?}");
    for order in 1..=5 {
        let line = format!("✗ order {order} came in another trace than its own");
        assert!(ended.stdout.contains(&line), "{ended:?}");
    }
    assert!(ended.stdout.contains("in a row: {}") && !ended.stdout.contains("✓"), "{ended:?}");
}

#[test]
fn nothing_of_it_stays_behind() {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("outbox-leaves-nothing");
    fs::create_dir_all(&folder).unwrap();
    let ended = outbox(&["--kill-after", "3"], &[("TMPDIR", folder.to_str().unwrap())]);
    assert_nothing_is_lost(&ended, Some("3"));
    assert!(ended.stdout.contains(folder.to_str().unwrap()), "{ended:?}");
    assert_eq!(fs::read_dir(&folder).unwrap().count(), 0);
}

#[test]
fn options_that_it_does_not_have_are_refused() {
    assert!(outbox(&["--help"], &[]).stdout.contains("--kill-after N"));
    for arguments in [&["--kill-after"][..], &["--kill-after", "0"], &["--kill-after", "6"], &["--die"]] {
        outbox(arguments, &[]).assert_refuses(2, "see --help");
    }
}

#[test]
fn a_kafka_that_is_not_there_is_one_line_with_its_address() {
    outbox(&[], &[("KAFKA_BROKERS", "127.0.0.1:1")]).assert_refuses(2, "127.0.0.1:1");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_kafka_that_runs_does_as_well() {
    let brokers = carrier_tests::kafka().await.brokers().to_owned();
    let run = move || outbox(&["--kill-after", "3"], &[("KAFKA_BROKERS", &brokers)]);
    assert_nothing_is_lost(&tokio::task::spawn_blocking(run).await.unwrap(), Some("3"));
}
