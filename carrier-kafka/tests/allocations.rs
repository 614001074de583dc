//! What an injection and an extraction allocate, compared with `tests/measure/limits.txt`; librdkafka's own are not counted.

#[path = "../benches/cases/mod.rs"]
mod cases;

use carrier_measure::{Allocations, Counting};

#[global_allocator]
static ALLOCATOR: Counting = Counting;

#[test]
fn nothing_allocates_more_than_its_limit() {
    let mut allocations = Allocations::default();
    cases::all(&mut allocations);
    cases::growth(&mut allocations);
    allocations.assert_within_limits();
}
