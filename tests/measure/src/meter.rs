//! What goes through a list of cases.

use std::hint::black_box;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

/// The least that anybody could do: ready strings, nothing checked. Every row begins with it.
pub(crate) const FLOOR: &str = "floor";

/// Hand-written code that does the same visible work as ours.
pub(crate) const BY_HAND: &str = "by hand";

/// The free functions of a program that installed a default.
pub(crate) const INSTALLED: &str = "installed";

pub(crate) static IS_INSTALLED: AtomicBool = AtomicBool::new(false);

/// Returns whether this is the second pass through the cases, in which the default is installed.
pub fn is_installed() -> bool {
    IS_INSTALLED.load(Ordering::Relaxed)
}

/// How often a case runs between two looks at the clock: much longer than the look, much shorter than a time slice of
/// the scheduler.
const BATCH: usize = 64;

/// Runs a batch, and returns the nanoseconds that one piece of work took.
pub type Timer<'a> = Box<dyn FnMut() -> f64 + 'a>;

/// What is measured, and what its time is compared with.
#[allow(missing_debug_implementations, reason = "closures have none")]
pub struct Case<'a, 'f> {
    pub(crate) row: &'a str,
    pub(crate) who: &'a str,
    pub(crate) floors: &'a mut [Timer<'f>],
}

/// One way of measuring.
pub trait Meter {
    /// Measures `work` on what `make` makes; neither making it nor dropping the result counts.
    fn case<I, O>(&mut self, case: Case<'_, '_>, make: impl FnMut() -> I, work: impl FnMut(I) -> O);
}

/// One row of a list: a piece of work, done in several ways.
#[allow(missing_debug_implementations, reason = "closures have none")]
pub struct Row<'a, M> {
    meter: &'a mut M,
    name: String,
    floors: Vec<Timer<'a>>,
}

impl<'a, M: Meter> Row<'a, M> {
    /// A row that begins with its floor.
    pub fn new<I: 'a, O: 'a>(
        meter: &'a mut M,
        name: impl Into<String>,
        make: impl FnMut() -> I + 'a,
        work: impl FnMut(I) -> O + 'a,
    ) -> Self {
        Self { meter, name: name.into(), floors: Vec::new() }.floor(FLOOR, make, work)
    }

    /// The second floor.
    pub fn by_hand<I: 'a, O: 'a>(self, make: impl FnMut() -> I + 'a, work: impl FnMut(I) -> O + 'a) -> Self {
        self.floor(BY_HAND, make, work)
    }

    fn floor<I: 'a, O: 'a>(
        mut self,
        who: &str,
        mut make: impl FnMut() -> I + 'a,
        mut work: impl FnMut(I) -> O + 'a,
    ) -> Self {
        let case = Case { row: &self.name, who, floors: &mut self.floors };
        self.meter.case(case, &mut make, &mut work);
        self.floors.push(timer(make, work));
        self
    }

    /// Another way to do the same. The installed default is measured in a second pass, and nothing else is then.
    pub fn and<I, O>(mut self, who: &str, make: impl FnMut() -> I, work: impl FnMut(I) -> O) -> Self {
        if (who == INSTALLED) == is_installed() {
            self.meter.case(Case { row: &self.name, who, floors: &mut self.floors }, make, work);
        }
        self
    }
}

/// Times batches of a case.
pub(crate) fn timer<'a, I: 'a, O: 'a>(
    mut make: impl FnMut() -> I + 'a,
    mut work: impl FnMut(I) -> O + 'a,
) -> Timer<'a> {
    let (mut inputs, mut outputs) = (Vec::with_capacity(BATCH), Vec::with_capacity(BATCH));
    Box::new(move || {
        inputs.extend((0..BATCH).map(|_| make()));
        let began = Instant::now();
        for input in inputs.drain(..) {
            outputs.push(black_box(work(black_box(input))));
        }
        let took = began.elapsed();
        outputs.clear();
        took.as_secs_f64() * 1e9 / BATCH as f64
    })
}
