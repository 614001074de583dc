//! BENCHMARKS.md.

use std::fmt::Write as _;

use super::facts::Facts;
use super::found::Found;
use super::notes::{END_TO_END, HOW, NOTES, PEERS_BEHIND, PEERS_IN_WORDS};
use super::targets::{INSTRUMENTATION, PEERS, PROPAGATION, PUBLISHED, Target};
use crate::statistics::{NOISY, Summary, Verdict};

/// Whom a row may have of ours.
const OURS: [&str; 3] = ["own", "default", "registered"];

/// The whole text. `loads` is how busy the machine was before and after; `end_to_end` what `cargo xtask load` found.
pub(crate) fn report(found: &Found, facts: &Facts, loads: (f64, f64), end_to_end: Option<&str>) -> String {
    let mut text = String::from("# Benchmarks\n\n<!-- Written by `cargo xtask bench`. -->\n\n");
    text += HOW;
    text += &conditions(found, facts, loads);
    text += "\n## Propagation\n\n";
    text += &table(found, &PROPAGATION);
    text += "\n## Instrumentation, metrics off\n\n";
    text += &table(found, &INSTRUMENTATION);
    text += &explained(found);
    text += "\n## What it grows with\n\n![Cost against the number of headers, the length of tracestate and the number of threads](tests/measure/benchmarks.svg)\n";
    text += "\n## What is used instead\n\n";
    text += PEERS_IN_WORDS;
    text += &peers(found);
    text += PEERS_BEHIND;
    text += "\n## End to end, on real brokers\n\n";
    text += END_TO_END;
    text += end_to_end.map_or("Not measured: `cargo xtask load` does it.", str::trim);
    text + "\n"
}

fn conditions(found: &Found, facts: &Facts, (before, after): (f64, f64)) -> String {
    let Facts { date, cpu, cores, system, compiler, versions } = facts;
    let (noisy, all) = found.noisy();
    let rounds = found.least_rounds();
    let mut text = format!(
        "\n## The run\n\n{date}, {rounds} rounds. {cpu}, {cores} cores, {system}; {compiler}; {versions}. Processes that wanted a core: \
         {before:.1} before, {after:.1} after.\n\n"
    );
    if noisy * 4 > all {
        text += "**The machine was too busy to conclude anything**: ";
    }
    let _ = writeln!(
        text,
        "Of {all} cases {noisy} disagreed with themselves from round to round by more than {:.0} % (the range of the middle \
         half of the rounds, as a part of the median).",
        NOISY * 100.0
    );
    text
}

fn table(found: &Found, targets: &[Target]) -> String {
    let mut text = String::from(
        "| path | floor | ns | own | default | registered | target | result | allocations | instructions |\n\
         | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |\n",
    );
    for Target { row, floor, times } in targets {
        let [own, default, registered] = OURS.map(|who| found.ratio(row, who).map_or("–".into(), shown));
        let allocations = found.allocations(row, "own");
        let allocations = allocations.map_or("–".into(), |(floor, ours)| format!("{floor} → {ours}"));
        let instructions =
            found.instructions(row, "own").map_or("–".into(), |times| format!("{times:.2} ×"));
        let _ = writeln!(
            text,
            "| {row} | {floor} | {} | {own} | {default} | {registered} | {} | {} | {allocations} | {instructions} |",
            found.floor_time(row).map_or("–".into(), |time| format!("{time:.0}")),
            times.map_or("–".into(), |times| format!("{times}")),
            times.map_or("–".into(), |times| result(found, row, times))
        );
    }
    text
}

/// A median and the range of the middle half.
fn shown(Summary { low, median, high, .. }: Summary) -> String {
    format!("{median:.2} ({low:.2}–{high:.2})")
}

/// One word where all of ours agree, else one for each.
fn result(found: &Found, row: &str, target: f64) -> String {
    let of = |who: &&'static str| Some((*who, found.ratio(row, who)?.at_most(target)));
    let verdicts: Vec<(&str, Verdict)> = OURS.iter().filter_map(of).collect();
    match verdicts.as_slice() {
        [] => "not measured".into(),
        [(_, first), rest @ ..] if rest.iter().all(|(_, verdict)| verdict == first) => first.as_str().into(),
        all => all
            .iter()
            .map(|(who, verdict)| format!("{who} {}", verdict.as_str()))
            .collect::<Vec<_>>()
            .join(", "),
    }
}

