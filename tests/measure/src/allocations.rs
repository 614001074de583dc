//! Allocations, counted.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::hint::black_box;

use crate::limits::{self, Found, limits};
use crate::meter::{Case, FLOOR, Meter};
use crate::ours;

thread_local! {
    static COUNT: Cell<(usize, usize)> = const { Cell::new((0, 0)) };
}

/// The system's allocator, with a count of what the thread asked it for: a test's `#[global_allocator]`.
#[derive(Debug)]
pub struct Counting;

impl Counting {
    /// How often, and how many bytes, `work` allocates; what it grows counts as a new allocation.
    pub fn during<T>(work: impl FnOnce() -> T) -> (usize, usize) {
        let before = COUNT.get();
        let result = black_box(work());
        let after = COUNT.get();
        drop(result);
        (after.0 - before.0, after.1 - before.1)
    }
}

// SAFETY: every call goes to the system's allocator as it is; a `Cell` in a `const` thread-local allocates nothing.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let _ = COUNT.try_with(|count| {
            let (calls, bytes) = count.get();
            count.set((calls + 1, bytes + layout.size()));
        });
        // SAFETY: the caller's promise.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: the caller's promise.
        unsafe { System.dealloc(pointer, layout) }
    }
}

/// Counts what each case allocates after everything that is made once is there.
#[derive(Debug, Default)]
pub struct Allocations(Vec<Found<(usize, usize)>>);

impl Allocations {
    /// Counts the cases, and compares them with their floors and `limits.txt`. It prints what was found, as
    /// `allocations|row|who|allocations|bytes`.
    ///
    /// # Panics
    ///
    /// If something is over its limit; the message has the numbers.
    #[track_caller]
    pub fn check(cases: impl Fn(&mut Self)) {
        let mut all = Self::default();
        ours::passes(|| cases(&mut all));
        let (limits, mut over, mut floor) = (limits(), Vec::new(), (0, 0));
        for found in &all.0 {
            let Found { row, who, amount: (count, bytes) } = found;
            println!("allocations|{row}|{who}|{count}|{bytes}");
            if who == FLOOR {
                floor = found.amount;
            }
            let Some(limit) = limits::of(&limits, found) else { continue };
            let most_count = floor.0.saturating_add_signed(limit.allocations.0);
            let most_bytes = floor.1.saturating_add_signed(limit.allocations.1);
            if *count > most_count || *bytes > most_bytes {
                over.push(format!(
                    "{row}, {who}: {count} allocations of {bytes} bytes, and at most {most_count} of {most_bytes} are \
                     allowed (the floor has {} of {})",
                    floor.0, floor.1
                ));
            }
        }
        assert!(over.is_empty(), "over the limits:\n{}", over.join("\n"));
    }
}

impl Meter for Allocations {
    fn case<I, O>(&mut self, case: Case<'_, '_>, mut make: impl FnMut() -> I, mut work: impl FnMut(I) -> O) {
        let Case { row, who, .. } = case;
        drop(work(make()));
        let input = make();
        let amount = Counting::during(|| work(input));
        self.0.push(Found { row: row.to_owned(), who: who.to_owned(), amount });
    }
}
