//! The relay: a process of its own that publishes what the outbox holds. It may end at any moment and be started again.

use std::env;
use std::path::PathBuf;
use std::process::{self, Command};

use anyhow::{Context as _, bail};
use carrier_examples::kafka::{Kafka, LIMIT};
use opentelemetry::trace::{SpanKind, TraceContextExt as _};
use rdkafka::producer::{FutureProducer, FutureRecord};
use tokio::runtime::Runtime;

use crate::database::{Database, Folder, Row};
use crate::kafka;
use crate::screen::{Colour, paint, say, step};
use crate::service::Service;

/// What makes this program the relay.
pub(crate) const RELAY: &str = "relay";
pub(crate) const KILL_AFTER: &str = "--kill-after";

/// What a relay is started with.
pub(crate) struct Job {
    pub(crate) database: PathBuf,
    pub(crate) brokers: String,
    pub(crate) topic: String,
    pub(crate) kill_after: Option<usize>,
}

impl Job {
    /// Publishes every row that is not marked as sent, the oldest first.
    pub(crate) fn work(&self, runtime: &Runtime) -> anyhow::Result<()> {
        let database = Database::open(&self.database)?;
        let relay = Service::new("relay")?;
        let producer = kafka::producer(&self.brokers)?;
        let unsent = database.unsent()?;
        let title = format!("The relay starts, process {}; rows to be sent: {unsent}", process::id());
        say!("\n  {}", paint(Colour::Bold, &title));

        let mut sent = 0;
        while let Some(row) = database.next()? {
            runtime.block_on(self.publish(&relay, &producer, &row))?;
            sent += 1;
            if self.kill_after == Some(sent) {
                // As if the machine had lost its power: no destructor, no flush, nothing.
                process::abort();
            }
            database.mark(&row)?;
        }
        relay.end()
    }

    /// Returns when Kafka has the record.
    async fn publish(&self, relay: &Service, producer: &FutureProducer, row: &Row) -> anyhow::Result<()> {
        // The order's trace goes on, whatever this process was doing, and whichever process wrote the row.
        let parent = row.context.extract();
        let sending = relay.begin("send orders", SpanKind::Producer, &parent);
        let key = row.order.to_string();
        let mut record = FutureRecord::to(&self.topic).key(&key).payload(&row.payload);
        carrier_kafka::inject(&sending, &mut record);
        let delivered = producer.send(record, LIMIT).await;
        delivered.map_err(|(error, _)| error).context("Kafka did not take an order")?;
        sending.span().end();

        let span = sending.span().span_context().clone();
        step(row.order, &row.payload, span.trace_id(), &format!("sent in span {}", span.span_id()));
        Ok(())
    }
}

/// Starts the relay, this program once more, and starts it again where it was killed.
pub(crate) fn run_to_the_end(
    folder: &Folder,
    kafka: &Kafka,
    kill_after: Option<usize>,
) -> anyhow::Result<()> {
    let start = |kill_after: Option<usize>| {
        let mut relay = Command::new(env::current_exe()?);
        relay.arg(RELAY).arg(folder.database()).args([&kafka.brokers, &kafka.topic]);
        if let Some(rows) = kill_after {
            relay.arg(KILL_AFTER).arg(rows.to_string());
        }
        // Where the machine keeps the memory of what was killed it goes where all of this goes.
        relay.current_dir(folder.path());
        relay.status().context("the relay cannot be started")
    };
    let mut status = start(kill_after)?;
    // A signal leaves no code.
    if kill_after.is_some() && status.code().is_none() {
        let what = "the last order is sent, and the row does not say so";
        say!("    {} killed ({status}): {what}", paint(Colour::Bad, "✗"));
        status = start(None)?;
    }
    match status.success() {
        true => Ok(()),
        false => bail!("the relay ended early ({status})"),
    }
}
