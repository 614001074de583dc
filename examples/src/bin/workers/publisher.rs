//! Whoever wants something printed.

use std::time::SystemTime;

use anyhow::{Context as _, ensure};
use carrier_amqp::instrumentation::Channel;
use lapin::BasicProperties;
use lapin::options::BasicPublishOptions;

use crate::job::Job;
use crate::queues::{NEW, Queues};

/// Publishes a job. The channel is carrier's, and the rest as with lapin's: the message carries the context of a span
/// that ends with the broker's confirmation.
#[tracing::instrument(skip_all)]
pub(crate) async fn order(channel: &Channel, queues: &Queues, job: &Job) -> anyhow::Result<()> {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH)?;
    let properties = BasicProperties::default()
        .with_message_id(job.id.to_string().into())
        // A worker can tell from it how long the job has waited.
        .with_timestamp(now.as_secs());
    // Back to us, instead of away, where no queue takes it.
    let options = BasicPublishOptions { mandatory: true, ..BasicPublishOptions::default() };
    let (exchange, body) = (queues.jobs.as_str().into(), job.what.as_bytes());
    let confirm = channel.basic_publish(exchange, NEW.into(), options, body, properties).await?;
    let answer = confirm.await.context("the broker did not answer for a job")?;
    ensure!(answer.is_ack() && answer.take_message().is_none(), "the broker did not take job {}", job.id);
    Ok(())
}
