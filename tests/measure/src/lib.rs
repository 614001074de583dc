//! What the benchmarks and the deterministic limits of the carrier crates are measured with.
//!
//! A crate lists its cases once, for any [`Meter`]: each row of the list is a floor, which is the least that anybody could
//! do, and what does the work instead. Four meters go through it: [`Time`] (criterion), [`Ratios`] (time again, each case in
//! turn with its floor), [`Instructions`] (Valgrind) and [`Allocations`] (counted). The last two are deterministic, and
//! `limits.txt` says how much they may find.
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::panic))]

mod allocations;
mod by_hand;
mod contexts;
mod instructions;
mod limits;
mod meter;
mod providers;
mod ratios;
mod threads;
mod time;

pub use self::allocations::{Allocations, Counting};
pub use self::by_hand::{extract, extract_all, extract_with_state, span};
pub use self::contexts::{
    BAGGAGE, PARENT, STATE, UNSAMPLED, context, full_context, register, register_nothing, state,
};
pub use self::instructions::Instructions;
pub use self::meter::{FLOOR, Meter, Row};
pub use self::providers::{recorded, unsampled};
pub use self::ratios::Ratios;
pub use self::time::Time;
