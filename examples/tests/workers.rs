//! `workers`, run as a person runs it.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use std::collections::BTreeSet;

use common::Ended;

fn workers(arguments: &[&str], variables: &[(&str, &str)]) -> Ended {
    common::run(env!("CARGO_BIN_EXE_workers"), arguments, variables)
}

async fn workers_beside(arguments: &'static [&'static str]) -> Ended {
    let url = carrier_tests::rabbitmq().await.url().to_owned();
    tokio::task::spawn_blocking(move || workers(arguments, &[("AMQP_URL", &url)])).await.unwrap()
}

/// The lines about a job, without the ids of its traces; those are counted.
fn job(out: &str, number: usize) -> (Vec<String>, usize) {
    let begin = format!("job {number}  ");
    let lines = out.lines().map(str::trim).skip_while(|line| !line.starts_with(&begin));
    let lines: Vec<_> = lines.take_while(|line| !line.is_empty()).collect();
    let traces: BTreeSet<_> = lines.iter().filter(|line| line.starts_with("trace ")).collect();
    let told = lines.iter().filter(|line| !line.starts_with("trace "));
    let words = |line: &&str| line.split_whitespace().collect::<Vec<_>>().join(" ");
    (told.map(words).collect(), traces.len())
}

#[tokio::test(flavor = "multi_thread")]
async fn every_job_ends_where_it_should_and_shows_how_it_got_there() {
    let ended = workers_beside(&[]).await;
    assert_eq!((ended.code, ended.stderr.as_str()), (Some(0), ""), "{ended:?}");
    let out = &ended.stdout;
    let verdict = "✓ 5 jobs in 10 attempts: 4 done, 1 dead; 31 spans, each ended once";
    assert!(out.contains(verdict), "{out}");
    assert!(!out.contains('\x1b') && !out.contains('✗') && !out.contains("guest"), "{out}");
    let done = ["job 1 a poster: done", "order", "└ send jobs", "└ process jobs acked", "└ print attempt 1"];
    assert_eq!(job(out, 1), (done.map(str::to_owned).to_vec(), 1), "{out}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_tried_again_has_a_trace_of_its_own_that_links_to_the_sender() {
    let ended = workers_beside(&["--workers", "1"]).await;
    assert_eq!(ended.code, Some(0), "{ended:?}");
    let again = [
        "job 3 a map: done",
        "order",
        "└ send jobs",
        "└ process jobs rejected no paper",
        "└ print attempt 1",
        "process jobs acked dead-lettered 2× → send jobs",
        "└ print attempt 2",
    ];
    assert_eq!(job(&ended.stdout, 3), (again.map(str::to_owned).to_vec(), 2), "{}", ended.stdout);
    let (dead, traces) = job(&ended.stdout, 5);
    assert_eq!(
        (dead[0].as_str(), traces),
        ("job 5 a banner: in the dead-letter queue", 4),
        "{}",
        ended.stdout
    );
    let last = "process dead acked dead-lettered 5×, first rejected → send jobs";
    assert_eq!(dead.last().map(String::as_str), Some(last), "{}", ended.stdout);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_that_nobody_settles_is_found_and_its_span_ends_all_the_same() {
    let ended = workers_beside(&["--forget", "2"]).await;
    assert_eq!(ended.code, Some(1), "{ended:?}");
    let out = &ended.stdout;
    assert!(out.contains("✗ job 2 was not settled: RabbitMQ will give it out again"), "{out}");
    assert_eq!((out.matches('✗').count(), out.matches('✓').count()), (1, 0), "{out}");
    let (lines, _) = job(out, 2);
    assert_eq!(lines[0], "job 2 two tickets: not settled", "{out}");
    assert!(lines.contains(&"└ process jobs not_settled".to_owned()), "{out}");
}

#[test]
fn options_that_it_does_not_have_are_refused() {
    assert!(workers(&["--help"], &[]).stdout.contains("--forget JOB"));
    for arguments in [&["--forget"][..], &["--forget", "6"], &["--workers", "0"], &["--pause"]] {
        workers(arguments, &[]).assert_refuses(2, "see --help");
    }
}

#[test]
fn a_rabbitmq_that_is_not_there_is_one_line_with_its_address() {
    workers(&[], &[("AMQP_URL", "amqp://user:secret@127.0.0.1:1/%2f")])
        .assert_refuses(2, "amqp://127.0.0.1:1/%2f");
    workers(&[], &[("AMQP_URL", "user:secret@nonsense")]).assert_refuses(2, "AMQP_URL=nonsense");
}

#[test]
fn a_container_that_cannot_start_is_one_line_with_what_to_do() {
    let ended = workers(&[], &[("CARRIER_RABBITMQ_IMAGE", "127.0.0.1:1/nothing:none")]);
    assert_eq!(ended.code, Some(2), "{ended:?}");
    let last = ended.stderr.lines().last().unwrap();
    assert!(last.starts_with("workers: ") && last.contains("AMQP_URL"), "{ended:?}");
    assert!(!ended.stderr.contains("panicked"), "{ended:?}");
}
