//! The end-to-end measurement: `cargo xtask load` runs it.
//!
//! Usage: carrier-load [--quick] [part]…
//!
//! It starts itself once for each run of each variant (`carrier-load run <part> <variant> <messages>`), with `AMQP_URL` and
//! `KAFKA_BROKERS` set.
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "its output is its purpose")]
#![cfg_attr(test, allow(clippy::unwrap_used))]

mod context;
mod kafka;
mod peers;
mod plan;
mod rabbitmq;
mod rounds;
mod soak;
mod spans;
mod table;
mod usage;

use std::process::ExitCode;

use anyhow::{Context as _, bail};

use crate::usage::Bounds;

/// The bytes of a message's body in all variants.
const BODY: [u8; 100] = [b'x'; 100];

#[tokio::main]
async fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let result = match words[..] {
        ["run", part, variant, messages] => one_run(part, variant, messages).await,
        ["--quick", ref parts @ ..] => rounds::measure(true, parts).await,
        ref parts => rounds::measure(false, parts).await,
    };
    match result {
        Ok(is_good) => ExitCode::from(u8::from(!is_good)),
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

async fn one_run(part: &str, variant: &str, messages: &str) -> anyhow::Result<bool> {
    let bounds = Bounds::new(messages.parse()?, if part == plan::SOAK { 30 } else { 4 });
    let figures = match part {
        plan::SOAK => return soak::run(variant, bounds).await,
        "kafka" | "kafka-level1" => kafka::run(variant, bounds).await,
        "rabbitmq" => rabbitmq::run(variant, bounds).await,
        _ => bail!("there is no such part"),
    };
    let [rate, cpu, peak] = figures.with_context(|| format!("{part} {variant}"))?;
    println!("{rate} {cpu} {peak}");
    Ok(true)
}
