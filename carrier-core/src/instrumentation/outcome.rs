//! How an operation ended.

use std::borrow::Cow;
use std::error::Error;
use std::fmt::{self, Write as _};
use std::iter::successors;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use opentelemetry::KeyValue;

use super::attribute;

/// Why an operation failed: `error.type` of its span and metrics, and the description of the span's status.
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
    /// A failure. Use few different types; the description may be more specific.
    pub fn new(error_type: impl Into<Cow<'static, str>>, description: impl Into<Cow<'static, str>>) -> Self {
        Self { error_type: error_type.into(), description: description.into() }
    }

    /// The failure for an error: its Rust type, its text, and that of its causes.
    ///
    /// The type of a boxed error (`Box<dyn Error>`, `anyhow::Error`) is not known: `error.type` is then `_OTHER`. The
    /// description has at most 1,024 bytes. A cause whose text it contains already is left out.
    ///
    /// # Examples
    ///
    /// ```
    /// use std::error::Error;
    /// use carrier_core::instrumentation::Failure;
    ///
    /// let error = "x".parse::<u8>().unwrap_err();
    /// assert_eq!(Failure::of(&error).error_type(), "core::num::error::ParseIntError");
    ///
    /// let boxed: Box<dyn Error + Send + Sync> = error.into();
    /// assert_eq!(Failure::of(&*boxed).error_type(), "_OTHER");
    /// assert_eq!(Failure::of(&*boxed).description(), "invalid digit found in string");
    /// ```
    pub fn of<E: Error + ?Sized>(error: &E) -> Self {
        let name = std::any::type_name::<E>();
        // Also of an error that is in a box in an `Arc`.
        let is_known = !name.contains("dyn core::error::Error");
        Self::new(if is_known { name } else { OTHER }, description(error))
    }

    /// The failure for an error that is text of the type `E`.
    pub(super) fn of_text<E>(text: &str) -> Self {
        Self::new(std::any::type_name::<E>(), bounded(text, MAX_DESCRIPTION))
    }

    /// `error.type`.
    pub fn error_type(&self) -> &str {
        &self.error_type
    }

    /// The description of the span's status.
    pub fn description(&self) -> &str {
        &self.description
    }

    pub(super) fn attribute(&self) -> KeyValue {
        KeyValue::new(attribute::ERROR_TYPE, self.error_type.clone())
    }

    pub(super) fn into_description(self) -> Cow<'static, str> {
        self.description
    }
}

/// How errors become failures: the program's [classifier](super::InstrumentationBuilder::error_types), if it has one.
///
/// The default has none.
#[derive(Clone, Default)]
pub struct ErrorTypes(Option<Classifier>);

