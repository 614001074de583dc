//! Time as a ratio, on a machine that does other things as well.

use std::hint::black_box;
use std::time::Instant;

use crate::Meter;
use crate::threads::{THREADS, batches};

/// How often a case runs between two looks at the clock: much longer than the look, much shorter than a time slice of
/// the scheduler.
const BATCH: usize = 64;

/// How often floor and case take turns in one round.
const TURNS: usize = 80;

/// How many batches each of several threads does in one round.
const ON_THREADS: usize = 100;

/// Measures each case and its floor in turn, batch by batch, and prints what a round found, one line for each case:
/// `time|row|who|floor|case`, in nanoseconds, and `threads|row|who|threads|time`.
///
/// What slows the machine down meets both; a batch that was interrupted is far from the median, which is what is
/// printed. Judging the rounds is up to who reads the lines: `cargo xtask bench`.
#[derive(Debug)]
pub struct Ratios(());

impl Ratios {
    /// Goes through the cases in as many rounds as `--rounds` of the command line says, or one.
    pub fn run(cases: impl Fn(&mut Self)) {
        let words: Vec<String> = std::env::args().collect();
        let given = words.iter().position(|word| word == "--rounds").and_then(|at| words.get(at + 1));
        for _ in 0..given.and_then(|rounds| rounds.parse().ok()).unwrap_or(1) {
            cases(&mut Self(()));
        }
    }
}

impl Meter for Ratios {
    /// A floor is measured beside each case.
    fn case<I, O>(&mut self, _: &str, _: &str, _: impl FnMut() -> I, _: impl FnMut(I) -> O) {}

    #[allow(clippy::print_stdout, reason = "the lines are what this is for")]
    fn beside<I, O, J, P>(
        &mut self,
        row: &str,
        who: &str,
        floor: (impl FnMut() -> I, impl FnMut(I) -> O),
        case: (impl FnMut() -> J, impl FnMut(J) -> P),
    ) {
        let (mut floor, mut case) = (Batch::new(floor.0, floor.1), Batch::new(case.0, case.1));
        // What is made once is there, and the caches are warm.
        floor.time();
        case.time();
        let (floors, cases) = (0..TURNS).map(|_| (floor.time(), case.time())).unzip();
        println!("time|{row}|{who}|{:.2}|{:.2}", median(floors), median(cases));
    }

    #[allow(
        clippy::print_stdout,
        clippy::cast_precision_loss,
        reason = "as above; nanoseconds with two digits"
    )]
    fn threads(&mut self, row: &str, who: &str, work: impl Fn() + Sync) {
        for threads in THREADS {
            let times = batches(threads, ON_THREADS, BATCH as u32, &work);
            let took = median(times.iter().map(|time| time.as_nanos() as f64).collect());
            println!("threads|{row}|{who}|{threads}|{took:.2}");
        }
    }
}

struct Batch<I, O, F, W> {
    make: F,
    work: W,
    inputs: Vec<I>,
    outputs: Vec<O>,
}

impl<I, O, F: FnMut() -> I, W: FnMut(I) -> O> Batch<I, O, F, W> {
    fn new(make: F, work: W) -> Self {
        Self { make, work, inputs: Vec::with_capacity(BATCH), outputs: Vec::with_capacity(BATCH) }
    }

    /// Nanoseconds for one piece of work.
    #[allow(clippy::cast_precision_loss, reason = "nanoseconds of a short time")]
    fn time(&mut self) -> f64 {
        self.inputs.extend((0..BATCH).map(|_| (self.make)()));
        let began = Instant::now();
        for input in self.inputs.drain(..) {
            self.outputs.push(black_box((self.work)(black_box(input))));
        }
        let took = began.elapsed().as_nanos() as f64;
        self.outputs.clear();
        took / BATCH as f64
    }
}

fn median(mut times: Vec<f64>) -> f64 {
    times.sort_by(f64::total_cmp);
    times.get(times.len() / 2).copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_interruption_does_not_move_the_median() {
        assert_eq!(median(vec![3.0, 1.0, 2.0, 1_000.0, 2.5]), 2.5);
    }

    #[test]
    fn a_batch_works_on_what_is_made_for_it_and_on_nothing_else() {
        let mut made = 0;
        let mut done = Vec::new();
        let make = || {
            made += 1;
            made
        };
        let mut batch = Batch::new(make, |input: usize| done.push(input));
        batch.time();
        batch.time();
        drop(batch);
        assert_eq!(done, (1..=2 * BATCH).collect::<Vec<_>>());
    }
}
