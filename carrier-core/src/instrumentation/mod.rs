//! Spans and metrics for messages, after OpenTelemetry's messaging semantic conventions 1.44.
//!
//! The adapters' instrumentations are made of this; [`Instrumentation`] shows how a queue of one's own is. It knows no
//! broker and no client. Its part that is common to all:
//!
//! - A span that is started is ended exactly once, by the value that owns it: [`Sending`], [`Process`], [`Batch`],
//!   [`Settling`].
//! - A sampler is asked with the name, the links, and the attributes that the conventions give it. All else is asked for
//!   where the span is recorded.
//! - Metrics are recorded whatever a sampler decides, with few values per attribute.
//! - Without an SDK the sender's context goes on.
//!
//! The messaging conventions are not stable. What is emitted has its own section in the changelog.

mod age;
pub mod attribute;
mod batch;
mod choices;
mod destination;
mod incoming;
mod live;
mod metrics;
mod outcome;
mod process;
mod receive;
mod relation;
mod sending;
mod settings;
mod settle;
mod tracer;

pub use self::batch::Batch;
pub use self::destination::Destination;
pub use self::incoming::{Arrival, Incoming};
pub use self::live::Beginning;
pub use self::outcome::{Failure, Handled, Settlement};
pub use self::process::Process;
pub use self::relation::{Ambient, Received, Relation, Rule};
pub use self::sending::Sending;
pub use self::settings::{Builder, Instrumentation};
pub use self::settle::Settling;
pub use self::tracer::Details;
