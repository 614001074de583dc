//! A pool of workers on RabbitMQ: jobs, attempts that fail and are made again, and a dead-letter queue.
//!
//! To copy: `instrumentation` in this file, `worker.rs` (one line for each message, and how it is settled),
//! `publisher.rs` (nothing but another channel) and `queues.rs` (how a job waits for its next attempt). `check.rs` and
//! `picture.rs` look at the spans that were made.
#![allow(clippy::print_stderr, reason = "a program says in the terminal why it ends")]

mod check;
mod job;
mod options;
mod picture;
mod pool;
mod publisher;
mod queues;
mod worker;

use std::process::ExitCode;
use std::time::Duration;

use carrier_amqp::Instrumentation;
use carrier_amqp::instrumentation::{InvalidUrl, Relation};
use carrier_examples::recording::Recording;
use carrier_examples::{connect, one_line, rabbitmq, without_password};
use tokio::runtime::Runtime;

use crate::options::Options;
use crate::queues::Queues;

const WRONG: u8 = 1;
const FAILED: u8 = 2;

fn main() -> ExitCode {
    let options = match Options::read() {
        Ok(options) => options,
        Err(code) => return code,
    };

    // The set-up lines: W3C trace context and baggage, and a provider that the instrumentation finds when it is built.
    let installed = carrier_core::Propagation::w3c().install().map_err(anyhow::Error::from);
    let recorded = installed.and_then(|()| carrier_examples::record_as("workers"));
    let result = recorded.and_then(|(provider, recording)| {
        let runtime = Runtime::new()?;
        let code = runtime.block_on(run(&options, &recording));
        // Whatever still waits for a broker need not be waited for.
        runtime.shutdown_background();
        let code = code?;
        provider.shutdown()?;
        Ok(code)
    });
    result.unwrap_or_else(|error| {
        eprintln!("workers: {}", one_line(&error));
        ExitCode::from(FAILED)
    })
}

fn instrumentation(url: &str) -> Result<Instrumentation, InvalidUrl> {
    let builder = Instrumentation::builder()
        .url(url)?
        // The first attempt is made in the trace of the sender. One that is made again, or late, has a trace of its own
        // with a link to the sender: a trace of hours is one that nobody can look at, and no tail sampler waits for.
        .relation(Relation::parent_while_fresh(Duration::from_secs(3_600)))
        // Names of this example's queues differ from run to run; those of spans and metrics should not.
        .destination_template(Queues::template);
    Ok(builder.build())
}

async fn run(options: &Options, recording: &Recording) -> anyhow::Result<ExitCode> {
    let url = rabbitmq::url("set AMQP_URL to a RabbitMQ that runs").await?;
    let connection = connect(&url).await?;
    let amqp = instrumentation(&url)?;
    let control = connection.create_channel().await?;
    let queues = Queues::declare(&control).await?;
    picture::title(&without_password(&url), options);
    let ended = pool::run(&connection, &amqp, &queues, options).await;
    // Also where it failed: the broker may be one that goes on without this program.
    queues.delete(&control).await?;
    let ended = ended?;

    let spans = recording.spans();
    picture::jobs(&spans, &ended);
    let faults = check::faults(&spans, &ended, recording);
    picture::verdict(&spans, &faults);
    Ok(if faults.is_empty() { ExitCode::SUCCESS } else { ExitCode::from(WRONG) })
}
