//! Shows what propagation sees in the next messages of a RabbitMQ queue or a Kafka topic, and moves dead letters back.
//!
//! `carrier-peek --help` documents everything.
#![allow(clippy::print_stderr, reason = "a program says in the terminal why it ends")]

mod amqp;
mod cli;
mod environment;
mod json;
mod kafka;
mod look;
mod moved;
mod text;

use std::io::{self, Write as _};
use std::process::ExitCode;

use clap::CommandFactory as _;
use tokio::runtime::Runtime;

use crate::cli::{Cli, Command, Move};
use crate::environment::one_line;
use crate::look::Seen;

/// What a shell says of a program that Ctrl-C ended.
const INTERRUPTED: u8 = 130;

fn main() -> ExitCode {
    let command = match Cli::read() {
        Ok(cli) => cli.command,
        Err(code) => return code,
    };
    match run(command) {
        Ok(true) => ExitCode::from(INTERRUPTED),
        Ok(false) => ExitCode::SUCCESS,
        Err(error) => {
            // A broker repeats in its answers what others told it.
            eprintln!("carrier-peek: {}", text::printable(&one_line(&error)));
            ExitCode::FAILURE
        }
    }
}

/// Returns whether Ctrl-C ended it.
fn run(command: Command) -> anyhow::Result<bool> {
    let (seen, json) = match command {
        Command::Amqp(options) => {
            let seen = amqp::peek(&options.queue, options.shown.number, options.yes);
            (Runtime::new()?.block_on(seen)?, options.shown.json)
        }
        Command::Kafka(options) => {
            (kafka::peek(&options.topic, options.shown.number, options.from)?, options.shown.json)
        }
        Command::Move(Move::Amqp(options)) => return Runtime::new()?.block_on(amqp::transfer(&options)),
        Command::Move(Move::Kafka(options)) => return Runtime::new()?.block_on(kafka::transfer(&options)),
        Command::Completions { shell } => {
            let mut script = Vec::new();
            clap_complete::generate(shell, &mut Cli::command(), "carrier-peek", &mut script);
            // For bash, clap_complete writes the name of a program with a hyphen in two ways
            // (https://github.com/clap-rs/clap/issues/6421).
            let script = String::from_utf8(script)?.replace("carrier__subcmd__peek", "carrier__peek");
            // The reader may be gone.
            let _ = io::stdout().write_all(script.as_bytes());
            return Ok(false);
        }
    };
    show(&seen, json);
    Ok(seen.interrupted)
}

/// The messages on standard output; with `--json` nothing else, so that a tool can read it.
fn show(seen: &Seen, json: bool) {
    let mut out = io::stdout().lock();
    if json {
        eprintln!("{}", seen.summary);
    } else if writeln!(out, "{}", seen.summary).is_err() {
        return;
    }
    for look in &seen.looks {
        let shown = if json { json::line(look) } else { text::paragraph(look) };
        if writeln!(out, "{shown}").is_err() {
            // The reader is gone, as in `carrier-peek … | head`.
            return;
        }
    }
}
