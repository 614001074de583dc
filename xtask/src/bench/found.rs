//! What the measuring programs print, gathered.

use std::collections::BTreeMap;

use crate::statistics::Summary;

/// The floor's place in a row.
const FLOOR: &str = "floor";

/// Everything that was found, by row and who.
#[derive(Debug, Default)]
pub(crate) struct Found {
    /// Per round, the floor's nanoseconds and the case's.
    time: BTreeMap<Case, Vec<(f64, f64)>>,
    /// Per number of threads and round, the nanoseconds that one piece of work takes each of them.
    threads: BTreeMap<(Case, usize), Vec<f64>>,
    instructions: BTreeMap<Case, f64>,
    allocations: BTreeMap<Case, usize>,
}

type Case = (String, String);

impl Found {
    /// Takes what one program printed; lines of other kinds are cargo's.
    pub(crate) fn read(&mut self, output: &str) {
        for line in output.lines() {
            let words: Vec<&str> = line.split('|').map(str::trim).collect();
            let _ = self.read_line(&words);
        }
    }

    fn read_line(&mut self, words: &[&str]) -> Option<()> {
        let case = |row: &str, who: &str| (row.to_owned(), who.to_owned());
        match words {
            ["time", row, who, floor, ours] => {
                let times = (floor.parse().ok()?, ours.parse().ok()?);
                self.time.entry(case(row, who)).or_default().push(times);
            }
            ["threads", row, who, threads, took] => {
                let place = (case(row, who), threads.parse().ok()?);
                self.threads.entry(place).or_default().push(took.parse().ok()?);
            }
            ["allocations", row, who, count, _bytes] => {
                self.allocations.insert(case(row, who), count.parse().ok()?);
            }
            [row, who, count, _ratio, _limit] => {
                self.instructions.insert(case(row, who), count.parse().ok()?);
            }
            _ => return None,
        }
        Some(())
    }

    /// How many times the floor's time a case takes.
    pub(crate) fn ratio(&self, row: &str, who: &str) -> Option<Summary> {
        let rounds = self.rounds(row, who)?;
        Summary::of(rounds.iter().map(|(floor, ours)| ours / floor))
    }

    /// Nanoseconds of a case.
    pub(crate) fn time(&self, row: &str, who: &str) -> Option<f64> {
        let rounds = self.rounds(row, who)?;
        Some(Summary::of(rounds.iter().map(|(_, ours)| *ours))?.median)
    }

    /// Nanoseconds of a row's floor, from beside each of its cases.
    pub(crate) fn floor_time(&self, row: &str) -> Option<f64> {
        let of_row = self.time.iter().filter(|((of, _), _)| of == row);
        let floors = of_row.flat_map(|(_, rounds)| rounds.iter().map(|(floor, _)| *floor));
        Some(Summary::of(floors)?.median)
    }

    fn rounds(&self, row: &str, who: &str) -> Option<&Vec<(f64, f64)>> {
        self.time.get(&(row.to_owned(), who.to_owned()))
    }

    /// How many rounds there were of the row that has the fewest.
    pub(crate) fn least_rounds(&self) -> usize {
        self.time.values().map(Vec::len).min().unwrap_or_default()
    }

    /// How many cases disagree with themselves from round to round, and how many there are.
    pub(crate) fn noisy(&self) -> (usize, usize) {
        let cases = self.time.keys().filter_map(|(row, who)| self.ratio(row, who));
        cases.fold((0, 0), |(noisy, all), summary| (noisy + usize::from(summary.is_noisy()), all + 1))
    }

    /// Times the floor's instructions.
    pub(crate) fn instructions(&self, row: &str, who: &str) -> Option<f64> {
        let of = |who: &str| self.instructions.get(&(row.to_owned(), who.to_owned()));
        Some(of(who)? / of(FLOOR)?)
    }

    /// Allocations of the floor and of a case.
    pub(crate) fn allocations(&self, row: &str, who: &str) -> Option<(usize, usize)> {
        let of = |who: &str| self.allocations.get(&(row.to_owned(), who.to_owned())).copied();
        Some((of(FLOOR)?, of(who)?))
    }

    /// Nanoseconds for one piece of work on each of so many threads.
    pub(crate) fn on_threads(&self, row: &str, who: &str, threads: usize) -> Option<f64> {
        let took = self.threads.get(&((row.to_owned(), who.to_owned()), threads))?;
        Some(Summary::of(took.iter().copied())?.median)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const OUTPUT: &str = "\
     Running benches/ratios.rs
time|amqp: inject|own|100.0|150.0
time|amqp: inject|own|200.0|400.0
time|amqp: inject|own|100.0|180.0
time|amqp: inject|stock|110.0|500.0
threads|amqp: inject, threads|own|4|400.0
allocations|amqp: inject|floor|3|200
allocations|amqp: inject|own|4|200
row                 | who   |   instr. | × floor |  limit
amqp: inject        | floor |      500 |    1.00 |
amqp: inject        | own   |     1250 |    2.50 |   2.97
";

    fn found() -> Found {
        let mut found = Found::default();
        found.read(OUTPUT);
        found
    }

    #[test]
    fn a_ratio_is_that_of_each_round() {
        let ratio = found().ratio("amqp: inject", "own");
        assert_eq!(ratio.map(|spread| spread.median), Some(1.8));
        assert_eq!(
            (found().time("amqp: inject", "own"), found().floor_time("amqp: inject")),
            (Some(180.0), Some(105.0))
        );
        // Of three rounds the middle half is all: 1.5 to 2.0.
        assert_eq!((found().least_rounds(), found().noisy()), (1, (1, 2)));
    }

    #[test]
    fn what_was_counted_stands_beside_the_floors() {
        assert_eq!(found().instructions("amqp: inject", "own"), Some(2.5));
        assert_eq!(found().allocations("amqp: inject", "own"), Some((3, 4)));
        assert_eq!(found().allocations("amqp: inject", "nobody"), None);
    }

    #[test]
    fn threads_have_a_time_for_each_number() {
        let on = |threads| found().on_threads("amqp: inject, threads", "own", threads);
        assert_eq!((on(4), on(2)), (Some(400.0), None));
    }

    #[test]
    fn a_line_that_is_none_of_ours_is_left_out() {
        let mut found = Found::default();
        found.read("time|a|b|x|y\na|b|c\n | | | | ");
        assert_eq!(found.least_rounds(), 0);
    }
}
