#![doc = include_str!("../README.md")]
#![deny(unsafe_code)]
#![cfg_attr(docsrs, feature(doc_cfg))]
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::panic))]

mod carrier;
#[cfg(feature = "instrumentation")]
pub mod instrumentation;
#[allow(unsafe_code)] // Each block says why rdkafka's safe interface is not enough.
mod native;
mod propagation;
mod size;
#[cfg(any(test, feature = "testing"))]
pub mod testing;

pub use {carrier_core, opentelemetry, rdkafka};

pub use self::carrier::{HeadersCarrier, HeadersReader, RecordCarrier};
#[cfg(feature = "instrumentation")]
pub use self::instrumentation::Instrumentation;
pub use self::propagation::{
    ExtractFrom, InjectInto, extract, extract_with, inject, inject_with, inspect, inspect_with,
};
pub use self::size::message_budget;
