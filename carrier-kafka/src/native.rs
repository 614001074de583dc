//! The few calls of librdkafka that rdkafka's safe interface lacks, or makes only with a panic.
//!
//! rdkafka turns every key that it passes on the way into a `str` and panics where one is not UTF-8, has no look-up by
//! name, and can neither remove nor replace a header. librdkafka does all three without touching the other headers.

use std::ffi::{CStr, CString, c_char, c_void};
use std::marker::PhantomData;
use std::{ptr, slice};

use rdkafka::bindings::{
    rd_kafka_header_add, rd_kafka_header_cnt, rd_kafka_header_get, rd_kafka_header_get_all,
    rd_kafka_header_get_last, rd_kafka_header_remove, rd_kafka_headers_t, rd_kafka_resp_err_t,
};
use rdkafka::message::{BorrowedHeaders, OwnedHeaders};

const OK: rd_kafka_resp_err_t = rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR_NO_ERROR;

/// The longest key that is looked up without an allocation.
const SHORT_KEY: usize = 63;

/// A header's value: `None` is null, which is not the empty value.
pub(crate) type Value<'a> = Option<&'a [u8]>;

/// A header's key as it is on the wire up to the first NUL, whose length is not known before it is asked for.
#[derive(Clone, Copy)]
pub(crate) struct Name<'a>(*const c_char, PhantomData<&'a CStr>);

impl<'a> Name<'a> {
    /// Whether it is this key.
    #[inline]
    pub(crate) fn is(self, key: &[u8]) -> bool {
        // SAFETY: the name ends with a NUL, so it has a first byte, by which nearly all are told.
        let first = unsafe { self.0.cast::<u8>().read() };
        key.first().is_some_and(|byte| *byte == first) && self.to_c_str().to_bytes() == key
    }

    #[inline]
    pub(crate) fn to_c_str(self) -> &'a CStr {
        // SAFETY: librdkafka ends every name with a NUL, and it lives as long as the headers, which are borrowed.
        unsafe { CStr::from_ptr(self.0) }
    }
}

/// The number of headers.
pub(crate) fn count(headers: &BorrowedHeaders) -> usize {
    // SAFETY: the pointer is valid for reads while the reference lives.
    unsafe { rd_kafka_header_cnt(pointer(headers)) }
}

/// The header at an index.
#[inline]
pub(crate) fn get_at(headers: &BorrowedHeaders, index: usize) -> Option<(Name<'_>, Value<'_>)> {
    let (mut name, mut value, mut size) = (ptr::null::<c_char>(), ptr::null::<c_void>(), 0);
    // SAFETY: the pointers are valid, and librdkafka checks the index. rdkafka's own call of this panics where the key
    // is not UTF-8.
    let code = unsafe { rd_kafka_header_get_all(pointer(headers), index, &mut name, &mut value, &mut size) };
    if code != OK || name.is_null() {
        return None;
    }
    // SAFETY: the value lives as long as the headers, and as long as the borrow lasts nobody changes those.
    Some((Name(name, PhantomData), unsafe { value_of(value, size) }))
}

/// The first header of a name; `None` where there is no such header.
pub(crate) fn first<'a>(headers: &'a BorrowedHeaders, name: &CStr) -> Option<Value<'a>> {
    let (mut value, mut size) = (ptr::null::<c_void>(), 0);
    // SAFETY: the pointers are valid and the name ends with a NUL. rdkafka has no look-up by name.
    let code = unsafe { rd_kafka_header_get(pointer(headers), 0, name.as_ptr(), &mut value, &mut size) };
    // SAFETY: the value lives as long as the borrow of the headers.
    (code == OK).then(|| unsafe { value_of(value, size) })
}

/// The last header of a name; `None` where there is no such header.
pub(crate) fn last<'a>(headers: &'a BorrowedHeaders, name: &CStr) -> Option<Value<'a>> {
    let (mut value, mut size) = (ptr::null::<c_void>(), 0);
    // SAFETY: as in `first`.
    let code = unsafe { rd_kafka_header_get_last(pointer(headers), name.as_ptr(), &mut value, &mut size) };
    // SAFETY: as in `first`.
    (code == OK).then(|| unsafe { value_of(value, size) })
}

/// Removes all headers of a name and leaves the others in place.
pub(crate) fn remove(headers: &mut OwnedHeaders, name: &CStr) {
    // SAFETY: the reference is exclusive, so nobody else reads or writes these headers, and owned headers are never
    // read-only. rdkafka has no way to remove a header.
    let _absent = unsafe { rd_kafka_header_remove(pointer(headers.as_borrowed()).cast_mut(), name.as_ptr()) };
}

/// Adds a header behind the others.
pub(crate) fn add(headers: &mut OwnedHeaders, name: &[u8], value: &[u8]) {
    let (Ok(name_size), Ok(value_size)) = (isize::try_from(name.len()), isize::try_from(value.len())) else {
        return; // No slice is longer than `isize::MAX`.
    };
    // SAFETY: as in `remove`; the sizes are those of the slices, which librdkafka copies. rdkafka's `insert` takes the
    // headers by value, which a caller behind a reference could only do with a throw-away list.
    let _ok = unsafe {
        rd_kafka_header_add(
            pointer(headers.as_borrowed()).cast_mut(),
            name.as_ptr().cast(),
            name_size,
            value.as_ptr().cast(),
            value_size,
        )
    };
}

