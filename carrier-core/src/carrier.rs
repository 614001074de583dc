//! What a carrier is: something that headers can be read from and written to.

use std::borrow::Cow;

use crate::Fields;

/// The value of one header, as far as it can be told without copying it.
///
/// Message headers are not always text: AMQP 0-9-1 has integers, tables and more, Kafka has null and arbitrary
/// bytes. A carrier hands out what is there; that a value is no text is told by the value, never by an error.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum FieldValue<'a> {
    /// Text.
    Text(&'a str),
    /// Bytes that may or may not be UTF-8 text.
    Bytes(&'a [u8]),
    /// A header that is there and has no value.
    Null,
    /// A value of a type that holds no text, with the name that its protocol gives the type.
    Other(&'static str),
}

impl<'a> FieldValue<'a> {
    /// The bytes of a value that may be text; `None` for [`Null`](Self::Null) and [`Other`](Self::Other).
    pub fn as_bytes(self) -> Option<&'a [u8]> {
        match self {
            Self::Text(text) => Some(text.as_bytes()),
            Self::Bytes(bytes) => Some(bytes),
            Self::Null | Self::Other(_) => None,
        }
    }

    /// The text of a value; `None` where it is not UTF-8, null, or of another type.
    pub fn as_str(self) -> Option<&'a str> {
        match self {
            Self::Text(text) => Some(text),
            Self::Bytes(bytes) => std::str::from_utf8(bytes).ok(),
            Self::Null | Self::Other(_) => None,
        }
    }

    /// Whether there is nothing in it: null, or no bytes. Such a copy of a header counts as absent.
    pub fn is_empty(self) -> bool {
        match self {
            Self::Text(text) => text.is_empty(),
            Self::Bytes(bytes) => bytes.is_empty(),
            Self::Null => true,
            Self::Other(_) => false,
        }
    }
}

impl<'a> From<&'a str> for FieldValue<'a> {
    fn from(text: &'a str) -> Self {
        Self::Text(text)
    }
}

impl<'a> From<&'a String> for FieldValue<'a> {
    fn from(text: &'a String) -> Self {
        Self::Text(text)
    }
}

impl<'a> From<&'a Cow<'_, str>> for FieldValue<'a> {
    fn from(text: &'a Cow<'_, str>) -> Self {
        Self::Text(text)
    }
}

impl<'a> From<&'a Vec<u8>> for FieldValue<'a> {
    fn from(bytes: &'a Vec<u8>) -> Self {
        Self::Bytes(bytes)
    }
}

impl<'a> From<&'a [u8]> for FieldValue<'a> {
    fn from(bytes: &'a [u8]) -> Self {
        Self::Bytes(bytes)
    }
}

/// The copies of one header, as a first look finds them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Copies<'a> {
    /// There is none.
    None,
    /// There is one.
    One(FieldValue<'a>),
    /// There are several; [`get_all`](TextMapReader::get_all) has them.
    Several,
}

impl<'a> Copies<'a> {
    /// What an iterator over the copies says.
    #[inline]
    pub fn of(mut all: impl Iterator<Item = FieldValue<'a>>) -> Self {
        match (all.next(), all.next()) {
            (None, _) => Self::None,
            (Some(one), None) => Self::One(one),
            (Some(_), Some(_)) => Self::Several,
        }
    }
}

/// Which one of several different `traceparent` headers is used.
///
/// Identical copies count as one, and null or empty ones as none, so they are no conflict.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum Conflict {
    /// None of them: the trace starts anew (RFC 9110, section 5.3: a field that is no list is there once).
    #[default]
    Restart,
    /// The last one that is valid. In Kafka a record that is forwarded with its headers gets the newest context
    /// appended behind the old one.
    Last,
}

/// Headers that can be read: the getter of OpenTelemetry's TextMap propagator.
///
/// Keys are compared as the transport compares them: exactly in AMQP and Kafka, ignoring case in HTTP.
/// Implementations never fail and never panic, whatever is in the headers.
pub trait TextMapReader {
    /// The keys of all headers, in order; a key may come more than once. A key that is not UTF-8 is left out.
    fn keys(&self) -> impl Iterator<Item = &str>;

