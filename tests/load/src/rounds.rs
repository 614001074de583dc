//! Runs all variants in turn, again and again, each as a process of its own.

use std::fmt::Write as _;
use std::fs;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, anyhow, ensure};
use carrier_measure::tables;

use crate::plan::{PARTS, Part, SOAK};
use crate::table::{grouped, table};
use crate::usage::Figures;

/// Measures, and returns whether every part could be measured and memory was flat. A missed target is a result and no
/// failure. A whole run writes its tables into BENCHMARKS.md; a quick one shows that everything works.
pub(crate) async fn measure(is_quick: bool, names: &[&str]) -> anyhow::Result<bool> {
    let known: Vec<&str> = PARTS.iter().map(|part| part.name).chain([SOAK]).collect();
    for name in names {
        ensure!(known.contains(name), "there is no part `{name}`; there are {}", known.join(", "));
    }
    let amqp = carrier_tests::rabbitmq().await.url().to_owned();
    let client = Client { amqp, kafka: carrier_tests::kafka().await.brokers().to_owned() };
    let before = load_average();
    let (mut text, mut is_good) = (String::new(), true);
    let wanted = |name: &str| names.is_empty() || names.contains(&name);
    let mut take = |title: &str, result: anyhow::Result<String>| {
        // Minutes of measurements are not lost with the part that failed.
        is_good &= result.is_ok();
        let table = result.unwrap_or_else(|error| format!("Not measured: {error:#}\n"));
        let _ = writeln!(text, "### {title}\n\n{table}");
    };
    for part in PARTS.into_iter().filter(|part| wanted(part.name)) {
        let part = match is_quick {
            true => Part { messages: part.messages / 20, rounds: 2, ..part },
            false => part,
        };
        take(part.title, rounds(&client, &part));
    }
    if wanted(SOAK) {
        let messages = if is_quick { 50_000 } else { 1_000_000 };
        for (broker, title) in [("kafka", "Soak: Kafka"), ("rabbitmq", "Soak: RabbitMQ")] {
            take(title, client.run(SOAK, broker, messages));
        }
    }
    let text = format!(
        "Bodies of 100 bytes; client and broker share one machine ({} CPUs, load average {before} before and {} after).\n\n\
         {text}",
        std::thread::available_parallelism().map_or(0, usize::from),
        load_average()
    );
    println!("\n{text}");
    if !is_quick && names.is_empty() {
        tables::write(&[("load", text)]).map_err(anyhow::Error::msg)?;
    }
    Ok(is_good)
}

fn rounds(client: &Client, part: &Part) -> anyhow::Result<String> {
    println!("{}", part.title);
    let (count, began) = (part.variants.len(), Instant::now());
    let mut all = vec![Vec::<Figures>::new(); count];
    // The first runs find a broker that has compiled nothing yet.
    client.run(part.name, "bare", part.messages)?;
    client.run(part.name, "ready", part.messages)?;
    for round in 0..part.rounds {
        if began.elapsed() > Duration::from_secs(60 * part.minutes) {
            println!("no more rounds: {} minutes are over", part.minutes);
            break;
        }
        let mut rates = Vec::new();
        for index in order(count, round) {
            let (variant, ..) = part.variants[index];
            let line = client.run(part.name, variant, part.messages)?;
            let figures = line.split_whitespace().filter_map(|word| word.parse().ok()).collect::<Vec<f64>>();
            let figures: Figures = figures.try_into().map_err(|_| anyhow!("{variant} printed {line}"))?;
            rates.push(format!("{variant} {}/s", grouped(figures[0] as u64)));
            all[index].push(figures);
        }
        println!("round {} of {}: {}", round + 1, part.rounds, rates.join(", "));
    }
    Ok(table(part, &all))
}

/// The order of a round: each begins with another variant, and every second one goes backwards, so that the predecessor of
/// a variant is not always the same.
fn order(count: usize, round: usize) -> Vec<usize> {
    let forward = (0..count).map(|index| (index + round) % count);
    if round.is_multiple_of(2) { forward.collect() } else { forward.rev().collect() }
}

struct Client {
    amqp: String,
    kafka: String,
}

impl Client {
    /// Runs one variant once, and returns what it printed.
    fn run(&self, part: &str, variant: &str, messages: u32) -> anyhow::Result<String> {
        let mut command = Command::new(std::env::current_exe()?);
        command.args(["run", part, variant, &messages.to_string()]).stderr(Stdio::inherit());
        command.env("AMQP_URL", &self.amqp).env("KAFKA_BROKERS", &self.kafka);
        let output = command.output().context("cannot run this program again")?;
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        ensure!(output.status.success(), "{part} {variant} failed ({})\n{text}", output.status);
        Ok(text)
    }
}

fn load_average() -> String {
    let text = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    text.split_whitespace().next().unwrap_or("unknown").to_owned()
}
