//! Layer 4: configuration, injection and extraction.

mod budget;
mod builder;
mod configuration;
pub mod env;
#[cfg(feature = "tracing")]
pub(crate) mod event;
mod extract;
#[cfg(feature = "http")]
pub mod http;
mod inject;
mod otel_propagators;

pub use self::budget::Budget;
pub use self::builder::{PropagationBuilder, allow_keys};
pub use self::configuration::{Existing, InstallError, Propagation, Trust};
pub use self::extract::{Extraction, extract, inspect};
#[cfg(feature = "instrumentation")]
pub(crate) use self::extract::{attached, baggage_alone, with_received_members};
pub use self::inject::{DropReason, DroppedMembers, Injection, InjectionOutcome, inject};