    /// All values of a key, in order, null and empty ones included.
    ///
    /// The iterator is lazy where the transport allows it: callers stop early on a message with thousands of copies.
    fn get_all<'a>(&'a self, key: &str) -> impl Iterator<Item = FieldValue<'a>>;

    /// The copies of each of several keys, as a first look finds them.
    ///
    /// Asked for every message that is read. The default asks [`get_all`](Self::get_all) for one key after the other; a
    /// transport that can find all of them in one pass does so here.
    fn copies<'a, const N: usize>(&'a self, keys: [&str; N]) -> [Copies<'a>; N] {
        keys.map(|key| Copies::of(self.get_all(key)))
    }

    /// Whether a header of one of these keys is there, whatever its value.
    fn has_any(&self, keys: &[&str]) -> bool {
        keys.iter().any(|key| self.get_all(key).next().is_some())
    }

    /// What is done with different `traceparent` headers in one message, where nobody chose otherwise.
    fn conflict(&self) -> Conflict {
        Conflict::default()
    }
}

/// Headers that can be written: the setter of OpenTelemetry's TextMap propagator.
///
/// A separate trait, since a received message can be read and not written.
pub trait TextMapCarrier: TextMapReader {
    /// Replaces a set of fields at once.
    ///
    /// Every header whose key [`fields.replaces`](Fields::replaces) goes, with all its copies; each of
    /// [`fields.take_entries()`](Fields::take_entries) is added once; every other header stays as it was, in its order.
    fn replace(&mut self, fields: &mut Fields<'_>);

    /// What one header adds to the message, in bytes as the transport counts them; `value` is the length of its value.
    fn entry_size(&self, key: &str, value: usize) -> usize {
        key.len() + value
    }

    /// What counts against [`size_limit`](Self::size_limit) in the message as it is, without the headers that `fields`
    /// replaces.
    fn size_without(&self, fields: &Fields<'_>) -> usize {
        let _ = fields;
        0
    }

    /// What counts against [`size_limit`](Self::size_limit) in a message that has none of these headers; `None` where one
    /// is there, whatever its value.
    ///
    /// Asked before every injection. The default asks [`has_any`](TextMapReader::has_any) and
    /// [`size_without`](Self::size_without); a transport that can answer both in one pass does so here.
    fn size_if_absent<const N: usize>(&self, keys: [&str; N]) -> Option<usize> {
        (!self.has_any(&keys)).then(|| self.size_without(&Fields::default()))
    }

    /// The most bytes that the transport takes where nobody set another limit; `None` where the carrier knows none.
    ///
    /// `size` is what [`size_without`](Self::size_without) found: a message that is already larger than the usual limit shows
    /// that another one is set.
    fn size_limit(&self, size: usize) -> Option<usize> {
        let _ = size;
        None
    }
}

impl<T: TextMapReader> TextMapReader for &T {
    fn keys(&self) -> impl Iterator<Item = &str> {
        (**self).keys()
    }

    fn get_all<'a>(&'a self, key: &str) -> impl Iterator<Item = FieldValue<'a>> {
        (**self).get_all(key)
    }

    fn copies<'a, const N: usize>(&'a self, keys: [&str; N]) -> [Copies<'a>; N] {
        (**self).copies(keys)
    }

    fn has_any(&self, keys: &[&str]) -> bool {
        (**self).has_any(keys)
    }

    fn conflict(&self) -> Conflict {
        (**self).conflict()
    }
}

impl<T: TextMapReader> TextMapReader for &mut T {
    fn keys(&self) -> impl Iterator<Item = &str> {
        (**self).keys()
    }

    fn get_all<'a>(&'a self, key: &str) -> impl Iterator<Item = FieldValue<'a>> {
        (**self).get_all(key)
    }

    fn copies<'a, const N: usize>(&'a self, keys: [&str; N]) -> [Copies<'a>; N] {
        (**self).copies(keys)
    }

    fn has_any(&self, keys: &[&str]) -> bool {
        (**self).has_any(keys)
    }

    fn conflict(&self) -> Conflict {
        (**self).conflict()
    }
}

impl<T: TextMapCarrier> TextMapCarrier for &mut T {
    fn replace(&mut self, fields: &mut Fields<'_>) {
        (**self).replace(fields);
    }

    fn entry_size(&self, key: &str, value: usize) -> usize {
        (**self).entry_size(key, value)
    }

    fn size_if_absent<const N: usize>(&self, keys: [&str; N]) -> Option<usize> {
        (**self).size_if_absent(keys)
    }

    fn size_without(&self, fields: &Fields<'_>) -> usize {
        (**self).size_without(fields)
    }

    fn size_limit(&self, size: usize) -> Option<usize> {
        (**self).size_limit(size)
    }
}
