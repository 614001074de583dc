#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]
#![cfg_attr(docsrs, feature(doc_cfg))]
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::panic))]

mod carrier;
#[doc = include_str!("../CONFORMANCE.md")]
pub mod conformance {}
mod format;
#[cfg(feature = "instrumentation")]
pub mod instrumentation;
mod propagation;
mod propagator;
mod stored;
#[cfg(any(test, feature = "testing"))]
pub mod testing;

pub use opentelemetry;

pub use self::carrier::{
    Conflict, ExtractionStatus, FieldNames, FieldText, FieldValue, Fields, MessageSize, TextMapCarrier,
    TextMapReader,
};
pub use self::format::MalformedReason;
#[cfg(feature = "http")]
pub use self::propagation::http;
pub use self::propagation::{
    Budget, DropReason, DroppedMembers, Existing, Extraction, Injection, InjectionOutcome, InstallError,
    Propagation, PropagationBuilder, Trust, allow_keys, env, extract, inject, inspect,
};
pub use self::propagator::{AsExtractor, AsInjector, Formats, FromExtractor, Renamed, W3c, w3c};
pub use self::stored::StoredContext;
