//! What goes through a list of cases.

/// Who does the least that anybody could do: every row begins with it, and all others are compared with it.
pub const FLOOR: &str = "floor";

/// One way of measuring.
pub trait Meter {
    /// Measures `work` on what `make` makes; neither making it nor dropping the result counts.
    fn case<I, O>(&mut self, row: &str, who: &str, make: impl FnMut() -> I, work: impl FnMut(I) -> O);

    /// Measures a case beside the floor of its row, each a pair of `make` and `work`. What counts needs no floor again.
    fn beside<I, O, J, P>(
        &mut self,
        row: &str,
        who: &str,
        floor: (impl FnMut() -> I, impl FnMut(I) -> O),
        case: (impl FnMut() -> J, impl FnMut(J) -> P),
    ) {
        let _ = floor;
        self.case(row, who, case.0, case.1);
    }

    /// Measures `work` on one to eight threads at once; what counts does not.
    fn threads(&mut self, row: &str, who: &str, work: impl Fn() + Sync) {
        let _ = (row, who, work);
    }
}

/// One row of a list: a piece of work, done in several ways.
#[derive(Debug)]
pub struct Row<'m, M, F, W> {
    meter: &'m mut M,
    name: String,
    make: F,
    floor: W,
}

impl<'m, M: Meter, I, O, F: FnMut() -> I, W: FnMut(I) -> O> Row<'m, M, F, W> {
    /// A row that begins with its floor.
    pub fn new(meter: &'m mut M, name: impl Into<String>, mut make: F, mut floor: W) -> Self {
        let name = name.into();
        meter.case(&name, FLOOR, &mut make, &mut floor);
        Self { meter, name, make, floor }
    }

    /// Another way to do the same.
    pub fn and<J, P>(mut self, who: &str, make: impl FnMut() -> J, work: impl FnMut(J) -> P) -> Self {
        self.meter.beside(&self.name, who, (&mut self.make, &mut self.floor), (make, work));
        self
    }
}
