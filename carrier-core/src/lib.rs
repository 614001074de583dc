#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]
#![cfg_attr(docsrs, feature(doc_cfg))]
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::panic))]

mod bridge;
mod budget;
mod carrier;
#[doc = include_str!("../CONFORMANCE.md")]
pub mod conformance {}
#[cfg(feature = "tracing")]
mod doubt;
mod environment;
mod fields;
#[cfg(feature = "http")]
pub mod http;
mod injection;
#[cfg(feature = "instrumentation")]
pub mod instrumentation;
mod lists;
mod maps;
mod names;
mod propagation;
mod read;
mod settings;
mod status;
#[cfg(feature = "serde")]
mod stored;
#[cfg(any(test, feature = "testing"))]
pub mod testing;
mod used;
mod value;
mod w3c;

pub use opentelemetry;

pub use self::bridge::{AsExtractor, AsInjector, FromExtractor};
pub use self::budget::Budget;
pub use self::carrier::{Conflict, Copies, FieldValue, TextMapCarrier, TextMapReader};
pub use self::fields::Fields;
pub use self::injection::{DropReason, Dropped, Injection, Outcome};
pub use self::propagation::{extract, inject, inspect};
pub use self::settings::{Builder, Existing, Propagation, Trust, allow};
pub use self::status::{Extraction, Reason, Status};
#[cfg(feature = "serde")]
pub use self::stored::StoredContext;
pub use self::w3c::{W3c, W3cBaggage, W3cTraceContext, w3c};
