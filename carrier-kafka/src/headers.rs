//! Record headers as a carrier.

use std::ffi::{CStr, CString};
use std::fmt;

use carrier_core::{Conflict, FieldValue, Fields, TextMapCarrier, TextMapReader};
use rdkafka::message::{BorrowedHeaders, OwnedHeaders};

use crate::native::{self, Value};
use crate::size;

/// The headers of a received message, read; `None` is a message without headers.
///
/// A key is looked up by name: the other headers are not walked, whatever their keys and values are. Only where there are
/// several copies they are, once, and librdkafka shows a key up to its first NUL then: one of our names followed by a NUL
/// counts as a copy.
#[derive(Clone, Copy)]
pub struct HeadersReader<'a>(pub Option<&'a BorrowedHeaders>);

impl fmt::Debug for HeadersReader<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(all(self.0)).finish()
    }
}

impl TextMapReader for HeadersReader<'_> {
    fn keys(&self) -> impl Iterator<Item = &str> {
        keys(self.0)
    }

    fn get_all<'a>(&'a self, key: &str) -> impl Iterator<Item = FieldValue<'a>> {
        values(self.0, key)
    }

    /// The last: clients that forward a record with its headers append the new context behind the old one.
    fn conflict(&self) -> Conflict {
        Conflict::Last
    }
}

/// Headers of one's own, written in place.
///
/// Every other header stays as it is: null, empty, binary and repeated ones, in their order, and those whose key is not
/// UTF-8. librdkafka compares a key up to its first NUL where it removes one, so a header whose key is one of the fields'
/// names followed by a NUL goes with old copies of that field.
pub struct HeadersCarrier<'a>(pub &'a mut OwnedHeaders);

impl HeadersCarrier<'_> {
    pub(crate) fn add(&mut self, fields: &Fields<'_>) {
        for (key, value) in fields.entries() {
            native::add(self.0, key.as_bytes(), value.as_bytes());
        }
    }
}

impl fmt::Debug for HeadersCarrier<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        HeadersReader(Some(self.0.as_borrowed())).fmt(f)
    }
}

impl TextMapReader for HeadersCarrier<'_> {
    fn keys(&self) -> impl Iterator<Item = &str> {
        keys(Some(self.0.as_borrowed()))
    }

    fn get_all<'a>(&'a self, key: &str) -> impl Iterator<Item = FieldValue<'a>> {
        values(Some(self.0.as_borrowed()), key)
    }

    fn has_any(&self, keys: &[&str]) -> bool {
        has_any(Some(self.0.as_borrowed()), keys)
    }

    fn conflict(&self) -> Conflict {
        Conflict::Last
    }
}

impl TextMapCarrier for HeadersCarrier<'_> {
    fn replace(&mut self, fields: Fields<'_>) {
        for name in fields.names() {
            native::with_c_name(name, |name| native::remove(self.0, name));
        }
        self.add(&fields);
    }

    fn entry_size(&self, key: &str, value: &str) -> usize {
        size::entry(key.as_bytes(), Some(value.as_bytes()))
    }

    fn size_without(&self, fields: &Fields<'_>) -> usize {
        size::OVERHEAD + headers_without(Some(self.0.as_borrowed()), fields)
    }

    fn size_limit(&self, size: usize) -> Option<usize> {
        size::usual_limit(size)
    }
}

/// What the headers that stay add to a record.
pub(crate) fn headers_without(headers: Option<&BorrowedHeaders>, fields: &Fields<'_>) -> usize {
    if fields.names().next().is_none() {
        return all(headers).map(|(key, value)| size::entry(key.to_bytes(), value)).sum();
    }
    let stay = all(headers).filter(|(key, _)| !key.to_str().is_ok_and(|key| fields.replaces(key)));
    stay.map(|(key, value)| size::entry(key.to_bytes(), value)).sum()
}

fn all(headers: Option<&BorrowedHeaders>) -> impl Iterator<Item = (&CStr, Value<'_>)> {
    headers.into_iter().flat_map(|headers| (0..).map_while(|index| native::get_at(headers, index)))
}

pub(crate) fn keys(headers: Option<&BorrowedHeaders>) -> impl Iterator<Item = &str> {
    all(headers).filter_map(|(key, _)| key.to_str().ok())
}

/// All values of a key in order, in one pass over the headers at most.
///
/// librdkafka finds the n-th header of a name by walking from the start, so asking for one after the other would be
/// quadratic. Nearly always the first is the last, which takes two look-ups and no walk.
pub(crate) fn values<'a>(
    headers: Option<&'a BorrowedHeaders>,
    key: &str,
) -> impl Iterator<Item = FieldValue<'a>> + use<'a> {
    let found = headers.and_then(|headers| {
        native::with_c_name(key, |name| {
            let (last, first) = (native::last(headers, name)?, native::first(headers, name)?);
            Some(match is_same_header(first, last) {
                true => Values::One(Some(first)),
                false => Values::Several(
                    all(Some(headers)).filter(is_named(name.to_owned())).map(|(_, value)| value),
                ),
            })
        })?
    });
    found.unwrap_or(Values::One(None)).map(value)
}

/// Nearly always it is one, for which no walk has to be prepared.
enum Values<'a, I> {
    One(Option<Value<'a>>),
    Several(I),
}

impl<'a, I: Iterator<Item = Value<'a>>> Iterator for Values<'a, I> {
    type Item = Value<'a>;

    #[inline]
    fn next(&mut self) -> Option<Value<'a>> {
        match self {
            Self::One(value) => value.take(),
            Self::Several(values) => values.next(),
        }
    }
}

/// Whether a header of one of these keys is there.
pub(crate) fn has_any(headers: Option<&BorrowedHeaders>, keys: &[&str]) -> bool {
    let is_there = |headers, key| native::with_c_name(key, |name| native::last(headers, name).is_some());
    headers
        .filter(|headers| native::count(headers) > 0)
        .is_some_and(|headers| keys.iter().any(|key| is_there(headers, key).unwrap_or(false)))
}

fn is_named<'a>(name: CString) -> impl FnMut(&(&'a CStr, Value<'a>)) -> bool {
    move |(key, _)| *key == name.as_c_str()
}

/// Whether two look-ups found one header: every value that is not null has memory of its own, even an empty one.
fn is_same_header(first: Value<'_>, last: Value<'_>) -> bool {
    match (first, last) {
        (Some(first), Some(last)) => std::ptr::eq(first.as_ptr(), last.as_ptr()),
        // Two nulls may be two headers with others between.
        _ => false,
    }
}

fn value(value: Value<'_>) -> FieldValue<'_> {
    value.map_or(FieldValue::Null, FieldValue::Bytes)
}
