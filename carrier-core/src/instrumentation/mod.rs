//! Spans and metrics for messages, after OpenTelemetry's messaging semantic conventions 1.44.
//!
//! The instrumentations of the adapters are built on this module, and so can one for your own queue: see
//! [`Instrumentation`]. It knows no broker and no client.
//!
//! - The value that owns a span ends it exactly once: [`Sending`], [`Call`], [`Process`], [`Batch`], [`Settling`].
//! - A sampler sees the name, the links, and the attributes that the conventions give it. All other attributes are built only
//!   for a recorded span.
//! - Metrics are recorded whatever a sampler decides, with few values per attribute.
//! - Without an SDK, the sender's context is passed on.
//!
//! The messaging conventions are not stable. A change of what is emitted has its own section in the changelog.

pub mod attribute;
mod batch;
mod builder;
mod call;
mod client;
mod details;
#[cfg(feature = "tracing")]
mod event;
mod handled;
mod hook;
mod links;
mod message;
mod metrics;
mod operation;
mod outcome;
mod process;
mod receive;
mod relation;
mod send;
mod settle;
mod span;
#[cfg(feature = "tracing-spans")]
mod through_tracing;
#[cfg(feature = "tracing-spans")]
mod traced;

pub use self::batch::Batch;
pub use self::builder::{Instrumentation, InstrumentationBuilder};
pub use self::call::Call;
pub use self::details::Details;
pub use self::handled::{Handled, Plain};
pub use self::hook::{Ended, Filter, FilteredOperation, Hook, MessageView};
pub use self::message::{
    AlreadyCounted, Incoming, IncomingMessage, MessageParts, OutgoingMessage, ReceivedMessage,
};
pub use self::metrics::StartTime;
pub use self::operation::{Destination, OperationType};
pub use self::outcome::{Cancellation, ErrorTypes, Failure, Settlement};
pub use self::process::Process;
pub use self::relation::{Ambient, Relation, RelationRule};
pub use self::send::{ATTEMPTS_HEADER, MAX_ATTEMPTS, Sending};
pub use self::settle::Settling;
