//! `batches`, run as a person runs it.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use std::collections::BTreeSet;

use common::Ended;

fn batches(arguments: &[&str], variables: &[(&str, &str)]) -> Ended {
    common::run(env!("CARGO_BIN_EXE_batches"), arguments, variables)
}

/// The lines about a batch.
fn batch(out: &str, number: usize) -> Vec<&str> {
    let begin = format!("batch {number}  ");
    let lines = out.lines().map(str::trim).skip_while(|line| !line.starts_with(&begin));
    lines.take_while(|line| !line.is_empty()).collect()
}

/// The records that a batch links to.
fn linked<'a>(lines: &[&'a str]) -> BTreeSet<&'a str> {
    lines.iter().filter_map(|line| line.strip_prefix("→ ")).collect()
}

fn assert_nothing_is_lost(ended: &Ended) {
    assert_eq!((ended.code, ended.stderr.as_str()), (Some(0), ""), "{ended:?}");
    let out = &ended.stdout;
    assert!(out.contains("✓ 10 records stored and committed, 1 batch read again; "), "{out}");
    assert!(!out.contains('\x1b'), "{out}");

    let failed = batch(out, 2);
    assert!(failed.contains(&"process orders      ✗ the database is away"), "{out}");
    assert!(!failed.iter().any(|line| line.contains("commit")), "{out}");
    let rest: BTreeSet<_> = (3..=20).flat_map(|number| linked(&batch(out, number))).collect();
    assert!(linked(&failed).is_subset(&rest), "{out}");
    let all: BTreeSet<_> = linked(&batch(out, 1)).union(&rest).copied().collect();
    assert_eq!(all.len(), 9, "{out}");
    // A trace for each tenant, who came as baggage.
    let traces: BTreeSet<_> = all.iter().map(|link| link.split_once("trace ").unwrap().1).collect();
    let tenants: Vec<_> = traces.iter().map(|trace| trace.split("  ").nth(1).unwrap()).collect();
    assert_eq!(BTreeSet::from_iter(tenants.clone()), BTreeSet::from(["acme", "north", "red"]), "{out}");
    assert_eq!(tenants.len(), 3, "{out}");
    assert!(out.contains("1 without a context"), "{out}");

    let first = batch(out, 1);
    assert!(first[0].contains(" records, ") && first[0].ends_with(" ms in the topic"), "{out}");
    assert!(first.contains(&"└ store") && first.contains(&"└ commit orders"), "{out}");
}

#[test]
fn a_batch_that_fails_is_read_again_and_no_record_is_lost() {
    assert_nothing_is_lost(&batches(&[], &[]));
}

#[test]
fn a_batch_that_fails_and_is_not_read_again_is_lost_and_found_missing() {
    let ended = batches(&["--go-on"], &[]);
    assert_eq!(ended.code, Some(1), "{ended:?}");
    let out = &ended.stdout;
    assert!(out.contains("✗ batch 2 failed and was not read again"), "{out}");
    assert!(out.contains(" is not stored") && !out.contains('✓'), "{out}");
}

#[test]
fn options_that_it_does_not_have_are_refused() {
    assert!(batches(&["--help"], &[]).stdout.contains("--go-on"));
    for arguments in [&["--nonsense"][..], &["10"]] {
        batches(arguments, &[]).assert_refuses(2, "see --help");
    }
}

#[test]
fn a_kafka_that_is_not_there_is_one_line_with_its_address() {
    batches(&[], &[("KAFKA_BROKERS", "127.0.0.1:1")]).assert_refuses(2, "127.0.0.1:1");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_kafka_that_runs_does_as_well() {
    let brokers = carrier_tests::kafka().await.brokers().to_owned();
    let run = move || batches(&[], &[("KAFKA_BROKERS", &brokers)]);
    assert_nothing_is_lost(&tokio::task::spawn_blocking(run).await.unwrap());
}
