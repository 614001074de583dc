//! Injection and extraction for processes: the context is in environment variables.
//!
//! Extract once, when the process starts. Other users of the machine may see a process's variables, so baggage with
//! secrets does not belong there (OpenTelemetry specification, "Environment Variables as Context Propagation Carriers").

use std::process::Command;

use opentelemetry::Context;

use super::{Injection, Propagation};

pub use crate::carrier::Environment;

/// Writes the context into the variables of a process to start; a context without a span removes the inherited fields.
///
/// So the process gets this context or none: never one that this process got from its own parent. Call it after
/// `env_clear`, which would remove what was injected. For tokio's command, pass `command.as_std_mut()`.
///
/// # Examples
///
/// ```
/// use opentelemetry::Context;
///
/// let mut command = std::process::Command::new("worker");
/// carrier_core::env::inject(&Context::current(), &mut command);
/// // command.spawn()
/// ```
pub fn inject(cx: &Context, command: &mut Command) -> Injection {
    inject_with(&Propagation::new(), cx, command)
}

/// Writes the context into the variables of a process to start, with your own configuration.
///
/// As [`inject`]. A context that the process would inherit counts as existing.
pub fn inject_with(propagation: &Propagation, cx: &Context, command: &mut Command) -> Injection {
    let before = Environment::of(command);
    let mut after = before.clone();
    let report = propagation.inject(cx, &mut after);
    after.apply(&before, command);
    report
}

/// Reads the context that this process was started with; returns an empty context if there is none.
///
/// # Examples
///
/// ```
/// use opentelemetry::trace::{TraceContextExt, Tracer};
///
/// let parent = carrier_core::env::extract();
/// let span = opentelemetry::global::tracer("worker").start_with_context("work", &parent);
/// let cx = parent.with_span(span);
/// ```
pub fn extract() -> Context {
    crate::extract(&Environment::current())
}
