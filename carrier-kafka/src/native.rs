//! The calls of librdkafka that rdkafka's safe interface lacks, or that panic there.
//!
//! rdkafka turns every key into a `str` and panics if one is not UTF-8. It can neither remove nor replace a header, and it
//! adds one only to headers by value.

use std::ffi::{CStr, c_char, c_void};
use std::marker::PhantomData;
use std::{ptr, slice};

use carrier_core::FieldNames;
use rdkafka::bindings::{
    rd_kafka_header_add, rd_kafka_header_cnt, rd_kafka_header_get_all, rd_kafka_header_remove,
    rd_kafka_headers_t, rd_kafka_resp_err_t,
};
use rdkafka::message::{BorrowedHeaders, OwnedHeaders};

const OK: rd_kafka_resp_err_t = rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR_NO_ERROR;

// rdkafka's `BorrowedHeaders` is a reference to librdkafka's list and has no field of its own. `pointer` relies on that,
// and a release of rdkafka that changes it must not compile.
const _: () = assert!(size_of::<BorrowedHeaders>() == 0 && align_of::<BorrowedHeaders>() == 1);

/// A header's value. `None` is null, which differs from the empty value.
pub(crate) type Value<'a> = Option<&'a [u8]>;

/// A header's key, up to its first NUL. Its length is computed on demand.
#[derive(Clone, Copy)]
pub(crate) struct Name<'a>(*const c_char, PhantomData<&'a CStr>);

impl<'a> Name<'a> {
    /// Returns its index among these names. Most keys differ in the first byte, so their length is not computed.
    #[inline]
    pub(crate) fn position(self, names: &FieldNames<'_>) -> Option<usize> {
        // SAFETY: the name ends with a NUL, so it has a first byte.
        let first = unsafe { self.0.cast::<u8>().read() };
        match names.may_start_with(first) {
            true => names.position(self.to_c_str().to_bytes()),
            false => None,
        }
    }

    #[inline]
    pub(crate) fn to_c_str(self) -> &'a CStr {
        // SAFETY: librdkafka ends every name with a NUL, and it lives as long as the headers, which are borrowed.
        unsafe { CStr::from_ptr(self.0) }
    }
}

#[cfg(test)]
thread_local! {
    /// How many headers were read, added or moved: the work of a test.
    pub(crate) static STEPS: std::cell::Cell<usize> = const { std::cell::Cell::new(0) };
}

/// Returns the number of headers.
pub(crate) fn count(headers: &BorrowedHeaders) -> usize {
    // SAFETY: the pointer is valid for reads while the reference lives.
    unsafe { rd_kafka_header_cnt(pointer(headers)) }
}

/// Returns the header at an index.
#[inline]
pub(crate) fn get_at(headers: &BorrowedHeaders, index: usize) -> Option<(Name<'_>, Value<'_>)> {
    #[cfg(test)]
    STEPS.set(STEPS.get() + 1);
    let (mut name, mut value, mut size) = (ptr::null::<c_char>(), ptr::null::<c_void>(), 0);
    // SAFETY: the pointers are valid, and librdkafka checks the index. rdkafka's own call panics if the key is not UTF-8.
    let code = unsafe { rd_kafka_header_get_all(pointer(headers), index, &mut name, &mut value, &mut size) };
    if code != OK || name.is_null() {
        return None;
    }
    // SAFETY: the value lives as long as the headers, which do not change while they are borrowed.
    Some((Name(name, PhantomData), unsafe { value_of(value, size) }))
}

/// Removes all headers of a name and leaves the others in place.
pub(crate) fn remove(headers: &mut OwnedHeaders, name: &CStr) {
    #[cfg(test)]
    let before = count(headers.as_borrowed());
    // SAFETY: the reference is exclusive, and owned headers are never read-only. rdkafka cannot remove a header.
    let _absent = unsafe { rd_kafka_header_remove(pointer(headers.as_borrowed()).cast_mut(), name.as_ptr()) };
    #[cfg(test)]
    STEPS.set(STEPS.get() + before * (1 + before - count(headers.as_borrowed())));
}

/// Adds a header after the others.
pub(crate) fn add(headers: &mut OwnedHeaders, name: &[u8], value: Value<'_>) {
    let (Ok(name_size), Ok(value_size)) =
        (isize::try_from(name.len()), isize::try_from(value.map_or(0, <[u8]>::len)))
    else {
        return; // No slice is longer than `isize::MAX`.
    };
    // SAFETY: as in `remove`; the sizes are those of the slices, which librdkafka copies. rdkafka's `insert` takes the
    // headers by value, which needs a throw-away list if they are behind a reference.
    let _ok = unsafe {
        rd_kafka_header_add(
            pointer(headers.as_borrowed()).cast_mut(),
            name.as_ptr().cast(),
            name_size,
            value.map_or(ptr::null(), <[u8]>::as_ptr).cast(),
            value_size,
        )
    };
}

/// Returns librdkafka's pointer: rdkafka's `BorrowedHeaders` stands at its address.
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
        add(&mut headers, b"name\0x", Some(b""));
        let name = get_at(headers.as_borrowed(), 0).unwrap().0;
        assert_eq!(["name", "NAME"].map(|key| name.position(&FieldNames::new(&["x", key]))), [Some(1); 2]);
        for other in ["", "nam", "namf", "names", "name\0", "name\0x"] {
            assert_eq!(name.position(&FieldNames::new(&[other])), None, "{other:?}");
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
        add(&mut headers, b"a", Some(b"\xff"));
        add(&mut headers, b"null", None);
        add(&mut headers, b"empty", Some(b""));
        let expected = [("a", None), ("a", Some(&b"\xff"[..])), ("null", None), ("empty", Some(&b""[..]))];
        assert_eq!(list(&headers), expected);
    }

    #[test]
    fn rdkafkas_headers_stand_at_the_address_of_librdkafkas() {
        let headers = headers(&[("a", Some("1"))]);
        // `detach` gives rdkafka's pointer to a copy; both must read the same through ours.
        let copy = headers.as_borrowed().detach();
        assert_eq!(count(headers.as_borrowed()), 1);
        assert_eq!(list(&copy), list(&headers));
        assert_eq!(size_of_val(headers.as_borrowed()), 0);
    }
}
