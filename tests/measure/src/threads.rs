//! The same work on several threads at once.

use std::sync::Barrier;
use std::thread;
use std::time::{Duration, Instant};

/// How many threads are tried.
pub(crate) const THREADS: [usize; 4] = [1, 2, 4, 8];

/// How long it takes until each of the threads has done its rounds; that they start does not count.
pub(crate) fn at_once(threads: usize, rounds: u64, work: &(impl Fn() + Sync)) -> Duration {
    let times = each(threads, || {
        let began = Instant::now();
        for _ in 0..rounds {
            work();
        }
        (began, Instant::now())
    });
    let (began, ended) = (times.iter().map(|time| time.0).min(), times.iter().map(|time| time.1).max());
    began.zip(ended).map_or(Duration::ZERO, |(began, ended)| ended - began)
}

/// How long batches of the work take on each of the threads, while the others do the same.
///
/// A thread that waits for a core has a long batch or two; one that waits for another thread has many.
pub(crate) fn batches(threads: usize, count: usize, size: u32, work: &(impl Fn() + Sync)) -> Vec<Duration> {
    let times = each(threads, || {
        let batch = |_| {
            let began = Instant::now();
            (0..size).for_each(|_| work());
            began.elapsed() / size
        };
        (0..count).map(batch).collect::<Vec<_>>()
    });
    times.into_iter().flatten().collect()
}

/// Calls it on so many threads, which begin together.
fn each<T: Send>(threads: usize, work: impl Fn() -> T + Sync) -> Vec<T> {
    let ready = Barrier::new(threads);
    thread::scope(|scope| {
        let begin = || {
            scope.spawn(|| {
                ready.wait();
                work()
            })
        };
        let running: Vec<_> = (0..threads).map(|_| begin()).collect();
        running.into_iter().filter_map(|thread| thread.join().ok()).collect()
    })
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};

    use super::*;

    #[test]
    fn each_thread_does_each_batch() {
        let done = AtomicU32::new(0);
        let work = || {
            done.fetch_add(1, Ordering::Relaxed);
        };
        assert_eq!(batches(3, 5, 7, &work).len(), 15);
        assert_eq!(done.load(Ordering::Relaxed), 3 * 5 * 7);
        at_once(2, 10, &work);
        assert_eq!(done.load(Ordering::Relaxed), 3 * 5 * 7 + 20);
    }
}
