//! What a read found, for a log line, a metric label, and for links.

use std::borrow::Cow;
use std::fmt;

use opentelemetry::Context;
use opentelemetry::trace::SpanContext;
use smallvec::SmallVec;

/// What was found in a message, and the context to use.
///
/// Returned by [`inspect`](crate::inspect) and [`Propagation::inspect`](crate::Propagation::inspect). There is no error to
/// handle: [`context`](Self::context) can be used whatever the status is.
///
/// # Examples
///
/// ```
/// let headers = vec![("traceparent".to_owned(), "00-0-0-00".to_owned())];
/// let found = carrier_core::inspect(&headers);
/// assert_eq!(found.status().label(), "malformed");
/// assert_eq!(found.to_string(), "traceparent is malformed: its length is wrong");
/// ```
#[derive(Debug, Clone)]
pub struct Extraction {
    pub(crate) context: Context,
    pub(crate) status: Status,
    pub(crate) unused: SmallVec<[SpanContext; 1]>,
}

impl Extraction {
    #[inline]
    pub(crate) fn of(context: Context, status: Status) -> Self {
        Self { context, status, unused: SmallVec::new() }
    }

    /// The context to use; an empty one where there is none.
    pub fn context(&self) -> &Context {
        &self.context
    }

    /// The context to use, by value.
    pub fn into_context(self) -> Context {
        self.context
    }

    /// What was found: the first doubt, of `traceparent`, `tracestate` and `baggage` in this order, or none.
    pub fn status(&self) -> &Status {
        &self.status
    }

    /// Every valid span context that was found and is not used as the parent, for links.
    ///
    /// With [`Trust::Link`](crate::Trust::Link) that is the sender's; with conflicting `traceparent`s the others.
    pub fn links(&self) -> &[SpanContext] {
        &self.unused
    }
}

impl fmt::Display for Extraction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.status.fmt(f)
    }
}

/// What a read found.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Status {
    /// No field of the propagator is in the message, or only null and empty ones.
    Absent,
    /// All that was found is valid.
    Valid,
    /// A field holds what its specification does not allow.
    Malformed {
        /// The field's key.
        field: Cow<'static, str>,
        /// What is wrong with it.
        reason: Reason,
    },
    /// Copies of a field that must be there once differ.
    Conflicting {
        /// The field's key.
        field: Cow<'static, str>,
    },
    /// A field holds a value of a type that holds no text.
    WrongType {
        /// The field's key.
        field: Cow<'static, str>,
        /// The protocol's name of the type.
        found: &'static str,
    },
    /// There is more of a field than is looked at; what lies beyond is not read.
    OverLimit {
        /// The field's key.
        field: Cow<'static, str>,
    },
}

impl Status {
    /// A short stable name, for a metric label: `absent`, `valid`, `malformed`, `conflicting`, `wrong_type`, `over_limit`.
    pub fn label(&self) -> &'static str {
        match self {
            Self::Absent => "absent",
            Self::Valid => "valid",
            Self::Malformed { .. } => "malformed",
            Self::Conflicting { .. } => "conflicting",
            Self::WrongType { .. } => "wrong_type",
            Self::OverLimit { .. } => "over_limit",
        }
    }

    /// The field that is in doubt.
    pub fn field(&self) -> Option<&str> {
        match self {
            Self::Absent | Self::Valid => None,
            Self::Malformed { field, .. }
            | Self::Conflicting { field }
            | Self::WrongType { field, .. }
            | Self::OverLimit { field } => Some(field),
        }
    }

    /// Whether something was found that is not as it should be.
    pub fn is_doubtful(&self) -> bool {
        self.field().is_some()
    }

    /// This one, or where it is without doubt the other.
    #[inline]
    pub(crate) fn or(self, next: Self) -> Self {
        match (&self, &next) {
            (_, Self::Absent) | (Self::Valid, Self::Valid) => self,
            (Self::Absent | Self::Valid, _) => next,
            _ => self,
        }
    }
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Absent => f.write_str("no context"),
            Self::Valid => f.write_str("a valid context"),
            Self::Malformed { field, reason } => write!(f, "{field} is malformed: {reason}"),
            Self::Conflicting { field } => write!(f, "copies of {field} differ"),
            Self::WrongType { field, found } => write!(f, "{field} is no text but of type {found}"),
            Self::OverLimit { field } => write!(f, "there is more of {field} than is looked at"),
        }
    }
}

/// What is wrong with a malformed field.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Reason {
    /// Bytes that are not UTF-8 text.
    NotText,
    /// A `traceparent` that is too short, or has something behind it.
    Length,
    /// A `traceparent` without its dashes in their places.
    Delimiter,
    /// Something other than lower-case hexadecimal digits in a `traceparent`.
    Digit,
    /// Version `ff`, which is forbidden.
    Version,
    /// A trace id of zeros only.
    ZeroTraceId,
    /// A parent id of zeros only.
    ZeroSpanId,
    /// A list with a member that is not allowed.
    Member,
    /// A list with more members than are allowed.
    TooManyMembers,
    /// A list that nothing assigns to one of several `traceparent`s.
    Unassigned,
    /// The registered propagator found no context in its fields.
    Unrecognised,
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NotText => "it is not UTF-8",
            Self::Length => "its length is wrong",
            Self::Delimiter => "a dash is missing",
            Self::Digit => "it has other than lower-case hexadecimal digits",
            Self::Version => "version ff is forbidden",
            Self::ZeroTraceId => "its trace id is zero",
            Self::ZeroSpanId => "its parent id is zero",
            Self::Member => "it has a member that is not allowed",
            Self::TooManyMembers => "it has too many members",
            Self::Unassigned => "nothing tells to which traceparent it belongs",
            Self::Unrecognised => "the propagator found no context in it",
        })
    }
}
