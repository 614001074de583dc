//! Injection and extraction for HTTP headers.
//!
//! A `HeaderMap` is a carrier: pass it to [`inspect`](crate::inspect) and to a [`Propagation`](crate::Propagation) as well.

use ::http::HeaderMap;
use opentelemetry::Context;

use super::Injection;

/// Writes the context into HTTP headers; a context without a span removes the propagator's old fields.
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

/// Reads the context from HTTP headers; returns an empty context if there is none.
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

#[cfg(test)]
mod tests {
    use opentelemetry::trace::TraceContextExt;

    use ::http::{HeaderName, HeaderValue};

    use super::*;
    use crate::{FieldNames, TextMapReader, testing};

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
        assert_eq!(headers.find(&FieldNames::new(&["TraceParent"])).count(), 1);
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
