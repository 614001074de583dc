//! Connections that are lost again and again: a process with us and one with the client alone, and their memory.

pub(crate) mod kafka;
mod rabbitmq;

use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context as _, bail, ensure};
use carrier_tests::telemetry::Meters;
use opentelemetry_sdk::trace::SdkTracerProvider;
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::Command;
use tokio::time::timeout;

use crate::proxy::Proxy;
use crate::report::mib;
use crate::spans::Spans;
use crate::work::until;

/// How often the connections are lost.
const ROUNDS: u32 = 50;

/// Memory is looked at after so many rounds.
const PIECE: u32 = 10;

/// Messages of a round. The connections are cut when the second half is on its way.
const MESSAGES: u32 = 200;

/// How much more than the client alone a process may grow after the first piece.
const GROWTH_MIB: f64 = 4.0;

const LIMIT: Duration = Duration::from_secs(150);

const VARIANTS: [&str; 2] = ["with us", "the client alone"];

/// The memory of one process after each piece.
#[derive(Clone, Debug)]
pub(crate) struct Series {
    broker: &'static str,
    variant: &'static str,
    mib: Vec<f64>,
    spans: String,
}

pub(crate) const HEAD: &str = "| broker | process | MiB after 10 | 20 | 30 | 40 | 50 | grown | spans |\n\
     | --- | --- | --- | --- | --- | --- | --- | --- | --- |";

impl Series {
    fn grown(&self) -> f64 {
        self.mib.last().unwrap_or(&0.0) - self.mib.first().unwrap_or(&0.0)
    }

    pub(crate) fn line(&self) -> String {
        let Self { broker, variant, mib, spans } = self;
        let mib: Vec<_> = mib.iter().map(|mib| format!("{mib:.1}")).collect();
        format!("| {broker} | {variant} | {} | {:.1} | {spans} |", mib.join(" | "), self.grown())
    }
}

/// What is wrong with the two processes of each broker.
pub(crate) fn problems(all: &[Series]) -> Vec<String> {
    let too_much = |pair: &&[Series]| pair[0].grown() > pair[1].grown().max(0.0) + GROWTH_MIB;
    let text = |pair: &[Series]| {
        format!(
            "{}: with us, {:.1} MiB more after {ROUNDS} lost connections",
            pair[0].broker,
            pair[0].grown()
        )
    };
    all.chunks_exact(2).filter(too_much).map(text).collect()
}

/// Runs both processes of a broker behind proxies, which are cut when the process says so.
pub(crate) async fn observe(
    broker: &'static str,
    address: &str,
    proxies: &[Proxy],
) -> anyhow::Result<Vec<Series>> {
    let mut all = Vec::new();
    for variant in VARIANTS {
        let series = timeout(LIMIT, one(broker, variant, address, proxies)).await;
        let series = series.context("the lost connections take too long")??;
        println!("{}", series.line());
        all.push(series);
    }
    Ok(all)
}

async fn one(
    broker: &'static str,
    variant: &'static str,
    address: &str,
    proxies: &[Proxy],
) -> anyhow::Result<Series> {
    let mut child = Command::new(std::env::current_exe()?);
    child
        .args(["lose", broker, variant, address])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .kill_on_drop(true);
    let mut child = child.spawn()?;
    let mut lines = BufReader::new(child.stdout.take().context("the process has no output")?).lines();
    let mut series = Series { broker, variant, mib: Vec::new(), spans: String::new() };
    while let Some(line) = lines.next_line().await? {
        match line.split_once(' ') {
            Some(("memory", mib)) => series.mib.push(mib.parse()?),
            Some(("spans", spans)) => spans.clone_into(&mut series.spans),
            _ => proxies.iter().for_each(Proxy::cut),
        }
    }
    let status = child.wait().await?;
    ensure!(status.success(), "{broker}, {variant}: {status}");
    Ok(series)
}

fn cut() {
    println!("cut");
}

/// The process. It fails if a span does not end exactly once.
pub(crate) async fn lose(broker: &str, variant: &str, address: &str) -> anyhow::Result<()> {
    let (spans, meters) = (Spans::default(), Meters::new());
    let provider = SdkTracerProvider::builder().with_span_processor(spans.clone()).build();
    let is_ours = variant == VARIANTS[0];
    match broker {
        crate::rabbitmq::BROKER => {
            let amqp = carrier_amqp::Instrumentation::builder().url(address)?.tracer_provider(provider);
            let amqp = amqp.meter_provider(meters.provider().clone()).build();
            rabbitmq::lose(is_ours.then_some(&amqp), address).await?;
        }
        crate::kafka::BROKER => {
            let kafka = carrier_kafka::Instrumentation::builder().tracer_provider(provider);
            let kafka = kafka.meter_provider(meters.provider().clone()).build();
            kafka::lose(is_ours.then_some(&kafka), address).await?;
        }
        _ => bail!("there is no such broker"),
    }
    let _ = until("all spans", LIMIT / 10, || spans.count().open() == 0).await;
    let count = spans.count();
    ensure!(
        count.each_ended_once(),
        "{} spans are open, {} ended out of turn",
        count.open(),
        count.out_of_turn
    );
    println!("spans {} started, {} ended", count.started, count.ended);
    Ok(())
}

/// To be called after each round.
fn lost(round: u32) -> anyhow::Result<()> {
    if round.is_multiple_of(PIECE) {
        println!("memory {}", mib()?);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_the_client_alone_does_not_need_is_too_much() {
        let pair = |ours: f64, bare: f64| {
            [ours, bare].map(|to| Series {
                broker: "RabbitMQ",
                variant: "",
                mib: vec![10.0, 10.0 + to],
                spans: String::new(),
            })
        };
        assert!(problems(&pair(10.0, 7.0)).is_empty());
        assert_eq!(problems(&pair(5.0, -3.0)).len(), 1);
    }
}
