//! An adapter for a toy broker. It shows that an adapter can be built from public items of carrier-core only.
//!
//! [`broker`] stands for a client library in another crate. [`carrier`] is level 1, [`instrumentation`] level 2. All names that
//! spans and metrics have come from a configuration that is read when the program runs: [`Names`].
#![forbid(unsafe_code)]

pub mod broker;
pub mod carrier;
pub mod instrumentation;

pub use self::carrier::{extract, inject};
pub use self::instrumentation::{Instrumentation, InstrumentationBuilder, Names, Processing};
