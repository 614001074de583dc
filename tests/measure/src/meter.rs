//! What goes through a list of cases.

/// Who does the least that anybody could do: every row begins with it, and all others are compared with it.
pub const FLOOR: &str = "floor";

/// One way of measuring.
pub trait Meter {
    /// Measures `work` on what `make` makes; neither making it nor dropping the result counts.
    fn case<I, O>(&mut self, row: &str, who: &str, make: impl FnMut() -> I, work: impl FnMut(I) -> O);
}

/// One row of a list: a piece of work, done in several ways.
#[derive(Debug)]
pub struct Row<'m, M> {
    meter: &'m mut M,
    name: String,
}

impl<'m, M: Meter> Row<'m, M> {
    /// A row that begins with its floor.
    pub fn new<I, O>(
        meter: &'m mut M,
        name: impl Into<String>,
        make: impl FnMut() -> I,
        floor: impl FnMut(I) -> O,
    ) -> Self {
        let name = name.into();
        meter.case(&name, FLOOR, make, floor);
        Self { meter, name }
    }

    /// Another way to do the same.
    pub fn and<I, O>(self, who: &str, make: impl FnMut() -> I, work: impl FnMut(I) -> O) -> Self {
        self.meter.case(&self.name, who, make, work);
        self
    }
}
