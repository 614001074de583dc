//! Time, by criterion.

use std::sync::Barrier;
use std::thread;
use std::time::{Duration, Instant};

use criterion::{BatchSize, BenchmarkId, Criterion};

use crate::Meter;

/// Measures time with criterion: each row is a group, so that all ways stand beside each other.
#[allow(missing_debug_implementations, reason = "criterion has none")]
pub struct Time(Criterion);

impl Time {
    /// As the command line says.
    pub fn new() -> Self {
        let criterion = Criterion::default()
            .warm_up_time(Duration::from_millis(300))
            .measurement_time(Duration::from_millis(1_000))
            .without_plots();
        Self(criterion.configure_from_args())
    }

    /// Measures `work` on one to eight threads at once: time for as many rounds on each of them.
    pub fn threads(&mut self, row: &str, who: &str, work: impl Fn() + Sync) {
        let mut group = self.0.benchmark_group(row);
        for threads in [1, 2, 4, 8] {
            group.bench_function(BenchmarkId::new(who, threads), |bencher| {
                bencher.iter_custom(|rounds| at_once(threads, rounds, &work));
            });
        }
        group.finish();
    }

    /// Ends the measurements.
    pub fn finish(self) {
        self.0.final_summary();
    }
}

impl Default for Time {
    fn default() -> Self {
        Self::new()
    }
}

impl Meter for Time {
    fn case<I, O>(
        &mut self,
        row: &str,
        who: &str,
        mut make: impl FnMut() -> I,
        mut work: impl FnMut(I) -> O,
    ) {
        let mut group = self.0.benchmark_group(row);
        group
            .bench_function(who, |bencher| bencher.iter_batched(&mut make, &mut work, BatchSize::SmallInput));
        group.finish();
    }
}

fn at_once(threads: usize, rounds: u64, work: &(impl Fn() + Sync)) -> Duration {
    let (ready, done) = (Barrier::new(threads + 1), Barrier::new(threads + 1));
    thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                ready.wait();
                for _ in 0..rounds {
                    work();
                }
                done.wait();
            });
        }
        ready.wait();
        let began = Instant::now();
        done.wait();
        began.elapsed()
    })
}
