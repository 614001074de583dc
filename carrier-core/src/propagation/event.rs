//! A debug event for a context that is not valid: the first answer to "why did my trace break".

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{LazyLock, Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::carrier::ExtractionStatus;

/// The minimum time between two events, so that hostile headers do not flood the log.
const INTERVAL: Duration = Duration::from_secs(1);

static LIMIT: LazyLock<Limit> = LazyLock::new(Limit::default);

/// Returns whether a subscriber wants the event.
pub(crate) fn is_enabled() -> bool {
    tracing::enabled!(target: "carrier", tracing::Level::DEBUG)
}

/// Emits an event of level debug, target `carrier`, at most one per second.
pub(crate) fn emit(status: &ExtractionStatus) {
    if !status.is_invalid() || !is_enabled() {
        return;
    }
    if let Some(suppressed) = LIMIT.take(Instant::now()) {
        tracing::debug!(
            target: "carrier",
            status = status.label(),
            field = status.field(),
            suppressed,
            "the context of a message is not valid: {status}"
        );
    }
}

/// Lets one event pass per interval and counts the others.
#[derive(Default)]
pub(crate) struct Limit {
    last: Mutex<Option<Instant>>,
    suppressed: AtomicU64,
}

impl Limit {
    /// Returns how many events were suppressed since the last one; `None` if this one is suppressed.
    pub(crate) fn take(&self, now: Instant) -> Option<u64> {
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        if last.is_some_and(|last| now.saturating_duration_since(last) < INTERVAL) {
            self.suppressed.fetch_add(1, Ordering::Relaxed);
            return None;
        }
        *last = Some(now);
        Some(self.suppressed.swap(0, Ordering::Relaxed))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_passes_in_a_second_and_says_how_many_did_not() {
        let (limit, start) = (Limit::default(), Instant::now());
        let after = |millis| limit.take(start + Duration::from_millis(millis));
        assert_eq!(
            [after(0), after(1), after(999), after(1_000), after(1_001)],
            [Some(0), None, None, Some(2), None]
        );
    }
}
