//! Headers as they are on the wire. rdkafka's own interface takes and gives keys as `str`, and panics on the others.

use std::ffi::{CStr, c_char, c_void};
use std::{ptr, slice};

use rdkafka::bindings::{
    rd_kafka_header_add, rd_kafka_header_get_all, rd_kafka_headers_t, rd_kafka_resp_err_t,
};
use rdkafka::message::{BorrowedHeaders, OwnedHeaders};

const OK: rd_kafka_resp_err_t = rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR_NO_ERROR;

/// A key and a value; `None` is null, which is not the empty value.
pub(crate) type Header<'a> = (&'a [u8], Option<&'a [u8]>);

/// Makes headers with any keys.
pub(crate) fn headers<'a>(list: impl IntoIterator<Item = Header<'a>>) -> OwnedHeaders {
    let headers = OwnedHeaders::new();
    for (key, value) in list {
        let start = value.map_or(ptr::null(), |value| value.as_ptr().cast());
        let length = value.map_or(0, |value| isize::try_from(value.len()).unwrap());
        // SAFETY: nobody else has these headers, and the lengths are those of the slices, which are copied.
        let code = unsafe {
            rd_kafka_header_add(
                pointer(headers.as_borrowed()).cast_mut(),
                key.as_ptr().cast(),
                isize::try_from(key.len()).unwrap(),
                start,
                length,
            )
        };
        assert_eq!(code, OK);
    }
    headers
}

/// All headers in their order; a message without headers has none.
pub(crate) fn list(headers: Option<&BorrowedHeaders>) -> Vec<Header<'_>> {
    let Some(headers) = headers else {
        return Vec::new();
    };
    (0..).map_while(|index| get(headers, index)).collect()
}

fn get(headers: &BorrowedHeaders, index: usize) -> Option<Header<'_>> {
    let (mut key, mut value, mut size) = (ptr::null::<c_char>(), ptr::null::<c_void>(), 0);
    // SAFETY: all pointers are valid; librdkafka checks the index.
    let code = unsafe { rd_kafka_header_get_all(pointer(headers), index, &mut key, &mut value, &mut size) };
    (code == OK).then(|| {
        // SAFETY: librdkafka ends the key with a NUL, and both live as long as the headers.
        let key = unsafe { CStr::from_ptr(key) }.to_bytes();
        // SAFETY: a value that is not null has `size` bytes.
        let value = (!value.is_null()).then(|| unsafe { slice::from_raw_parts(value.cast(), size) });
        (key, value)
    })
}

fn pointer(headers: &BorrowedHeaders) -> *const rd_kafka_headers_t {
    ptr::from_ref(headers).cast()
}
