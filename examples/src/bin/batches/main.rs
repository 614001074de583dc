//! A consumer that takes Kafka's records in batches and commits by hand: a batch that fails is read again.
//!
//! To copy: `instrumentation` in this file, `producer.rs` (nothing but another producer) and `consumer.rs` (one span for
//! a batch, with a link to each sender, and a commit below it). `check.rs` and `picture.rs` look at the spans.
#![allow(clippy::print_stderr, reason = "a program says in the terminal why it ends")]

mod check;
mod consumer;
mod options;
mod picture;
mod producer;
mod store;
mod waiting;

use std::process::ExitCode;
use std::time::Duration;

use anyhow::anyhow;
use carrier_examples::kafka::Kafka;
use carrier_examples::one_line;
use carrier_examples::recording::Recording;
use carrier_kafka::Instrumentation;
use carrier_kafka::instrumentation::MessageKey;
use tokio::runtime::Runtime;
use tokio::time;

use crate::consumer::{Consumed, Rewind};
use crate::options::Options;
use crate::store::Store;
use crate::waiting::Waiting;

/// How long it may take until every record is stored.
const LIMIT: Duration = Duration::from_secs(30);

const WRONG: u8 = 1;
const FAILED: u8 = 2;

fn main() -> ExitCode {
    let options = match Options::read() {
        Ok(options) => options,
        Err(code) => return code,
    };

    // The set-up lines: W3C trace context and baggage, and providers that the instrumentation finds when it is built.
    let installed = carrier_core::Propagation::w3c().install().map_err(anyhow::Error::from);
    let waiting = Waiting::measured_globally();
    let recorded = installed.and_then(|()| carrier_examples::record_as("batches"));
    let result = recorded.and_then(|(provider, recording)| {
        let runtime = Runtime::new()?;
        let code = runtime.block_on(run(&options, &recording, &waiting));
        // Whatever still waits for a broker need not be waited for.
        runtime.shutdown_background();
        let code = code?;
        provider.shutdown()?;
        Ok(code)
    });
    result.unwrap_or_else(|error| {
        eprintln!("batches: {}", one_line(&error));
        ExitCode::from(FAILED)
    })
}

fn instrumentation(broker: &Kafka) -> Instrumentation {
    Instrumentation::builder()
        .config(&broker.consumer_config())
        // A commit has a span as well, below that of its batch.
        .settle_spans(true)
        // Nobody's secret here; where it is, `Hashed` or nothing.
        .message_key(MessageKey::Plain)
        // The name of this example's topic differs from run to run; those of spans and metrics should not.
        .destination_template(|_| Some("orders".into()))
        .build()
}

async fn run(options: &Options, recording: &Recording, waiting: &Waiting) -> anyhow::Result<ExitCode> {
    let broker = Kafka::find("carrier-batches-orders", 2).await?;
    let done = time::timeout(LIMIT, consume(options, &broker, waiting)).await;
    broker.tidy().await;
    let (consumed, store, ends) =
        done.map_err(|_| anyhow!("the records were not stored within {} s", LIMIT.as_secs()))??;

    let spans = recording.spans();
    picture::title(&broker.description);
    picture::batches(&spans, &consumed, &store);
    let faults = check::faults(&spans, &consumed, &store, &ends, recording);
    picture::verdict(&spans, &consumed, &faults);
    Ok(if faults.is_empty() { ExitCode::SUCCESS } else { ExitCode::from(WRONG) })
}

/// Returns what was read, what is stored, and for each partition what is committed and what there is.
async fn consume(
    options: &Options,
    broker: &Kafka,
    waiting: &Waiting,
) -> anyhow::Result<(Vec<Consumed>, Store, Vec<(i64, i64)>)> {
    let kafka = instrumentation(broker);
    let count = producer::produce(&kafka, broker).await?;
    let mut store = Store::new();
    let consumer = consumer::subscribe(broker)?;
    let rewind = if options.goes_on { Rewind::Never } else { Rewind::AfterAFailure };
    let consumed = consumer::consume(&kafka, &consumer, &mut store, count, rewind, waiting).await?;
    let ends = consumer::ends(broker).await?;
    Ok((consumed, store, ends))
}
