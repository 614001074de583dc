//! What the benchmarks and the deterministic limits of the carrier crates are measured with.
//!
//! A crate lists its cases once, for any [`Meter`]: each row of the list is a floor, which is the least that anybody could
//! do, and what does the work instead. Three meters go through it: [`Time`] (criterion), [`Instructions`] (Valgrind) and
//! [`Allocations`] (counted). The last two are deterministic, and `limits.txt` says how much they may find.
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::panic))]

mod allocations;
mod by_hand;
mod contexts;
mod instructions;
mod limits;
mod meter;
mod time;

pub use self::allocations::{Allocations, Counting};
pub use self::by_hand::{extract, extract_all, extract_with_state};
pub use self::contexts::{BAGGAGE, PARENT, STATE, context, full_context, register, register_nothing, state};
pub use self::instructions::Instructions;
pub use self::meter::{FLOOR, Meter, Row};
pub use self::time::Time;
