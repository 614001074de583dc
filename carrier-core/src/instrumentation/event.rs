//! Events for mistakes in the set-up that would otherwise be silent.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, LazyLock};
use std::time::Instant;

use crate::propagation::event::Limit;

static LIMIT: LazyLock<Limit> = LazyLock::new(Limit::default);

/// Emits an event of level debug, target `carrier`, at most one per second: a handler got no context.
pub(super) fn unused_context() {
    if !tracing::enabled!(target: "carrier", tracing::Level::DEBUG) {
        return;
    }
    if let Some(suppressed) = LIMIT.take(Instant::now()) {
        tracing::debug!(
            target: "carrier",
            suppressed,
            "a message was processed without `run` and without `context`: its handler's spans are in another trace"
        );
    }
}

/// Reports once that the global tracer provider starts no spans. Copies of an instrumentation share it.
#[derive(Debug, Clone)]
pub(super) struct MissingProvider {
    is_pending: Arc<AtomicBool>,
}

impl MissingProvider {
    /// A provider that the user passed may be a no-op on purpose.
    pub(super) fn new(is_global: bool) -> Self {
        Self { is_pending: Arc::new(AtomicBool::new(is_global)) }
    }

    /// Emits an event of level warn, target `carrier`.
    pub(super) fn report(&self) {
        let is_enabled = tracing::enabled!(target: "carrier", tracing::Level::WARN);
        if is_enabled && self.is_pending.swap(false, Ordering::Relaxed) {
            tracing::warn!(
                target: "carrier",
                "the instrumentation starts no spans, because there is no global tracer provider: call \
                 `opentelemetry::global::set_tracer_provider` (and `set_meter_provider` for metrics) before you build \
                 the instrumentation, or pass the provider to `tracer_provider`"
            );
        }
    }
}
