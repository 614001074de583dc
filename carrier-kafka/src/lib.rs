#![doc = include_str!("../README.md")]
#![deny(unsafe_code)]
#![cfg_attr(docsrs, feature(doc_cfg))]
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::panic))]

mod headers;
#[cfg(feature = "instrumentation")]
pub mod instrumentation;
mod message;
#[allow(unsafe_code)] // Each block says why rdkafka's safe interface does not do.
mod native;
mod propagation;
mod record;
mod size;
#[cfg(any(test, feature = "testing"))]
pub mod testing;

pub use {carrier_core, opentelemetry, rdkafka};

pub use self::headers::{HeadersCarrier, HeadersReader};
#[cfg(feature = "instrumentation")]
pub use self::instrumentation::Instrumentation;
pub use self::message::ExtractFrom;
pub use self::propagation::{InjectInto, extract, extract_with, inject, inject_with, inspect, inspect_with};
pub use self::record::RecordCarrier;
pub use self::size::message_budget;
