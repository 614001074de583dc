//! Waiting with a bound.

use std::time::Duration;

/// How long anything may take that normally takes milliseconds.
pub const LIMIT: Duration = Duration::from_secs(30);

/// Waits for an event, at most for [`LIMIT`].
///
/// # Panics
///
/// If the event does not come; the message says which one.
pub async fn within<F: Future>(what: &str, event: F) -> F::Output {
    match tokio::time::timeout(LIMIT, event).await {
        Ok(output) => output,
        Err(_) => panic!("{what}: not within {LIMIT:?}"),
    }
}
