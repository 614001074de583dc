//! How long a message was in its queue, as far as its timestamp tells.

use std::time::{Duration, SystemTime};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Age {
    /// There is no timestamp.
    Unknown,
    Waited(Duration),
    /// The clock that stamped it is ahead of ours.
    FromTheFuture,
}

impl Age {
    /// The clock is read where there is a timestamp.
    pub(super) fn of(sent_at: Option<SystemTime>, now: impl FnOnce() -> SystemTime) -> Self {
        match sent_at.map(|sent_at| now().duration_since(sent_at)) {
            None => Self::Unknown,
            Some(Ok(waited)) => Self::Waited(waited),
            Some(Err(_)) => Self::FromTheFuture,
        }
    }

    pub(super) fn waited(self) -> Option<Duration> {
        match self {
            Self::Waited(waited) => Some(waited),
            Self::Unknown | Self::FromTheFuture => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_age_is_known_where_the_clocks_agree() {
        let (now, second) = (SystemTime::now(), Duration::from_secs(1));
        assert_eq!(Age::of(None, || now), Age::Unknown);
        assert_eq!(Age::of(Some(now - second), || now), Age::Waited(second));
        assert_eq!(Age::of(Some(now + second), || now), Age::FromTheFuture);
        assert_eq!(Age::of(Some(now), || now).waited(), Some(Duration::ZERO));
    }
}
