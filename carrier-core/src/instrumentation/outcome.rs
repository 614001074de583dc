//! How an operation ended.

use std::borrow::Cow;
use std::fmt;

/// Why an operation failed: `error.type` on its span and metrics, and the description of the span's status.
///
/// # Examples
///
/// ```
/// use carrier_core::instrumentation::Failure;
///
/// let failure = Failure::new("NO_ROUTE", "the exchange orders has no queue for eu.17");
/// assert_eq!(failure.error_type(), "NO_ROUTE");
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    error_type: Cow<'static, str>,
    description: Cow<'static, str>,
}

impl Failure {
    /// A failure of a type, of which there are few, with a description that may say more.
    pub fn new(error_type: impl Into<Cow<'static, str>>, description: impl Into<Cow<'static, str>>) -> Self {
        Self { error_type: error_type.into(), description: description.into() }
    }

    /// The failure that an error of a handler is: its Rust type, and its text.
    ///
    /// An error that hides another (`anyhow::Error`, a boxed `dyn Error`) is of its own type here.
    pub fn of<E: fmt::Display>(error: &E) -> Self {
        Self::new(std::any::type_name::<E>(), error.to_string())
    }

    /// `error.type`.
    pub fn error_type(&self) -> &str {
        &self.error_type
    }

    /// The description of the span's status.
    pub fn description(&self) -> &str {
        &self.description
    }

    pub(super) fn into_parts(self) -> (Cow<'static, str>, Cow<'static, str>) {
        (self.error_type, self.description)
    }
}

/// What a handler gives back, and whether it is a failure.
///
/// Implemented for `()` and for `Result` with an error that can be displayed. Implement it for a type of your own that
/// can say that it failed, or end the future with one of these.
#[diagnostic::on_unimplemented(
    message = "`{Self}` does not say whether the message was handled",
    note = "end the future with `()` or a `Result` whose error implements `Display`, or implement `Handled`"
)]
pub trait Handled {
    /// Why the message was not handled; `None` where it was.
    fn failure(&self) -> Option<Failure>;
}

impl Handled for () {
    fn failure(&self) -> Option<Failure> {
        None
    }
}

impl<T, E: fmt::Display> Handled for Result<T, E> {
    fn failure(&self) -> Option<Failure> {
        self.as_ref().err().map(Failure::of)
    }
}

/// How a message was settled.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Settlement {
    /// Acknowledged.
    Acked,
    /// Negatively acknowledged.
    Nacked,
    /// Rejected.
    Rejected,
    /// Not by us, and so not known how.
    Elsewhere,
    /// Not at all: the broker gives it out again, or never wanted to know.
    Unsettled,
    /// It cannot be any more: the channel is closed, and the broker gives it out again.
    ChannelClosed,
}

impl Settlement {
    /// The value of the attribute `carrier.settlement`: `acked`, `nacked`, `rejected`, `settled_elsewhere`, `not_settled`,
    /// `channel_closed`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Acked => "acked",
            Self::Nacked => "nacked",
            Self::Rejected => "rejected",
            Self::Elsewhere => "settled_elsewhere",
            Self::Unsettled => "not_settled",
            Self::ChannelClosed => "channel_closed",
        }
    }

    /// The failure that it is where nothing else failed; `None` for what is none.
    pub(super) fn failure(self) -> Option<Failure> {
        let description = match self {
            Self::Acked | Self::Elsewhere | Self::Unsettled => return None,
            Self::Nacked => "the message was negatively acknowledged",
            Self::Rejected => "the message was rejected",
            Self::ChannelClosed => "the channel was closed before the message was settled",
        };
        Some(Failure::new(self.as_str(), description))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_handler_fails_with_the_type_and_text_of_its_error() {
        let failed: Result<(), std::num::ParseIntError> = "x".parse::<i32>().map(drop);
        let failure = failed.failure().unwrap();
        assert_eq!(failure.error_type(), "core::num::error::ParseIntError");
        assert_eq!(failure.description(), "invalid digit found in string");
        assert_eq!(Ok::<_, String>(7).failure(), None);
        assert_eq!(().failure(), None);
    }

    #[test]
    fn only_what_went_wrong_is_a_failure() {
        use Settlement::*;
        let failures = [Acked, Elsewhere, Unsettled, Nacked, Rejected, ChannelClosed]
            .map(|settlement| settlement.failure().map(|failure| failure.error_type().to_owned()));
        let some = |text: &str| Some(text.to_owned());
        assert_eq!(failures, [None, None, None, some("nacked"), some("rejected"), some("channel_closed")]);
    }
}
