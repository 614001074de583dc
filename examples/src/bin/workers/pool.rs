//! Starts the workers, hands out the jobs, and waits until every job has come to an end.

use std::time::Duration;

use anyhow::{Context as _, bail};
use carrier_amqp::Instrumentation;
use lapin::options::{BasicConsumeOptions, BasicQosOptions, ConfirmSelectOptions};
use lapin::types::FieldTable;
use lapin::{Channel, Connection, Consumer};
use tokio::sync::mpsc::unbounded_channel;
use tokio::{select, task, time};

use crate::job::JOBS;
use crate::options::Options;
use crate::publisher::order;
use crate::queues::Queues;
use crate::worker::{Ended, Worker};

/// How many jobs a worker may have in its hands and its pocket. Few, where jobs take long.
const PREFETCH: u16 = 2;

/// How long it may take until all is done.
const LIMIT: Duration = Duration::from_secs(20);

/// Returns how each job ended. One that is missing did not end in time.
pub(crate) async fn run(
    connection: &Connection,
    amqp: &Instrumentation,
    queues: &Queues,
    options: &Options,
) -> anyhow::Result<Vec<Ended>> {
    let (sender, mut receiver) = unbounded_channel();
    let mut channels = Vec::new();
    let mut tasks = task::JoinSet::new();
    for number in 0..=options.workers {
        let attends_the_dead = number == options.workers;
        let queue = if attends_the_dead { &queues.dead } else { &queues.jobs }.clone();
        let (channel, deliveries) = consume(connection, &queue).await?;
        channels.push((channel, deliveries.tag()));
        let worker =
            Worker { amqp: amqp.clone(), queue, deliveries, forgets: options.forgets, ended: sender.clone() };
        let _ = match attends_the_dead {
            true => tasks.spawn(worker.mourn()),
            false => tasks.spawn(worker.work()),
        };
    }

    // In confirm mode, so that the span of a message ends when the broker has it.
    let publisher = amqp.channel(connection.create_channel().await?);
    publisher.confirm_select(ConfirmSelectOptions::default()).await?;
    for job in &JOBS {
        order(&publisher, queues, job).await?;
    }

    let mut ended = Vec::new();
    let limit = time::sleep(LIMIT);
    tokio::pin!(limit);
    while ended.len() < JOBS.len() {
        select! {
            Some(end) = receiver.recv() => ended.push(end),
            Some(done) = tasks.join_next() => {
                done.context("a worker ended early")??;
                bail!("a worker ended early");
            }
            () = &mut limit => break,
        }
    }
    // No more jobs; the workers end when they have settled what they have.
    for (channel, tag) in channels {
        channel.basic_cancel(tag, Default::default()).await?;
    }
    while let Some(done) = tasks.join_next().await {
        done??;
    }
    Ok(ended)
}

async fn consume(connection: &Connection, queue: &str) -> lapin::Result<(Channel, Consumer)> {
    let channel = connection.create_channel().await?;
    channel.basic_qos(PREFETCH, BasicQosOptions::default()).await?;
    let options = BasicConsumeOptions::default();
    let deliveries = channel.basic_consume(queue.into(), "".into(), options, FieldTable::default()).await?;
    Ok((channel, deliveries))
}
