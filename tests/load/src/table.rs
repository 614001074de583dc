//! The results of a part, as a table in Markdown.

use std::fmt::Write as _;

use carrier_measure::statistics::{Summary, median};

use crate::plan::Part;
use crate::usage::Figures;

/// The table of a part; `all` has the runs of each variant, all of the same rounds.
pub(crate) fn table(part: &Part, all: &[Vec<Figures>]) -> String {
    let rounds = all.first().map_or(0, Vec::len);
    let mut text = format!("Medians of {rounds} rounds of {} messages.\n\n", grouped(part.messages.into()));
    let heads =
        "messages/s | throughput: the first = 1 | CPU µs/message | CPU: the same | peak MiB | target |";
    let _ = writeln!(text, "|  | {heads}  |\n|{}", " --- |".repeat(8));
    for ((_, says, target), runs) in part.variants.iter().zip(all) {
        let of = |figure: usize| median(runs.iter().map(|run| run[figure])).unwrap_or_default();
        // The ratios to the first variant's runs of the same rounds.
        let ratio = |figure: usize| {
            Summary::of(runs.iter().zip(&all[0]).map(|(run, first)| run[figure] / first[figure]))
        };
        let shown = |figure| {
            let shown = |all: Summary| format!("{:.3} ({:.2}–{:.2})", all.median, all.low, all.high);
            ratio(figure).map_or_else(String::new, shown)
        };
        let result =
            target.zip(ratio(0)).map(|(least, ratio)| format!("≥ {least:.2} | {}", ratio.at_least(least)));
        let _ = writeln!(
            text,
            "| {says} | {} | {} | {:.2} | {} | {:.0} | {} |",
            grouped(of(0) as u64),
            shown(0),
            of(1),
            shown(1),
            of(2),
            result.unwrap_or_else(|| " | ".to_owned()),
        );
    }
    text
}

/// 1234567 as 1,234,567.
pub(crate) fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let groups = digits.as_bytes().rchunks(3).rev().map(|group| String::from_utf8_lossy(group));
    groups.collect::<Vec<_>>().join(",")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::PARTS;

    #[test]
    fn a_ratio_is_of_two_runs_of_one_round() {
        let run = |per_second| [per_second, 1e6 / per_second, 1.0];
        // The second round is half as fast for everybody, and that is no noise.
        let floor: Vec<_> = (0..21).map(|round| run(if round == 1 { 500.0 } else { 1_000.0 })).collect();
        let ours: Vec<_> = floor.iter().map(|floor| run(floor[0] * 0.98)).collect();
        let part = PARTS.iter().find(|part| part.name == "rabbitmq").unwrap();
        let table = table(part, &[floor, ours.clone(), ours.clone(), ours.clone(), ours]);
        let row = table.lines().find(|line| line.starts_with("| level 1")).unwrap();
        assert_eq!(
            row,
            "| level 1, sampled context | 980 | 0.980 (0.98–0.98) | 1020.41 | 1.020 (1.02–1.02) | 1 | ≥ 0.97 | met |"
        );
        assert_eq!([0, 999, 1_000, 1_234_567].map(grouped), ["0", "999", "1,000", "1,234,567"]);
    }
}