/// A function from an error to its `error.type`.
type Classifier = Arc<dyn Fn(&(dyn Error + 'static)) -> Option<Cow<'static, str>> + Send + Sync>;

impl ErrorTypes {
    pub(super) fn new(
        classifier: impl Fn(&(dyn Error + 'static)) -> Option<Cow<'static, str>> + Send + Sync + 'static,
    ) -> Self {
        Self(Some(Arc::new(classifier)))
    }

    /// The failure for an error: [`Failure::of`], with the `error.type` that the classifier returns, if it returns one.
    pub fn failure<E: Error + 'static>(&self, error: &E) -> Failure {
        self.classified(error, Failure::of(error))
    }

    pub(super) fn of_dyn(&self, error: &(dyn Error + 'static)) -> Failure {
        self.classified(error, Failure::of(error))
    }

    /// A classifier that panics returns no type.
    fn classified(&self, error: &(dyn Error + 'static), failure: Failure) -> Failure {
        let error_type = self
            .0
            .as_ref()
            .and_then(|classify| catch_unwind(AssertUnwindSafe(|| classify(error))).ok().flatten());
        match error_type {
            Some(error_type) => Failure { error_type, ..failure },
            None => failure,
        }
    }
}

impl fmt::Debug for ErrorTypes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("ErrorTypes").field(&self.0.is_some()).finish()
    }
}

/// The conventions' fallback for an error without a type.
const OTHER: &str = "_OTHER";

/// The maximum length of a description that is made from an error, in bytes.
const MAX_DESCRIPTION: usize = 1_024;

/// The maximum number of causes: a chain may be endless.
const MAX_CAUSES: usize = 32;

/// An error's text and its causes': "storing the invoice: disk on fire".
fn description<E: Error + ?Sized>(error: &E) -> String {
    let mut all = Bounded::to(MAX_DESCRIPTION);
    let _ = write!(all, "{error}");
    let causes = successors(error.source(), |cause| (*cause).source()).take(MAX_CAUSES);
    for cause in causes {
        let mut text = Bounded::to(MAX_DESCRIPTION);
        let _ = write!(text, "{cause}");
        // Many errors contain the text of their cause.
        if !all.text.contains(&text.text) {
            all.push(if all.text.is_empty() { "" } else { ": " });
            all.push(&text.text);
            all.is_cut |= text.is_cut;
        }
    }
    all.finish()
}

/// A text of at most so many bytes. A longer one is cut at a character, and marked.
pub(super) fn bounded(text: &str, max: usize) -> String {
    let mut bounded = Bounded::to(max);
    bounded.push(text);
    bounded.finish()
}

/// Text up to a maximum length.
struct Bounded {
    text: String,
    max: usize,
    is_cut: bool,
}

impl Bounded {
    fn to(max: usize) -> Self {
        Self { text: String::new(), max, is_cut: false }
    }

    fn push(&mut self, text: &str) {
        let room = if self.is_cut { 0 } else { self.max - self.text.len() };
        self.is_cut |= text.len() > room;
        self.text.push_str(up_to(text, room));
    }

    fn finish(mut self) -> String {
        const MARK: &str = "…";
        if self.is_cut {
            self.text.truncate(up_to(&self.text, self.max - MARK.len()).len());
            self.text.push_str(MARK);
        }
        self.text
    }
}

impl fmt::Write for Bounded {
    /// Never fails: an implementation of `Display` may panic then.
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.push(text);
        Ok(())
    }
}

/// The longest beginning of a text that has at most so many bytes.
fn up_to(text: &str, bytes: usize) -> &str {
    let end = (0..=bytes.min(text.len())).rev().find(|at| text.is_char_boundary(*at));
    &text[..end.unwrap_or(0)]
}

/// What it means that a handler was dropped before it was over: at a shutdown, by a timeout, by a `select!`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum Cancellation {
    /// A failure: `error.type` is `cancelled`. The message was not handled, and the broker will deliver it again.
    #[default]
    Error,
    /// No failure: the status is unset. For a program whose orderly shutdown drops handlers, and whose alerts count errors.
    Unset,
}

impl Cancellation {
    pub(super) fn failure(self) -> Option<Failure> {
        match self {
            Self::Error => Some(Failure::new("cancelled", "the handler was dropped before it was over")),
            Self::Unset => None,
        }
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
    /// Settled by the client's own means. How is not known.
    Settled,
    /// Not settled: the broker delivers it again, or expects no settlement.
    Unsettled,
    /// The channel was closed first: the broker delivers the message again.
    ChannelClosed,
}

impl Settlement {
    /// The value of the attribute `carrier.settlement`: `acked`, `nacked`, `rejected`, `settled`, `not_settled`,
    /// `channel_closed`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Acked => "acked",
            Self::Nacked => "nacked",
            Self::Rejected => "rejected",
            Self::Settled => "settled",
            Self::Unsettled => "not_settled",
            Self::ChannelClosed => "channel_closed",
        }
    }

    /// The failure to report if the handler reported none.
    pub(super) fn failure(self) -> Option<Failure> {
        let description = match self {
            Self::Acked | Self::Settled | Self::Unsettled => return None,
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
    fn only_a_refused_message_and_a_closed_channel_are_failures() {
        use Settlement::*;
        let failures = [Acked, Settled, Unsettled, Nacked, Rejected, ChannelClosed]
            .map(|settlement| settlement.failure().map(|failure| failure.error_type().to_owned()));
        let some = |text: &str| Some(text.to_owned());
        assert_eq!(failures, [None, None, None, some("nacked"), some("rejected"), some("channel_closed")]);
    }
}
