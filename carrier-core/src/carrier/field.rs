//! The names and values of headers.

use std::fmt::Write as _;

use crate::format::W3C_FIELDS;

/// Names of headers, compared without regard to case (W3C Trace Context, "Header Name").
///
/// # Examples
///
/// ```
/// use carrier_core::FieldNames;
///
/// let names = FieldNames::new(&["traceparent", "b3"]);
/// assert_eq!(names.position("B3"), Some(1));
/// assert_eq!(names.position("user"), None);
/// ```
#[derive(Debug, Clone, Copy)]
pub struct FieldNames<'a> {
    names: &'a [&'a str],
    /// A bit for the lower five bits of each first byte: most other names differ there, whatever their case.
    first_bytes: u32,
}

impl FieldNames<'static> {
    /// The names of the W3C fields.
    pub(crate) const W3C: Self = Self::new(&W3C_FIELDS);
}

impl<'a> FieldNames<'a> {
    /// Returns a set of names.
    pub const fn new(names: &'a [&'a str]) -> Self {
        let (mut first_bytes, mut index) = (0, 0);
        while index < names.len() {
            if let [first, ..] = names[index].as_bytes() {
                first_bytes |= 1 << (*first & 31);
            }
            index += 1;
        }
        Self { names, first_bytes }
    }

    /// Returns the index of a name, which is text or bytes; `None` if it is another name.
    #[inline]
    pub fn position(&self, name: impl AsRef<[u8]>) -> Option<usize> {
        match name.as_ref() {
            name @ [first, ..] if self.may_start_with(*first) => self.search(name),
            _ => None,
        }
    }

    /// Returns whether one of the names may start with this byte: a quick check for a name whose length is not known yet.
    #[inline]
    pub fn may_start_with(&self, first: u8) -> bool {
        self.first_bytes & (1 << (first & 31)) != 0
    }

    /// Returns the names.
    pub fn iter(&self) -> impl Iterator<Item = &'a str> {
        self.names.iter().copied()
    }

    fn search(&self, name: &[u8]) -> Option<usize> {
        self.names.iter().position(|wanted| {
            let wanted = wanted.as_bytes();
            wanted.len() == name.len() && (wanted == name || wanted.eq_ignore_ascii_case(name))
        })
    }
}

/// The value of one header, borrowed from the message.
///
/// Message headers are not always text: AMQP 0-9-1 has integers, tables and more, Kafka has null and arbitrary bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum FieldValue<'a> {
    /// Text.
    Text(&'a str),
    /// Bytes that may be UTF-8 text.
    Bytes(&'a [u8]),
    /// A header without a value.
    Null,
    /// A value of a type that holds no text, with the protocol's name of the type.
    Other(&'static str),
}

impl<'a> FieldValue<'a> {
    /// Returns the bytes of a value that may be text; `None` for [`Null`](Self::Null) and [`Other`](Self::Other).
    #[inline]
    pub fn as_bytes(self) -> Option<&'a [u8]> {
        match self {
            Self::Text(text) => Some(text.as_bytes()),
            Self::Bytes(bytes) => Some(bytes),
            Self::Null | Self::Other(_) => None,
        }
    }

    /// Returns the text of a value; `None` if it is not UTF-8, null, or of another type.
    #[inline]
    pub fn as_str(self) -> Option<&'a str> {
        match self {
            Self::Text(text) => Some(text),
            Self::Bytes(bytes) => std::str::from_utf8(bytes).ok(),
            Self::Null | Self::Other(_) => None,
        }
    }

    /// Returns the value as text: text as it is, other bytes as `0x` and hexadecimal digits, any other value as its type.
    pub fn to_text(self) -> String {
        match (self, self.as_str()) {
            (_, Some(text)) => text.to_owned(),
            (Self::Bytes(bytes), None) => bytes.iter().fold("0x".to_owned(), |mut text, byte| {
                let _infallible = write!(text, "{byte:02x}");
                text
            }),
            (Self::Other(name), None) => name.to_owned(),
            (Self::Text(_) | Self::Null, None) => "null".to_owned(),
        }
    }

    /// Returns whether the value is null or has no bytes. Such a copy of a header counts as absent.
    pub fn is_empty(self) -> bool {
        match self {
            Self::Text(text) => text.is_empty(),
            Self::Bytes(bytes) => bytes.is_empty(),
            Self::Null => true,
            Self::Other(_) => false,
        }
    }
}

macro_rules! from {
    ($($variant:ident: $type:ty),*) => {
        $(impl<'a> From<&'a $type> for FieldValue<'a> {
            fn from(value: &'a $type) -> Self {
                Self::$variant(value)
            }
        })*
    };
}

from!(Text: str, Text: String, Bytes: [u8], Bytes: Vec<u8>);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_found_in_any_case_and_no_other_one_is() {
        let names = FieldNames::new(&["traceparent", "X-B3-TraceId", ""]);
        assert_eq!(["TraceParent", "x-b3-traceid"].map(|name| names.position(name)), [Some(0), Some(1)]);
        // `4` and `t` share their lower five bits.
        for other in ["traceparents", "4raceparent", "\u{14}raceparent", "tracestate", "", "x"] {
            assert_eq!(names.position(other), None, "{other:?}");
        }
    }
}
