//! What a message holds of the fields that are read.

use std::borrow::Cow;
use std::fmt;

use crate::format::MalformedReason;

/// What was found in a message.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum ExtractionStatus {
    /// The message has no field of the propagator, or only null and empty ones.
    #[default]
    Absent,
    /// All that was found is valid.
    Valid,
    /// A field holds what its specification does not allow.
    #[non_exhaustive]
    Malformed {
        /// The name of the field.
        field: Cow<'static, str>,
        /// What is wrong with it.
        reason: MalformedReason,
    },
    /// Copies of a field that must not be repeated differ.
    #[non_exhaustive]
    Conflicting {
        /// The name of the field.
        field: Cow<'static, str>,
    },
    /// A field has a value of a type that holds no text.
    #[non_exhaustive]
    WrongType {
        /// The name of the field.
        field: Cow<'static, str>,
        /// The protocol's name of the type.
        found: &'static str,
    },
    /// A field has more bytes, copies or members than are read. The rest is ignored.
    #[non_exhaustive]
    OverLimit {
        /// The name of the field.
        field: Cow<'static, str>,
    },
}

impl ExtractionStatus {
    /// Returns a short stable name for a metric attribute: `absent`, `valid`, `malformed`, `conflicting`, `wrong_type` or
    /// `over_limit`.
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

    /// Returns the name of the field that is not valid; `None` if there is no such field.
    pub fn field(&self) -> Option<&str> {
        match self {
            Self::Absent | Self::Valid => None,
            Self::Malformed { field, .. }
            | Self::Conflicting { field }
            | Self::WrongType { field, .. }
            | Self::OverLimit { field } => Some(field),
        }
    }

    /// Returns whether a field is not valid.
    pub fn is_invalid(&self) -> bool {
        self.field().is_some()
    }

    pub(crate) fn malformed(field: &'static str, reason: MalformedReason) -> Self {
        Self::Malformed { field: field.into(), reason }
    }

    /// Combines the statuses of two fields: the first one that is not valid is kept.
    #[inline]
    pub(crate) fn or(self, next: Self) -> Self {
        match (&self, &next) {
            (_, Self::Absent) | (Self::Valid, Self::Valid) => self,
            (Self::Absent | Self::Valid, _) => next,
            _ => self,
        }
    }

    /// Combines two statuses of one field: the worse is kept, and of equal ones the first.
    ///
    /// A field over a limit can be used in part, so that is the mildest of what is not valid.
    pub(crate) fn worse(self, other: Self) -> Self {
        let severity = |status: &Self| match status {
            Self::Absent => 0,
            Self::Valid => 1,
            Self::OverLimit { .. } => 2,
            Self::Malformed { .. } | Self::WrongType { .. } | Self::Conflicting { .. } => 3,
        };
        if severity(&other) > severity(&self) { other } else { self }
    }
}

impl fmt::Display for ExtractionStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Absent => f.write_str("no context"),
            Self::Valid => f.write_str("a valid context"),
            Self::Malformed { field, reason } => write!(f, "{field} is malformed: {reason}"),
            Self::Conflicting { field } => write!(f, "copies of {field} differ"),
            Self::WrongType { field, found } => write!(f, "{field} is not text but has the type {found}"),
            Self::OverLimit { field } => write!(f, "{field} is over the limit of what is read"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_worse_of_two_statuses_of_a_field_is_kept() {
        let over = || ExtractionStatus::OverLimit { field: "tracestate".into() };
        let bad = || ExtractionStatus::malformed("tracestate", MalformedReason::Member);
        let wrong = || ExtractionStatus::WrongType { field: "tracestate".into(), found: "long-int" };
        assert_eq!(bad().worse(over()), bad());
        assert_eq!(over().worse(bad()), bad());
        assert_eq!(wrong().worse(bad()), wrong());
        assert_eq!(ExtractionStatus::Valid.worse(over()), over());
        assert_eq!(ExtractionStatus::Absent.worse(ExtractionStatus::Valid), ExtractionStatus::Valid);
    }
}
