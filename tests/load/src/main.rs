//! One run of one variant of the end-to-end measurement: `cargo xtask load` starts it many times, in turn.
//!
//! It is told what to do by its arguments (`carrier-load <part> <variant> <messages> <seconds>`) and where by `AMQP_URL` and
//! `KAFKA_BROKERS`, stops by itself, and prints one line: see [`usage::Figures`].
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "its output is its purpose")]
#![cfg_attr(test, allow(clippy::unwrap_used))]

mod bounds;
mod by_hand;
mod context;
mod kafka;
mod kafka_awaited;
mod peers;
mod rabbitmq;
mod soak;
mod topic;
mod usage;

use std::process::ExitCode;

use anyhow::{Context as _, bail};

use crate::bounds::Bounds;

/// Bytes of a message's body in all variants.
const BODY: [u8; 100] = [b'x'; 100];

#[tokio::main]
async fn main() -> ExitCode {
    match run().await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

async fn run() -> anyhow::Result<()> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let [part, variant, bounds @ ..] = &words[..] else {
        bail!("usage: carrier-load <part> <variant> <messages> <seconds>");
    };
    let bounds = Bounds::parse(bounds)?;
    if part == "soak" {
        return soak::run(bounds);
    }
    let figures = match part.as_str() {
        "kafka" | "kafka-level1" => kafka::run(variant, bounds),
        "kafka-awaited" => kafka_awaited::run(variant, bounds).await,
        "rabbitmq" => rabbitmq::run(variant, bounds).await,
        _ => bail!("there is no part `{part}`"),
    };
    let figures = figures.with_context(|| format!("{part} {variant}"))?;
    println!("{figures}");
    Ok(())
}

fn variable(name: &str) -> anyhow::Result<String> {
    std::env::var(name).with_context(|| format!("{name} does not say where the broker is"))
}
