//! Allocations, counted.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::hint::black_box;

use crate::limits::{Found, Limits};
use crate::{FLOOR, Meter};

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

/// Counts what each case allocates when what is made once is there.
#[derive(Debug, Default)]
pub struct Allocations {
    found: Vec<Found<(usize, usize)>>,
}

impl Allocations {
    /// Compares what was found with the limits of `limits.txt`, and with its floor. What was found is printed for those who
    /// look, as `allocations|row|who|allocations|bytes`.
    ///
    /// # Panics
    ///
    /// Where something is over a limit, or not what the limit counts on; the message has the numbers.
    #[track_caller]
    #[allow(clippy::print_stdout, reason = "a test's output is shown where somebody asks for it")]
    pub fn assert_within_limits(&self) {
        let limits = Limits::read();
        let mut over = Vec::new();
        let mut floor = (0, 0);
        for Found { row, who, amount } in &self.found {
            println!("allocations|{row}|{who}|{}|{}", amount.0, amount.1);
            if who == FLOOR {
                floor = *amount;
                continue;
            }
            let Some(limit) = limits.of(row, who) else { continue };
            let allowed = (
                floor.0.saturating_add_signed(limit.allocations),
                floor.1.saturating_add_signed(limit.bytes),
            );
            if amount.0 > allowed.0 || amount.1 > allowed.1 {
                over.push(format!(
                    "{row}, {who}: {} allocations of {} bytes, and at most {} of {} are allowed (the floor has {} of {})",
                    amount.0, amount.1, allowed.0, allowed.1, floor.0, floor.1
                ));
            }
        }
        assert!(over.is_empty(), "over the limits:\n{}", over.join("\n"));
    }
}

impl Meter for Allocations {
    fn case<I, O>(
        &mut self,
        row: &str,
        who: &str,
        mut make: impl FnMut() -> I,
        mut work: impl FnMut(I) -> O,
    ) {
        drop(work(make()));
        let input = make();
        let amount = Counting::during(|| work(input));
        self.found.push(Found { row: row.to_owned(), who: who.to_owned(), amount });
    }
}
