//! Record headers as a carrier.

use std::ffi::{CStr, CString};
use std::{fmt, iter};

use carrier_core::{Conflict, Copies, FieldValue, Fields, TextMapCarrier, TextMapReader};
use rdkafka::message::{BorrowedHeaders, OwnedHeaders};

use crate::native::{self, Name, Value};
use crate::size;

/// The headers of a received message, read; `None` is a message without headers.
///
/// They are walked once for all the keys that are wanted, whatever the keys and values of the others are. librdkafka compares
/// and shows a key up to its first NUL: one of our names followed by a NUL counts as a copy.
#[derive(Clone, Copy)]
pub struct HeadersReader<'a>(pub Option<&'a BorrowedHeaders>);

impl fmt::Debug for HeadersReader<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(all(self.0).map(|(name, value)| (name.to_c_str(), value))).finish()
    }
}

impl TextMapReader for HeadersReader<'_> {
    fn keys(&self) -> impl Iterator<Item = &str> {
        keys(self.0)
    }

    fn get_all<'a>(&'a self, key: &str) -> impl Iterator<Item = FieldValue<'a>> {
        values(self.0, key)
    }

    fn copies<'a, const N: usize>(&'a self, keys: [&str; N]) -> [Copies<'a>; N] {
        copies(self.0, keys)
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
        for (key, value) in fields.bytes() {
            native::add(self.0, key.as_bytes(), value);
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

    fn copies<'a, const N: usize>(&'a self, keys: [&str; N]) -> [Copies<'a>; N] {
        copies(Some(self.0.as_borrowed()), keys)
    }

    fn has_any(&self, keys: &[&str]) -> bool {
        has_any(Some(self.0.as_borrowed()), keys)
    }

    fn conflict(&self) -> Conflict {
        Conflict::Last
    }
}

impl TextMapCarrier for HeadersCarrier<'_> {
    fn replace(&mut self, fields: &mut Fields<'_>) {
        if fields.may_replace() {
            for name in fields.names() {
                native::with_c_name(name, |name| native::remove(self.0, name));
            }
        }
        self.add(fields);
    }

    fn entry_size(&self, key: &str, value: usize) -> usize {
        size::entry(key.len(), value)
    }

    fn size_if_absent<const N: usize>(&self, keys: [&str; N]) -> Option<usize> {
        Some(size::OVERHEAD + headers_if_absent(Some(self.0.as_borrowed()), keys)?)
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
    let stays = |name: &CStr| !name.to_str().is_ok_and(|name| fields.replaces(name));
    all(headers).filter(|(name, _)| stays(name.to_c_str())).map(header_size).sum()
}

/// What the headers add to a record, where none has one of these keys.
#[inline]
pub(crate) fn headers_if_absent<const N: usize>(
    headers: Option<&BorrowedHeaders>,
    keys: [&str; N],
) -> Option<usize> {
    let is_there = |name: Name<'_>| keys.iter().any(|key| name.is(key.as_bytes()));
    all(headers).try_fold(0, |size, header| (!is_there(header.0)).then(|| size + header_size(header)))
}

#[inline]
fn header_size((name, value): (Name<'_>, Value<'_>)) -> usize {
    size::entry(name.to_c_str().count_bytes(), value.map_or(0, <[u8]>::len))
}

/// The copies of each key, in one pass over the headers.
///
/// librdkafka's look-up by name walks as well, for each key once: it takes fewer instructions in a message with hundreds of
/// headers, and half as much time again in one with twenty.
#[inline]
pub(crate) fn copies<'a, const N: usize>(
    headers: Option<&'a BorrowedHeaders>,
    keys: [&str; N],
) -> [Copies<'a>; N] {
    let mut found = [Copies::None; N];
    for (name, content) in all(headers) {
        if let Some(place) = keys.iter().position(|key| name.is(key.as_bytes())) {
            found[place] = match found[place] {
                Copies::None => Copies::One(value(content)),
                _ => Copies::Several,
            };
        }
    }
    found
}

fn all(headers: Option<&BorrowedHeaders>) -> impl Iterator<Item = (Name<'_>, Value<'_>)> {
    let mut index = 0;
    iter::from_fn(move || {
        let header = native::get_at(headers?, index)?;
        index += 1;
        Some(header)
    })
}

pub(crate) fn keys(headers: Option<&BorrowedHeaders>) -> impl Iterator<Item = &str> {
    all(headers).filter_map(|(name, _)| name.to_c_str().to_str().ok())
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

fn is_named<'a>(key: CString) -> impl FnMut(&(Name<'a>, Value<'a>)) -> bool {
    move |(name, _)| name.is(key.to_bytes())
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
