//! `cargo xtask load`: the end-to-end measurement on real brokers, a section of BENCHMARKS.md.

mod client;
mod plan;
mod table;

use std::fmt::Write as _;
use std::fs;
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};

use self::client::Client;
use self::plan::{PARTS, Part, SOAK, Size, order};
use self::table::{Runs, grouped, table};
use crate::brokers::{self, Addresses};
use crate::containers::Run;
use crate::images::{self, KAFKA, RABBITMQ};
use crate::{engine, machine, run, signals};

/// What the soak may take.
const SOAK_LIMIT: Duration = Duration::from_secs(240);

/// Measures, and writes what was found to `target/load.md`.
pub(crate) fn load(is_quick: bool, names: &[String]) -> anyhow::Result<u8> {
    let known = || PARTS.iter().map(|part| part.name).chain([SOAK]);
    for name in names {
        let all = known().collect::<Vec<_>>().join(", ");
        ensure!(known().any(|known| known == name), "there is no part `{name}`; there are {all}");
    }
    machine::provide_compilers()?;
    engine::ensure()?;
    let (rabbitmq, kafka) = (images::ensure(&RABBITMQ)?, images::ensure(&KAFKA)?);
    let addresses = Addresses::free()?;
    let client = Client::build(addresses)?;

    let run_id = Run::new();
    let _reaper = run_id.reaper()?;
    let size = if is_quick { Size::QUICK } else { Size::FULL };
    let wanted = |name: &str| names.is_empty() || names.iter().any(|wanted| wanted == name);
    let report =
        brokers::start(&run_id, &rabbitmq, &kafka, addresses).and_then(|()| measure(&client, size, wanted));
    run::step("Removing the brokers");
    run_id.remove().context("the brokers could not be removed")?;
    run::say("they are gone");
    let (report, is_good) = report?;
    // BENCHMARKS.md takes what is there, and a part or a quick run is not for it.
    let is_whole = !is_quick && names.is_empty();
    let path = if is_whole { machine::target() } else { machine::state() }.join("load.md");
    fs::write(&path, &report).with_context(|| format!("cannot write {}", path.display()))?;
    println!("\n{report}");
    run::say(&format!("this is in {} as well", path.display()));
    Ok(u8::from(!is_good))
}

/// The report, and whether every part could be measured and memory was flat. A missed target is no failure: it is a result.
fn measure(client: &Client, size: Size, wanted: impl Fn(&str) -> bool) -> anyhow::Result<(String, bool)> {
    let before = load_average();
    let (mut tables, mut is_good) = (Vec::new(), true);
    let mut take = |title: &str, result: anyhow::Result<(String, bool)>| {
        ensure!(!signals::interrupted(), "interrupted");
        // Minutes of measurements are not lost with the part that failed.
        let (table, is_part_good) = result.unwrap_or_else(|error| {
            run::say(&format!("FAILED: {title}: {error:#}"));
            (format!("### {title}\n\nNot measured: {error:#}\n"), false)
        });
        tables.push(table);
        is_good &= is_part_good;
        Ok(())
    };
    for part in PARTS.iter().filter(|part| wanted(part.name)) {
        take(part.title, rounds(client, part, size).map(|table| (table, true)))?;
    }
    if wanted(SOAK) {
        take("Soak", soak(client, size))?;
    }
    let mut report = String::new();
    let _ = writeln!(
        report,
        "Bodies of 100 bytes; client and broker share one machine ({} CPUs, load average {before} before and {} after). \
         Each variant is a process of its own; they run in turn, and a ratio is of two runs of one round: its median, \
         and the middle half of all rounds. A target counts as met or missed where the median is on that side of it with a confidence of \
         95 %.\n",
        std::thread::available_parallelism().map_or(0, usize::from),
        load_average()
    );
    report.push_str(&tables.join("\n"));
    Ok((report, is_good))
}

/// Runs all variants in turn, again and again.
fn rounds(client: &Client, part: &Part, size: Size) -> anyhow::Result<String> {
    run::step(part.title);
    let messages = part.messages / size.divisor;
    let (count, limit) = (part.variants.len(), Duration::from_secs(60 * part.minutes));
    let (began, mut all) = (Instant::now(), vec![Runs::new(); count]);
    // The first runs find a broker that has compiled nothing yet.
    client.run(part.name, "bare", messages)?;
    client.run(part.name, "ready", messages)?;
    let rounds = part.rounds.min(size.rounds);
    for round in 0..rounds {
        if began.elapsed() > limit {
            run::say(&format!("no more rounds: {} minutes are over", part.minutes));
            break;
        }
        let mut rates = Vec::new();
        for index in order(count, round) {
            let Some((variant, runs)) = part.variants.get(index).zip(all.get_mut(index)) else { continue };
            let figures = client.run(part.name, variant.name, messages)?;
            rates.push(format!("{} {}/s", variant.name, grouped(figures.per_second as u64)));
            runs.push(figures);
        }
        run::say(&format!("round {} of {}: {}", round + 1, rounds, rates.join(", ")));
    }
    Ok(table(&Part { messages, ..*part }, &all))
}

/// Runs the soak; it is good where memory does not grow by more than the client allows.
fn soak(client: &Client, size: Size) -> anyhow::Result<(String, bool)> {
    run::step("Soak");
    let output = client.output(SOAK, "all", size.soak_messages, SOAK_LIMIT)?;
    let value = |line: &str, name: &str| -> Option<u64> {
        line.split_whitespace().find_map(|pair| pair.strip_prefix(name)?.strip_prefix('='))?.parse().ok()
    };
    let mut text = "### Soak\n\n".to_owned();
    let _ = writeln!(
        text,
        "{} messages to Kafka and back in one process, half by level 1 and half by level 2 with recorded spans and \
         metrics.\n\n| messages | resident MiB |\n| --- | --- |",
        grouped(size.soak_messages.into())
    );
    for line in output.lines() {
        let Some((messages, kib)) = value(line, "messages").zip(value(line, "rss_kib")) else { continue };
        run::say(line);
        let _ = writeln!(text, "| {} | {:.1} |", grouped(messages), kib as f64 / 1_024.0);
    }
    let growth = output.lines().find_map(|line| value(line, "grown_kib").zip(value(line, "allowed_kib")));
    let (grown, allowed) = growth.context("the soak did not say how much memory grew")?;
    let _ = writeln!(
        text,
        "\nFrom the second point on memory grew by {:.1} MiB; more than {:.0} MiB is a failure.",
        grown as f64 / 1_024.0,
        allowed as f64 / 1_024.0
    );
    Ok((text, grown <= allowed))
}

fn load_average() -> String {
    let text = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    text.split_whitespace().next().unwrap_or("unknown").to_owned()
}
