//! One event for a read that leaves a doubt, so that "why did my trace break" has a first answer.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{LazyLock, Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::Status;

/// Hostile headers must not become a flood of events.
const AT_MOST_ONE_IN: Duration = Duration::from_secs(1);

static LIMIT: LazyLock<Limit> = LazyLock::new(Limit::default);

/// Whether anybody listens for the event.
pub(crate) fn is_heard() -> bool {
    tracing::enabled!(target: "carrier", tracing::Level::DEBUG)
}

/// Emits an event of level debug, target `carrier`, at most one a second.
pub(crate) fn tell(status: &Status) {
    if !status.is_doubtful() || !is_heard() {
        return;
    }
    if let Some(suppressed) = LIMIT.take(Instant::now()) {
        tracing::debug!(
            target: "carrier",
            status = status.label(),
            field = status.field(),
            suppressed,
            "the context of a message is in doubt: {status}"
        );
    }
}

/// Lets one pass in a while and counts the others.
#[derive(Default)]
struct Limit {
    last: Mutex<Option<Instant>>,
    suppressed: AtomicU64,
}

impl Limit {
    /// How many did not pass since the last one that did; `None` where this one does not either.
    fn take(&self, now: Instant) -> Option<u64> {
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        if last.is_some_and(|last| now.saturating_duration_since(last) < AT_MOST_ONE_IN) {
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