/// A paragraph for each row of which something is over its target.
fn explained(found: &Found) -> String {
    let targets = PROPAGATION.iter().chain(&INSTRUMENTATION);
    let is_over = |target: &&Target| {
        let over = |times: f64| {
            OURS.iter().any(|who| found.ratio(target.row, who).is_some_and(|found| found.median > times))
        };
        target.times.is_some_and(over)
    };
    let over: Vec<&str> = targets.filter(is_over).map(|target| target.row).collect();
    if over.is_empty() {
        return String::new();
    }
    let mut text = String::from("\n### What is over its target, and what stands in the way\n");
    let mut left = over.clone();
    for (rows, note) in NOTES {
        let of_note: Vec<&str> = rows.iter().copied().filter(|row| over.contains(row)).collect();
        left.retain(|row| !of_note.contains(row));
        if !of_note.is_empty() {
            let _ = writeln!(text, "\n**{}.** {note}", of_note.join("; "));
        }
    }
    for row in left {
        let _ = writeln!(text, "\n**{row}.** Not explained yet.");
    }
    text
}

fn peers(found: &Found) -> String {
    let mut text = String::from(
        "\n| work | who | ns | ours, ns | times ours | target |\n| --- | --- | --- | --- | --- | --- |\n",
    );
    for (row, who, target) in PEERS {
        let (Some(theirs), Some(ours)) = (found.time(row, who), found.time(row, "own")) else { continue };
        let times = found
            .ratio(row, who)
            .zip(found.ratio(row, "own"))
            .map_or(0.0, |(theirs, ours)| theirs.median / ours.median);
        let target = target.map_or("–".into(), |target| {
            format!("{target}, {}", if times >= target { Verdict::Met } else { Verdict::Missed }.as_str())
        });
        let _ = writeln!(text, "| {row} | {who} | {theirs:.0} | {ours:.0} | {times:.1} | {target} |");
    }
    for row in PUBLISHED {
        for who in ["streameroo", "krabka-trace-context"] {
            let (Some(theirs), Some(ours)) = (found.time(row, who), found.floor_time(row)) else { continue };
            let times = found.ratio(row, who).map_or(0.0, |times| times.median);
            let _ = writeln!(text, "| {row} | {who} | {theirs:.0} | {ours:.0} | {times:.1} | – |");
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(lines: &str, end_to_end: Option<&str>) -> String {
        let mut found = Found::default();
        found.read(lines);
        let facts = Facts {
            date: "2026-01-02".into(),
            cpu: "A".into(),
            cores: 2,
            system: "Linux".into(),
            compiler: "rustc 1".into(),
            versions: "lapin 4".into(),
        };
        report(&found, &facts, (0.5, 1.0), end_to_end)
    }

    fn line<'a>(text: &'a str, start: &str) -> &'a str {
        text.lines().find(|line| line.starts_with(start)).unwrap_or_default()
    }

    #[test]
    fn a_row_says_what_was_found_and_whether_that_is_enough() {
        let rounds =
            "time|kafka: inject, 5 headers|own|100|120\ntime|kafka: inject, 5 headers|registered|100|200\n"
                .repeat(6);
        let allocations =
            "allocations|kafka: inject, 5 headers|floor|0|0\nallocations|kafka: inject, 5 headers|own|1|55";
        let text = text(&(rounds + allocations), None);
        let row = line(&text, "| kafka: inject, 5 headers");
        assert!(row.contains("| 100 | 1.20 (1.20–1.20) | – | 2.00 (2.00–2.00) | 1.3 | own met, registered **missed** | 0 → 1 |"), "{row}");
        assert!(line(&text, "| kafka: inject, no headers").contains("not measured"));
    }

    #[test]
    fn a_busy_machine_is_called_one() {
        let noise = "time|a|own|100|100\ntime|a|own|100|300\ntime|a|own|100|500";
        assert!(text(noise, None).contains("too busy to conclude"));
        assert!(!text("time|a|own|100|100", None).contains("too busy to conclude"));
    }

    #[test]
    fn what_is_over_has_its_paragraph() {
        let over = text("time|amqp: inject, table of 5|own|100|300", None);
        assert!(over.contains("**amqp: inject, table of 5") && !over.contains("Not explained"));
        assert!(!text("time|amqp: inject, table of 5|own|100|100", None).contains("stands in the way"));
    }

    #[test]
    fn the_end_to_end_measurement_is_taken_over() {
        assert!(text("", Some("1,000 messages a second")).contains("1,000 messages a second"));
        assert!(text("", None).contains("cargo xtask load"));
    }

    #[test]
    fn every_row_that_can_be_over_has_an_explanation() {
        let targets = PROPAGATION.iter().chain(&INSTRUMENTATION);
        for target in targets.filter(|target| target.times.is_some()) {
            assert!(NOTES.iter().any(|(rows, _)| rows.contains(&target.row)), "{}", target.row);
        }
    }
}
