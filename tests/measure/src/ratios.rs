//! Time as a ratio, on a machine that does other things as well.

use std::{env, fs, iter};

use crate::meter::{Case, Meter, timer};
use crate::{ours, statistics};

/// How often floors and case take turns in one round.
const TURNS: usize = 80;

/// Measures each case and its floors in turn, batch by batch, and prints one line for each case and round:
/// `time|row|who|case|floor|by hand`, in nanoseconds.
///
/// What slows the machine down slows all of them, and a batch that was interrupted is far from the median, which is what is
/// printed. Whoever reads the lines judges the rounds: `cargo xtask bench`.
#[derive(Debug)]
pub struct Ratios(());

impl Ratios {
    /// Goes through the cases in as many rounds as `--rounds` of the command line says, or one.
    pub fn run(cases: impl Fn(&mut Self)) {
        let words: Vec<String> = env::args().collect();
        let given = words.iter().position(|word| word == "--rounds").and_then(|at| words.get(at + 1));
        let rounds = given.and_then(|rounds| rounds.parse().ok()).unwrap_or(1);
        ours::passes(|| (0..rounds).for_each(|_| cases(&mut Self(()))));
        // How many processes wanted a core in the last minute.
        println!("load|{}", fs::read_to_string("/proc/loadavg").unwrap_or_default());
    }
}

impl Meter for Ratios {
    fn case<I, O>(&mut self, case: Case<'_, '_>, make: impl FnMut() -> I, work: impl FnMut(I) -> O) {
        let Case { row, who, floors } = case;
        if floors.is_empty() {
            return;
        }
        let mut case = timer(make, work);
        let mut times = vec![Vec::with_capacity(TURNS); floors.len() + 1];
        // The first turn makes what is made once and warms the caches.
        for turn in 0..=TURNS {
            let floors = floors.iter_mut().map(|floor| floor());
            for (times, time) in times.iter_mut().zip(iter::once(case()).chain(floors)) {
                times.extend((turn > 0).then_some(time));
            }
        }
        let medians = times.into_iter().filter_map(statistics::median);
        println!("time|{row}|{who}{}", medians.map(|time| format!("|{time:.2}")).collect::<String>());
    }
}