/// Calls `then` with a key as librdkafka takes it; `None` where the key holds a NUL, so that no header can have it.
pub(crate) fn with_c_name<T>(key: &str, then: impl FnOnce(&CStr) -> T) -> Option<T> {
    // Nearly all that is ever asked for.
    match key {
        "traceparent" => return Some(then(c"traceparent")),
        "tracestate" => return Some(then(c"tracestate")),
        "baggage" => return Some(then(c"baggage")),
        _ => {}
    }
    let mut short = [0; SHORT_KEY + 1];
    match short.get_mut(..key.len()).filter(|_| key.len() <= SHORT_KEY) {
        Some(start) => {
            start.copy_from_slice(key.as_bytes());
            CStr::from_bytes_with_nul(&short[..=key.len()]).ok().map(then)
        }
        None => CString::new(key).ok().map(|name| then(&name)),
    }
}

/// librdkafka's own pointer: rdkafka's `BorrowedHeaders` stands at its address and has no field of its own.
fn pointer(headers: &BorrowedHeaders) -> *const rd_kafka_headers_t {
    ptr::from_ref(headers).cast()
}

/// # Safety
///
/// `value` is null or valid for `size` bytes for all of `'a`.
unsafe fn value_of<'a>(value: *const c_void, size: usize) -> Value<'a> {
    // SAFETY: what the caller promises.
    (!value.is_null()).then(|| unsafe { slice::from_raw_parts(value.cast(), size) })
}

#[cfg(test)]
mod tests {
    use rdkafka::message::{Header, Headers};

    use super::*;

    fn headers(pairs: &[(&str, Option<&str>)]) -> OwnedHeaders {
        pairs
            .iter()
            .fold(OwnedHeaders::new(), |headers, (key, value)| headers.insert(Header { key, value: *value }))
    }

    fn list(headers: &OwnedHeaders) -> Vec<(&str, Value<'_>)> {
        headers.iter().map(|header| (header.key, header.value)).collect()
    }

    #[test]
    fn the_first_and_the_last_of_a_name_are_found() {
        let headers = headers(&[("a", Some("1")), ("b", Some("x")), ("a", None), ("a", Some(""))]);
        assert_eq!(first(headers.as_borrowed(), c"a"), Some(Some(&b"1"[..])));
        assert_eq!(last(headers.as_borrowed(), c"a"), Some(Some(&b""[..])));
        assert_eq!(first(headers.as_borrowed(), c"A"), None);
        assert_eq!(last(headers.as_borrowed(), c""), None);
    }

    #[test]
    fn null_and_the_empty_value_are_told_apart() {
        let headers = headers(&[("null", None), ("empty", Some(""))]);
        let at = |index| get_at(headers.as_borrowed(), index).map(|(name, value)| (name.to_c_str(), value));
        assert_eq!(at(0), Some((c"null", None)));
        assert_eq!(at(1), Some((c"empty", Some(&b""[..]))));
        assert_eq!(at(2), None);
        assert_eq!(count(headers.as_borrowed()), 2);
    }

    #[test]
    fn a_name_is_what_comes_before_its_first_nul_and_nothing_else() {
        let mut headers = OwnedHeaders::new();
        add(&mut headers, b"name\0x", b"");
        let name = get_at(headers.as_borrowed(), 0).unwrap().0;
        assert!(name.is(b"name"));
        for other in [&b""[..], b"nam", b"namf", b"names", b"name\0", b"name\0x", b"NAME"] {
            assert!(!name.is(other), "{other:?}");
        }
    }

    #[test]
    fn remove_takes_every_copy_and_nothing_else() {
        let mut headers = headers(&[("a", Some("1")), ("b", None), ("a", None), ("c", Some(""))]);
        remove(&mut headers, c"a");
        remove(&mut headers, c"absent");
        assert_eq!(list(&headers), [("b", None), ("c", Some(&b""[..]))]);
    }

    #[test]
    fn add_appends() {
        let mut headers = headers(&[("a", None)]);
        add(&mut headers, b"a", b"\xff");
        add(&mut headers, b"empty", b"");
        assert_eq!(list(&headers), [("a", None), ("a", Some(&b"\xff"[..])), ("empty", Some(&b""[..]))]);
    }

    #[test]
    fn keys_of_any_length_are_passed_on_and_keys_with_a_nul_are_not() {
        for length in [0, 1, SHORT_KEY, SHORT_KEY + 1, 10_000] {
            let key = "k".repeat(length);
            assert_eq!(with_c_name(&key, |name| name.to_bytes().len()), Some(length));
        }
        assert_eq!(with_c_name("a\0b", |_| ()), None);
        assert_eq!(with_c_name(&format!("{}\0", "k".repeat(100)), |_| ()), None);
    }
}
