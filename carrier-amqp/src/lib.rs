#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]
#![cfg_attr(docsrs, feature(doc_cfg))]
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::panic))]

mod carrier;
#[cfg(feature = "instrumentation")]
pub mod instrumentation;
mod propagation;
mod size;
#[cfg(any(test, feature = "testing"))]
pub mod testing;

pub use {carrier_core, lapin, opentelemetry};

pub use self::carrier::{FieldTableCarrier, FieldTableReader, PropertiesCarrier};
#[cfg(feature = "instrumentation")]
pub use self::instrumentation::Instrumentation;
pub use self::propagation::{
    ExtractFrom, InjectInto, extract, extract_with, inject, inject_with, inspect, inspect_with,
};
pub use self::size::frame_budget;
