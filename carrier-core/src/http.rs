//! HTTP headers, where a trace often comes from.

use ::http::{HeaderMap, HeaderName, HeaderValue};
use opentelemetry::Context;

use crate::names::{OURS, place};
use crate::{Extraction, FieldValue, Fields, Injection, Propagation, TextMapCarrier, TextMapReader};

/// Writes the context into HTTP headers; with a context that has no span, the propagator's old fields are removed as well.
///
/// # Examples
///
/// ```
/// use opentelemetry::Context;
///
/// let mut request = http::Request::new(());
/// carrier_core::http::inject(&Context::current(), request.headers_mut());
/// ```
pub fn inject(cx: &Context, headers: &mut HeaderMap) -> Injection {
    crate::inject(cx, headers)
}

/// Reads the context that HTTP headers brought; an empty context where there is none.
///
/// # Examples
///
/// ```
/// use opentelemetry::trace::TraceContextExt;
///
/// let request = http::Request::builder()
///     .header("traceparent", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01")
///     .body(())?;
/// let cx = carrier_core::http::extract(request.headers());
/// assert!(cx.has_active_span());
/// # Ok::<(), http::Error>(())
/// ```
pub fn extract(headers: &HeaderMap) -> Context {
    crate::extract(headers)
}

/// Writes the context into HTTP headers with a configuration of one's own, and says what was done.
pub fn inject_with(propagation: &Propagation, cx: &Context, headers: &mut HeaderMap) -> Injection {
    propagation.inject(cx, headers)
}

/// Reads the context that HTTP headers brought with a configuration of one's own.
pub fn extract_with(propagation: &Propagation, headers: &HeaderMap) -> Context {
    propagation.extract(headers)
}

/// Reads the context that HTTP headers brought, and says what was found.
pub fn inspect(headers: &HeaderMap) -> Extraction {
    crate::inspect(headers)
}

/// Reads the context that HTTP headers brought with a configuration of one's own, and says what was found.
pub fn inspect_with(propagation: &Propagation, headers: &HeaderMap) -> Extraction {
    propagation.inspect(headers)
}

/// W3C's fields as names that nobody has to parse, which takes some 250 instructions for each look-up.
static NAMES: [HeaderName; OURS.len()] =
    [HeaderName::from_static(OURS[0]), HeaderName::from_static(OURS[1]), HeaderName::from_static(OURS[2])];

impl TextMapReader for HeaderMap {
    fn keys(&self) -> impl Iterator<Item = &str> {
        self.keys().map(HeaderName::as_str)
    }

    fn get_all<'a>(&'a self, key: &str) -> impl Iterator<Item = FieldValue<'a>> {
        let values = match place(key) {
            Some(place) => self.get_all(&NAMES[place]),
            None => self.get_all(key),
        };
        values.into_iter().map(|value| FieldValue::Bytes(value.as_bytes()))
    }

    fn has_any(&self, keys: &[&str]) -> bool {
        !self.is_empty() && keys.iter().any(|key| TextMapReader::get_all(self, key).next().is_some())
    }
}

impl TextMapCarrier for HeaderMap {
    fn replace(&mut self, fields: &mut Fields<'_>) {
        if fields.may_replace() {
            for name in fields.names() {
                match place(name) {
                    Some(place) => self.remove(&NAMES[place]),
                    None => self.remove(name),
                };
            }
        }
        let entries = fields.take_bytes();
        // As many as are added, where a map that is empty would make room for eight.
        let _ = self.try_reserve(entries.len());
        for (key, value) in entries {
            let name = match place(&key) {
                Some(place) => Ok(NAMES[place].clone()),
                None => HeaderName::try_from(&*key),
            };
            let (Ok(name), Ok(value)) = (name, HeaderValue::try_from(value)) else {
                continue;
            };
            // A map that is full (32,768 headers) keeps what it has: `insert` would panic.
            let _ = self.try_insert(name, value);
        }
    }
}

#[cfg(test)]
mod tests {
    use opentelemetry::trace::TraceContextExt;

    use super::*;
    use crate::testing;

    #[test]
    fn old_fields_go_and_other_headers_stay() {
        let mut headers = HeaderMap::new();
        for (name, value) in [
            ("traceparent", "old"),
            ("x-user", "1"),
            ("traceparent", "older"),
            ("tracestate", "old=1"),
            ("x-user", "2"),
        ] {
            headers.append(name, HeaderValue::from_static(value));
        }
        inject(&Context::new(), &mut headers);
        let left: Vec<_> = headers.iter().map(|(name, value)| (name.as_str(), value.as_bytes())).collect();
        assert_eq!(left, [("x-user", &b"1"[..]), ("x-user", b"2")]);
    }

    #[test]
    fn what_is_injected_is_extracted_whatever_the_case_of_the_name() {
        let cx = testing::remote_context();
        let mut headers = HeaderMap::new();
        inject(&cx, &mut headers);
        assert_eq!(TextMapReader::get_all(&headers, "TraceParent").count(), 1);
        testing::assert_carries(&headers, &cx);
    }

    #[test]
    fn two_different_traceparents_are_no_context() {
        let mut headers = HeaderMap::new();
        for digit in ["a", "b"] {
            let value = format!("00-{}-{}-01", digit.repeat(32), digit.repeat(16));
            headers.append("traceparent", HeaderValue::try_from(value).unwrap());
        }
        assert!(!extract(&headers).has_active_span());
    }

    #[test]
    fn a_value_that_is_not_utf8_is_no_context() {
        let mut headers = HeaderMap::new();
        headers.insert("traceparent", HeaderValue::from_bytes(b"00-\xff").unwrap());
        assert!(!extract(&headers).has_active_span());
    }

    #[test]
    fn a_full_map_keeps_its_headers() {
        let mut headers = HeaderMap::new();
        for n in 0..40_000 {
            let name = HeaderName::try_from(format!("x-{n}")).unwrap();
            if headers.try_insert(name, HeaderValue::from_static("1")).is_err() {
                break;
            }
        }
        let full = headers.len();
        inject(&testing::remote_context(), &mut headers);
        assert_eq!(headers.len(), full);
    }
}
