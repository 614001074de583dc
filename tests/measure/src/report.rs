//! What the measuring programs printed, as tables.

use std::fmt::Write as _;
use std::process::Command;

use carrier_measure::statistics::{NOISY, Summary, median};

/// The targets are in the comments there.
const LIMITS: &str = include_str!("../limits.txt");

/// The order of the lines of a row; others come last.
const ORDER: [&str; 6] = ["floor", "by hand", "installed", "own", "default", "registered"];

/// Who is compared with targets: the first of these that a row has.
const JUDGED: [&str; 2] = ["installed", "own"];

/// What was found.
#[derive(Debug, Default)]
pub(crate) struct Report {
    /// In the order in which they were measured: each row with who is in it.
    rows: Vec<(String, Vec<(String, Case)>)>,
    /// How many processes wanted a core, after each program.
    loads: Vec<String>,
}

fn entry<'a, T: Default>(list: &'a mut Vec<(String, T)>, key: &str) -> &'a mut T {
    let place = list.iter().position(|(known, _)| known == key).unwrap_or(list.len());
    if place == list.len() {
        list.push((key.to_owned(), T::default()));
    }
    &mut list[place].1
}

#[derive(Debug, Default)]
struct Case {
    /// Per round, the nanoseconds of the case, of its floor, and of hand-written code.
    times: Vec<Vec<f64>>,
    instructions: String,
    allocations: String,
}

impl Case {
    /// How many times the time of a floor it takes: 1 for the floor, 2 for hand-written code.
    fn ratio(&self, floor: usize) -> Option<Summary> {
        Summary::of(self.times.iter().filter_map(|times| Some(times.first()? / times.get(floor)?)))
    }

    fn median(&self, of: usize) -> Option<f64> {
        median(self.times.iter().filter_map(|times| times.get(of).copied()))
    }

    fn cells(&self, target: Option<f64>) -> String {
        let (floor, by_hand) = (self.ratio(1), self.ratio(2));
        let result = target.zip(by_hand.or(floor));
        let shown = |Summary { low, median, high, .. }| format!("{median:.2} ({low:.2}–{high:.2})");
        let cells = [
            by_hand.map(shown).unwrap_or_default(),
            floor.map(shown).unwrap_or_default(),
            self.instructions.clone(),
            self.allocations.clone(),
            result.map(|(most, ratio)| format!("{most}, {}", ratio.at_most(most))).unwrap_or_default(),
        ];
        cells.join(" | ")
    }
}

impl Report {
    /// Takes what one program printed; other lines are cargo's.
    pub(crate) fn read(&mut self, output: &str) {
        for line in output.lines() {
            let words: Vec<&str> = line.split('|').map(str::trim).collect();
            match words[..] {
                ["load", load] => self.loads.extend(load.split(' ').next().map(str::to_owned)),
                ["time", row, who, ref times @ ..] => {
                    let times = times.iter().filter_map(|time| time.parse().ok()).collect();
                    self.case(row, who).times.push(times);
                }
                ["allocations", row, who, count, _] => count.clone_into(&mut self.case(row, who).allocations),
                [row, who, count, _, _] if count.parse::<u64>().is_ok() => {
                    count.clone_into(&mut self.case(row, who).instructions);
                }
                _ => {}
            }
        }
    }

    fn case(&mut self, row: &str, who: &str) -> &mut Case {
        let cases = entry(&mut self.rows, row);
        entry(cases, "floor");
        entry(cases, who)
    }

    /// The parts of BENCHMARKS.md, by the names of their markers.
    pub(crate) fn parts(&self) -> Vec<(&'static str, String)> {
        let tables = ["amqp", "kafka", "core"].map(|area| (area, self.table(area)));
        [("run", self.conditions())].into_iter().chain(tables).collect()
    }

    fn table(&self, area: &str) -> String {
        let heads = "path | who | ns | times by hand | times the floor | instructions | allocations | target";
        let mut text = format!("| {heads} |\n|{}\n", " --- |".repeat(8));
        for (row, cases) in self.rows.iter().filter(|(row, _)| row.starts_with(&format!("{area}: "))) {
            let judged = JUDGED.into_iter().find(|who| cases.iter().any(|(of, _)| of == who));
            let mut cases: Vec<_> = cases.iter().collect();
            cases.sort_by_key(|(who, _)| ORDER.iter().position(|known| known == who).unwrap_or(ORDER.len()));
            for (who, case) in &cases {
                let target = target(row).filter(|_| judged == Some(who));
                // The floor is measured beside each of the others.
                let (name, time) = match who.as_str() {
                    "floor" => (&**row, median(cases.iter().filter_map(|(_, case)| case.median(1)))),
                    _ => ("", case.median(0)),
                };
                let time = time.map(|time| format!("{time:.0}")).unwrap_or_default();
                let _ = writeln!(text, "| {name} | {who} | {time} | {} |", case.cells(target));
            }
        }
        text
    }

