//! Clusters of real brokers that fail while messages with known traces pass: `cargo xtask faults` runs it.
//!
//! Usage: carrier-faults [rabbitmq|kafka]…
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "its output is its purpose")]

mod docker;
mod kafka;
mod ledger;
mod lost;
mod proxy;
mod rabbitmq;
mod report;
mod spans;
mod work;

use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context as _, ensure};
use tokio::time::timeout;

use crate::report::Results;

/// No run takes longer.
const LIMIT: Duration = Duration::from_secs(19 * 60);

const PARTS: [&str; 2] = ["rabbitmq", "kafka"];

#[tokio::main]
async fn main() -> ExitCode {
    // As the README advises. It can fail only if it was called before.
    let _ = carrier_core::Propagation::w3c().install();
    let words: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let result = match words[..] {
        ["consume", brokers, topic] => kafka::consume(brokers, topic).await.map(|()| true),
        ["lose", broker, variant, address] => lost::lose(broker, variant, address).await.map(|()| true),
        ref parts => faults(parts).await,
    };
    match result {
        Ok(is_good) => ExitCode::from(u8::from(!is_good)),
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// Returns whether nothing was lost. What was seen before a failure is printed too.
async fn faults(parts: &[&str]) -> anyhow::Result<bool> {
    for part in parts {
        ensure!(PARTS.contains(part), "there is no part `{part}`; there are {}", PARTS.join(", "));
    }
    let is_wanted = |part: &str| parts.is_empty() || parts.contains(&part);
    let mut results = Results::default();
    let all = async {
        if is_wanted("rabbitmq") {
            rabbitmq::run(&mut results).await.context("RabbitMQ")?;
        }
        if is_wanted("kafka") {
            kafka::run(&mut results).await.context("Kafka")?;
        }
        anyhow::Ok(())
    };
    // What is left of a cluster after the limit is removed by `cargo xtask`.
    let result = timeout(LIMIT, all).await.context("the time is over").and_then(|result| result);
    println!("\n{}", results.tables());
    result?;
    let problems = results.problems();
    problems.iter().for_each(|problem| eprintln!("FAILED: {problem}"));
    if parts.is_empty() && problems.is_empty() {
        results.write()?;
    }
    Ok(problems.is_empty())
}
