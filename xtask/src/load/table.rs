//! The results, as a table in Markdown.

use std::fmt::Write as _;

use super::client::Figures;
use super::plan::Part;
use crate::statistics::{Summary, Verdict};

/// One variant's runs, in the order of the rounds.
pub(crate) type Runs = Vec<Figures>;

/// The table of a part; `all` has the runs of each variant, all of the same rounds.
pub(crate) fn table(part: &Part, all: &[Runs]) -> String {
    let rounds = all.first().map_or(0, Vec::len);
    let messages = part.messages;
    let mut text = format!("### {}\n\n", part.title);
    let _ = writeln!(text, "Medians of {rounds} rounds of {} messages.\n", grouped(messages.into()));
    let mut heads = vec!["".to_owned(), "messages/s".to_owned()];
    heads.extend(part.floors.iter().map(|floor| format!("throughput: {} = 1", says(part, floor))));
    heads.extend(["CPU µs/message", "CPU: the same", "peak MiB", "target", ""].map(str::to_owned));
    let _ = writeln!(text, "| {} |\n|{}", heads.join(" | "), " --- |".repeat(heads.len()));
    for (variant, runs) in part.variants.iter().zip(all) {
        let median = |value: fn(&Figures) -> f64| Summary::of(runs.iter().map(value)).map(|all| all.median);
        let mut cells = vec![variant.says.to_owned()];
        cells.push(median(|run| run.per_second).map_or_else(String::new, |rate| grouped(rate as u64)));
        let mut first = None;
        for floor in part.floors {
            let summary = ratios(part, all, floor, runs, |run| run.per_second);
            first = first.or(summary);
            cells.push(summary.filter(|_| variant.name != *floor).map_or_else(String::new, ratio));
        }
        cells.push(median(|run| run.cpu_micros).map_or_else(String::new, |cpu| format!("{cpu:.2}")));
        let floor = part.floors.first().filter(|floor| **floor != variant.name);
        let cpu = floor.and_then(|floor| ratios(part, all, floor, runs, |run| run.cpu_micros));
        cells.push(cpu.map_or_else(String::new, ratio));
        cells.push(median(|run| run.peak_mib).map_or_else(String::new, |peak| format!("{peak:.0}")));
        cells.push(variant.target.map_or_else(String::new, |target| format!("≥ {target:.2}")));
        let verdict = variant.target.and_then(|target| Some(first?.at_least(target)));
        cells.push(verdict.map_or("", Verdict::as_str).to_owned());
        let _ = writeln!(text, "| {} |", cells.join(" | "));
    }
    text
}

/// The ratios to the floor's runs of the same rounds.
fn ratios(
    part: &Part,
    all: &[Runs],
    floor: &str,
    runs: &Runs,
    value: fn(&Figures) -> f64,
) -> Option<Summary> {
    let index = part.variants.iter().position(|variant| variant.name == floor)?;
    let pairs = runs.iter().zip(all.get(index)?);
    Summary::of(pairs.map(|(run, floor)| value(run) / value(floor)))
}

fn says<'a>(part: &'a Part, name: &str) -> &'a str {
    part.variants.iter().find(|variant| variant.name == name).map_or("", |variant| variant.says)
}

fn ratio(summary: Summary) -> String {
    format!("{:.3} ({:.2}–{:.2})", summary.median, summary.low, summary.high)
}

/// 1234567 as 1,234,567.
pub(crate) fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::load::plan::PARTS;

    #[test]
    fn numbers_are_grouped_by_thousands() {
        let grouped = [0, 999, 1_000, 1_234_567].map(grouped);
        assert_eq!(grouped, ["0", "999", "1,000", "1,234,567"]);
    }

    #[test]
    fn a_ratio_is_of_two_runs_of_one_round() {
        let run = |per_second| Figures { per_second, cpu_micros: 1e6 / per_second, peak_mib: 1.0 };
        // The second round is half as fast for everybody, and that is no noise.
        let floor: Runs = (0..6).map(|round| run(if round == 1 { 500.0 } else { 1_000.0 })).collect();
        let ours: Runs = floor.iter().map(|floor| run(floor.per_second * 0.98)).collect();
        let part = PARTS.iter().find(|part| part.name == "kafka-awaited").unwrap();
        let all: Vec<Runs> = part
            .variants
            .iter()
            .map(|variant| if variant.name == "bare" { floor.clone() } else { ours.clone() })
            .collect();
        let table = table(part, &all);
        let row = table.lines().find(|line| line.starts_with("| level 1")).unwrap();
        assert_eq!(
            row,
            "| level 1, sampled context | 980 | 0.980 (0.98–0.98) | 1020.41 | 1.020 (1.02–1.02) | 1 | ≥ 0.97 | met |"
        );
    }
}
