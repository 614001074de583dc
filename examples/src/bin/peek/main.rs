//! Shows what propagation sees in the next messages of a RabbitMQ queue or a Kafka topic: for the day a trace breaks.
//!
//! `peek amqp <queue>`, `peek kafka <topic>`; `peek --help` has the rest.
#![allow(clippy::print_stderr, reason = "a program says in the terminal why it ends")]

mod amqp;
mod json;
mod kafka;
mod look;
mod options;
mod queue_type;
mod text;

use std::io::Write as _;
use std::process::ExitCode;

use carrier_examples::one_line;
use tokio::runtime::Runtime;

use crate::look::Seen;
use crate::options::{Options, Source};

/// What a shell says of a program that Ctrl-C ended.
const INTERRUPTED: u8 = 130;

fn main() -> ExitCode {
    let options = match Options::read() {
        Ok(options) => options,
        Err(code) => return code,
    };
    match seen(&options) {
        Ok(seen) => {
            show(&seen, options.json);
            if seen.interrupted { ExitCode::from(INTERRUPTED) } else { ExitCode::SUCCESS }
        }
        Err(error) => {
            // A broker repeats in its answers what others told it.
            eprintln!("peek: {}", text::printable(&one_line(&error)));
            ExitCode::FAILURE
        }
    }
}

fn seen(options: &Options) -> anyhow::Result<Seen> {
    match &options.source {
        Source::Amqp { queue, yes } => Runtime::new()?.block_on(amqp::peek(queue, options.number, *yes)),
        Source::Kafka { topic, from } => kafka::peek(topic, options.number, *from),
    }
}

/// The messages on standard output; with `--json` nothing else, so that a tool can read it.
fn show(seen: &Seen, json: bool) {
    let mut out = std::io::stdout().lock();
    if json {
        eprintln!("{}", seen.summary);
    } else if writeln!(out, "{}", seen.summary).is_err() {
        return;
    }
    for look in &seen.looks {
        let shown = if json { json::line(look) } else { text::paragraph(look) };
        if writeln!(out, "{shown}").is_err() {
            // Nobody reads to the end, as in `peek … | head`.
            return;
        }
    }
}