    /// On what it was measured, and how much the rounds agree.
    fn conditions(&self) -> String {
        let script = r#"date -u +%F; sed -n 's/^model name[^:]*: //p' /proc/cpuinfo | head -n 1; nproc; uname -sm
            rustc --version; awk '/^name = "(opentelemetry(_sdk)?|lapin|rdkafka(-sys)?|http)"$/ { name = $3; getline
            print name, $3 }' Cargo.lock | tr -d '"'"#;
        let output = Command::new("sh").args(["-c", script]).output().map(|output| output.stdout);
        let facts = String::from_utf8_lossy(&output.unwrap_or_default()).trim().replace('\n', ", ");
        let cases = self.rows.iter().flat_map(|(_, cases)| cases).map(|(_, case)| case);
        let ratios: Vec<Summary> = cases.clone().filter_map(|case| case.ratio(1)).collect();
        let (all, noisy) = (ratios.len(), ratios.iter().filter(|ratio| ratio.is_noisy()).count());
        let busy = if noisy * 4 > all { "**The machine was too busy to conclude anything.** " } else { "" };
        let rounds = cases.map(|case| case.times.len()).filter(|rounds| *rounds > 0).min();
        format!(
            "{} rounds; date, processor, cores, system, compiler, crates: {facts}. Processes that wanted a core, after each \
             program: {}.\n\n{busy}Of {all} cases {noisy} disagreed with themselves from round to round by more than {:.0} % \
             (the range of the middle half of the rounds, as a part of the median).\n",
            rounds.unwrap_or_default(),
            self.loads.join(", "),
            NOISY * 100.0
        )
    }
}

/// The most time, as times that of hand-written code.
fn target(row: &str) -> Option<f64> {
    let limit = LIMITS.find(&format!("\n{row} |"))?;
    let (_, target) = LIMITS[..limit].rsplit_once("\n# ")?;
    target.lines().next()?.strip_prefix("target: ")?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    const ROUND: &str = "\
     Running benches/ratios.rs
time|kafka: inject, 5 headers|by hand|80|100
time|kafka: inject, 5 headers|installed|100|100|80
time|kafka: inject, 5 headers|stock|400|100|80
time|kafka: process, skipped|own|250|100
";
    const COUNTS: &str = "\
allocations|kafka: inject, 5 headers|floor|3|200
allocations|kafka: inject, 5 headers|installed|4|200
row                       | who       |   instr. | × floor |  limit
kafka: inject, 5 headers  | floor     |      500 |    1.00 |
kafka: inject, 5 headers  | installed |     1250 |    2.50 |   2.97
load|1.5 1 1
";

    #[test]
    fn a_line_says_what_was_found_and_whether_that_is_enough() {
        let mut report = Report::default();
        report.read(&ROUND.repeat(21));
        report.read(COUNTS);
        let [(_, run), _, (_, kafka), ..] = &report.parts()[..] else { panic!() };
        assert!(run.starts_with("21 rounds") && run.contains("program: 1.5.\n\nOf 4 cases 0"), "{run}");
        assert_eq!(
            kafka.lines().skip(2).collect::<Vec<_>>(),
            [
                "| kafka: inject, 5 headers | floor | 100 |  |  | 500 | 3 |  |",
                "|  | by hand | 80 |  | 0.80 (0.80–0.80) |  |  |  |",
                "|  | installed | 100 | 1.25 (1.25–1.25) | 1.00 (1.00–1.00) | 1250 | 4 | 1.3, met |",
                "|  | stock | 400 | 5.00 (5.00–5.00) | 4.00 (4.00–4.00) |  |  |  |",
                "| kafka: process, skipped | floor | 100 |  |  |  |  |  |",
                "|  | own | 250 |  | 2.50 (2.50–2.50) |  |  | 2, **missed** |",
            ]
        );
    }
}
