#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]
#![cfg_attr(docsrs, feature(doc_cfg))]
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::panic))]

mod bridge;
mod carrier;
mod environment;
mod fields;
#[cfg(feature = "http")]
pub mod http;
mod maps;
mod propagation;
mod read;
#[cfg(any(test, feature = "testing"))]
pub mod testing;
mod w3c;

pub use opentelemetry;

pub use self::bridge::{AsExtractor, AsInjector, FromExtractor};
pub use self::carrier::{Conflict, FieldValue, TextMapCarrier, TextMapReader};
pub use self::fields::Fields;
pub use self::propagation::{extract, inject};
pub use self::w3c::{W3c, W3cBaggage, W3cTraceContext, w3c};
