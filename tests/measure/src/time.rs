//! Time, by criterion.

use std::time::Duration;

use criterion::{BatchSize, BenchmarkId, Criterion};

use crate::Meter;
use crate::threads::{THREADS, at_once};

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

    fn threads(&mut self, row: &str, who: &str, work: impl Fn() + Sync) {
        let mut group = self.0.benchmark_group(row);
        for threads in THREADS {
            group.bench_function(BenchmarkId::new(who, threads), |bencher| {
                bencher.iter_custom(|rounds| at_once(threads, rounds, &work));
            });
        }
        group.finish();
    }
}
