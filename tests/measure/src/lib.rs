//! What the benchmarks and the deterministic limits of the carrier crates are measured with.
//!
//! A crate lists its cases once, for any [`Meter`]. Each [`Row`] of the list is one piece of work and the ways to do it: the
//! floor, hand-written code, ours, and what is used instead. Three meters go through the list: [`Ratios`] (time, each case
//! in turn with its floors), [`Instructions`] (Valgrind) and [`Allocations`] (counted). The last two are deterministic, and
//! `limits.txt` says how much they may find. `cargo xtask bench` runs them all, and this package's program writes the
//! tables of BENCHMARKS.md.
#![allow(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "it talks to the person who runs a measurement"
)]
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::panic))]

mod allocations;
pub mod by_hand;
mod contexts;
mod instructions;
mod limits;
mod meter;
mod ours;
mod process;
mod ratios;
pub mod statistics;
pub mod tables;

pub use self::allocations::{Allocations, Counting};
pub use self::contexts::{
    ALL, PARENT, UNSAMPLED, context, extract, extract_all, extract_one, full_context, recorded, span, state,
    unsampled,
};
pub use self::instructions::Instructions;
pub use self::meter::{Case, Meter, Row, Timer, is_installed};
pub use self::ours::{in_place, own};
pub use self::process::Process;
pub use self::ratios::Ratios;
