#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]
#![cfg_attr(docsrs, feature(doc_cfg))]
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::panic))]

#[cfg(feature = "instrumentation")]
pub mod instrumentation;
mod message;
mod propagation;
mod properties;
mod size;
mod table;
#[cfg(any(test, feature = "testing"))]
pub mod testing;

pub use {carrier_core, lapin, opentelemetry};

#[cfg(feature = "instrumentation")]
pub use self::instrumentation::Instrumentation;
pub use self::message::ExtractFrom;
pub use self::propagation::{InjectInto, extract, extract_with, inject, inject_with, inspect, inspect_with};
pub use self::properties::PropertiesCarrier;
pub use self::size::frame_budget;
pub use self::table::{FieldTableCarrier, FieldTableReader};
