//! Record headers as a carrier.

use std::ffi::CStr;
use std::{fmt, iter};

use carrier_core::{Conflict, FieldNames, FieldValue, Fields, MessageSize, TextMapCarrier, TextMapReader};
use rdkafka::message::{BorrowedHeaders, OwnedHeaders};

use crate::native::{self, Name, Value};
use crate::size;

/// From this number of old copies on, the list is built anew: librdkafka moves the rest for each header that it removes.
const MANY_COPIES: usize = 64;

/// Reads the headers of a received message; `None` is a message without headers.
///
/// A key ends at its first NUL, as librdkafka shows it: a header `traceparent\0x` is read, and replaced, as a
/// `traceparent`. librdkafka does not show what comes after the NUL, so that does not count against the message's limit. A
/// header whose key is not UTF-8 is no field and stays as it is.
#[derive(Clone, Copy)]
pub struct HeadersReader<'a>(pub Option<&'a BorrowedHeaders>);

impl fmt::Debug for HeadersReader<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(all(self.0).map(|(name, value)| (name.to_c_str(), value))).finish()
    }
}

/// Writes your own headers in place.
///
/// Every other header stays as it is and in its order: null, empty, binary and repeated ones, and those whose key is not
/// UTF-8. [`HeadersReader`] documents keys with a NUL.
pub struct HeadersCarrier<'a>(pub &'a mut OwnedHeaders);

impl fmt::Debug for HeadersCarrier<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        HeadersReader(Some(self.0.as_borrowed())).fmt(f)
    }
}

impl TextMapCarrier for HeadersCarrier<'_> {
    fn replace(&mut self, fields: &mut Fields<'_>) {
        if fields.may_replace() {
            remove_replaced(self.0, fields);
        }
        add(self.0, fields);
    }

    fn measure(&self, names: &FieldNames<'_>) -> MessageSize {
        measure(Some(self.0.as_borrowed()), 0, names)
    }
}

/// Writes the `headers` of a [`FutureRecord`](rdkafka::producer::FutureRecord) or
/// [`BaseRecord`](rdkafka::producer::BaseRecord) in place, and creates them if there is something to write.
#[derive(Debug)]
pub struct RecordCarrier<'a> {
    headers: &'a mut Option<OwnedHeaders>,
    body: usize,
}

impl<'a> RecordCarrier<'a> {
    /// Returns the carrier of a record whose key and payload have `body` bytes, which count against the message's limit.
    pub fn new(headers: &'a mut Option<OwnedHeaders>, body: usize) -> Self {
        Self { headers, body }
    }

    pub(crate) fn borrowed(&self) -> Option<&BorrowedHeaders> {
        self.headers.as_ref().map(OwnedHeaders::as_borrowed)
    }
}

impl TextMapCarrier for RecordCarrier<'_> {
    fn replace(&mut self, fields: &mut Fields<'_>) {
        if let Some(headers) = self.headers {
            HeadersCarrier(headers).replace(fields);
            return;
        }
        let additions = fields.additions();
        if additions > 0 {
            add(self.headers.insert(OwnedHeaders::new_with_capacity(additions)), fields);
        }
    }

    fn measure(&self, names: &FieldNames<'_>) -> MessageSize {
        measure(self.borrowed(), self.body, names)
    }
}

/// Implements reading for a type that has headers or none.
macro_rules! read {
    ($($carrier:ident => |$this:ident| $headers:expr;)*) => {$(
        impl TextMapReader for $carrier<'_> {
            fn entries(&self) -> impl Iterator<Item = (&str, FieldValue<'_>)> {
                let $this = self;
                entries($headers)
            }

            fn find<'a>(&'a self, names: &FieldNames<'_>) -> impl Iterator<Item = (usize, FieldValue<'a>)> {
                let $this = self;
                find($headers, names)
            }

            /// The last: clients that forward a record with its headers append the new context after the old one.
            fn conflict(&self) -> Conflict {
                Conflict::Last
            }
        }
    )*};
}

read! {
    HeadersReader => |this| this.0;
    HeadersCarrier => |this| Some(this.0.as_borrowed());
    RecordCarrier => |this| this.borrowed();
}

#[inline]
pub(crate) fn all(headers: Option<&BorrowedHeaders>) -> impl Iterator<Item = (Name<'_>, Value<'_>)> {
    let mut index = 0;
    iter::from_fn(move || {
        let header = native::get_at(headers?, index)?;
        index += 1;
        Some(header)
    })
}

fn entries(headers: Option<&BorrowedHeaders>) -> impl Iterator<Item = (&str, FieldValue<'_>)> {
    all(headers).filter_map(|(name, content)| Some((name.to_c_str().to_str().ok()?, value(content))))
}

#[inline]
fn find<'a>(
    headers: Option<&'a BorrowedHeaders>,
    names: &FieldNames<'_>,
) -> impl Iterator<Item = (usize, FieldValue<'a>)> {
    all(headers).filter_map(|(name, content)| Some((name.position(names)?, value(content))))
}

#[inline]
fn value(value: Value<'_>) -> FieldValue<'_> {
    value.map_or(FieldValue::Null, FieldValue::Bytes)
}

/// Measures a record with these headers, and key and payload of `body` bytes, without the headers of these names.
#[inline]
fn measure(headers: Option<&BorrowedHeaders>, body: usize, names: &FieldNames<'_>) -> MessageSize {
    let (mut is_present, mut bytes) = (false, size::OVERHEAD + body);
    for (name, value) in all(headers) {
        match name.position(names) {
            Some(_) => is_present = true,
            None => bytes += size::entry(name.to_c_str().count_bytes(), value.map_or(0, <[u8]>::len)),
        }
    }
    MessageSize::limited(is_present, bytes, size::usual_limit(bytes), |name, value| {
        size::entry(name.len(), value)
    })
}

/// Returns whether an injection replaces the header of this name.
pub(crate) fn is_replaced(name: &CStr, fields: &Fields<'_>) -> bool {
    name.to_str().is_ok_and(|name| fields.replaces(name))
}

/// Returns whether a header will be replaced.
#[cfg(feature = "instrumentation")]
pub(crate) fn has_replaced(headers: &BorrowedHeaders, fields: &Fields<'_>) -> bool {
    fields.may_replace() && all(Some(headers)).any(|(name, _)| is_replaced(name.to_c_str(), fields))
}

/// Removes the old copies of the fields.
fn remove_replaced(headers: &mut OwnedHeaders, fields: &Fields<'_>) {
    let mut names = Vec::new();
    let mut copies = 0;
    for (name, _) in all(Some(headers.as_borrowed())) {
        let name = name.to_c_str();
        if is_replaced(name, fields) {
            copies += 1;
            if copies <= MANY_COPIES && !names.iter().any(|known: &std::ffi::CString| **known == *name) {
                names.push(name.to_owned());
            }
        }
    }
    if copies <= MANY_COPIES {
        names.iter().for_each(|name| native::remove(headers, name));
        return;
    }
    let mut kept = OwnedHeaders::new_with_capacity(native::count(headers.as_borrowed()) - copies);
    for (name, value) in all(Some(headers.as_borrowed())) {
        let name = name.to_c_str();
        if !is_replaced(name, fields) {
            native::add(&mut kept, name.to_bytes(), value);
        }
    }
    *headers = kept;
}

fn add(headers: &mut OwnedHeaders, fields: &mut Fields<'_>) {
    for (name, value) in fields.drain() {
        native::add(headers, name.as_bytes(), Some(value.as_bytes()));
    }
}

#[cfg(test)]
mod tests {
    use carrier_core::opentelemetry::trace::TraceContextExt;
    use carrier_core::opentelemetry::{Context, KeyValue, baggage::BaggageExt};
    use carrier_core::testing::assert_consistent;
    use carrier_core::{InjectionOutcome, Propagation, W3c, w3c};
    use rdkafka::message::{Header, Headers};
    use rdkafka::producer::BaseRecord;

    use super::*;
    use crate::testing::{assert_carries_nothing, remote_context};
    use crate::{extract_with, inject_with, message_budget};

    fn heavy() -> Context {
        remote_context().with_baggage([KeyValue::new("k", "v".repeat(500))])
    }

    #[test]
    fn a_field_is_read_and_replaced_in_any_case() {
        let sent = remote_context();
        let mut ready = OwnedHeaders::new();
        crate::inject(&sent, &mut ready);
        let value = native::get_at(ready.as_borrowed(), 0).unwrap().1.unwrap().to_vec();
        let mut headers = OwnedHeaders::new()
            .insert(Header { key: "User", value: None::<&str> })
            .insert(Header { key: "Traceparent", value: Some(&value) })
            .insert(Header { key: "TRACESTATE", value: Some("a=1") })
            .insert(Header { key: "traceParent", value: Some(&value) });
        let cx = crate::extract(&headers);
        assert_eq!(cx.span().span_context().span_id(), sent.span().span_context().span_id());
        assert_eq!(cx.span().span_context().trace_state().header(), "a=1");
        let mut record = BaseRecord::<(), ()>::to("t").headers(headers.clone());
        crate::inject(&sent, &mut headers);
        crate::inject(&sent, &mut record);
        for headers in [&headers, record.headers.as_ref().unwrap()] {
            let keys: Vec<_> = headers.iter().map(|header| header.key).collect();
            assert_eq!(keys, ["User", "traceparent"]);
        }
    }

    #[test]
    fn a_key_ends_at_its_first_nul_for_every_reader_and_writer() {
        let cx = remote_context();
        let mut ready = OwnedHeaders::new();
        crate::inject(&cx, &mut ready);
        let value = native::get_at(ready.as_borrowed(), 0).unwrap().1.unwrap().to_vec();
        let user = format!("a\0{}", "x".repeat(10_000));
        let mut headers = OwnedHeaders::new()
            .insert(Header { key: &user, value: Some("1") })
            .insert(Header { key: "traceparent\0x", value: Some(&value) });
        assert_consistent(&HeadersCarrier(&mut headers));
        let reader = HeadersReader(Some(headers.as_borrowed()));
        assert_eq!(reader.find(&FieldNames::new(&["traceparent"])).count(), 1);
        let names: Vec<_> = reader.entries().map(|(name, _)| name.to_owned()).collect();
        assert_eq!(names, ["a", "traceparent"]);
        let other = W3c::trace_context();
        for propagation in [Propagation::w3c(), Propagation::builder().propagator(other).build()] {
            crate::testing::assert_carries(&headers, &propagation.extract(&reader));
        }
        crate::inject(&cx, &mut headers);
        let names: Vec<_> =
            HeadersReader(Some(headers.as_borrowed())).entries().map(|(name, _)| name.to_owned()).collect();
        assert_eq!(names, ["a", "traceparent"]);
    }

    #[test]
    fn the_work_of_an_injection_is_linear_in_the_headers() {
        let steps = |count: usize| {
            let mut headers = OwnedHeaders::new_with_capacity(2 * count);
            for n in 0..count {
                native::add(&mut headers, b"traceparent", Some(b""));
                native::add(&mut headers, format!("user-{n}").as_bytes(), Some(b"v"));
            }
            native::STEPS.set(0);
            crate::inject(&remote_context(), &mut headers);
            assert_eq!(headers.count(), count + 1);
            native::STEPS.get()
        };
        let (one, two) = (steps(25_000), steps(50_000));
        assert!(one <= 10 * 50_000 && two <= 2 * one + 1_000, "{one} and {two} steps");
        // With the most copies that are removed in place, the rest is moved once for each.
        assert!(steps(MANY_COPIES) <= 2 * MANY_COPIES * (MANY_COPIES + 10));
    }

    #[test]
    fn many_old_copies_are_removed_and_the_others_stay_in_order() {
        let mut headers = OwnedHeaders::new();
        for n in 0..200 {
            let name = if n % 2 == 0 { "traceparent" } else { "Traceparent" };
            headers = headers
                .insert(Header { key: name, value: None::<&str> })
                .insert(Header { key: "user", value: Some(&n.to_string()) })
                .insert(Header { key: "null", value: None::<&str> });
        }
        let cx = remote_context();
        crate::inject(&cx, &mut headers);
        crate::testing::assert_carries(&headers, &cx);
        assert_eq!(headers.count(), 401);
        let user: Vec<_> = headers.iter().filter(|header| header.key == "user").collect();
        assert!(user.iter().enumerate().all(|(n, header)| header.value == Some(n.to_string().as_bytes())));
        assert_eq!(headers.get(1).value, None);
    }

    #[test]
    fn a_record_near_the_limit_gets_its_trace_and_no_baggage() {
        let config = {
            let mut config = rdkafka::ClientConfig::new();
            config.set("message.max.bytes", "1300").clone()
        };
        let propagation = Propagation::builder().propagator(w3c()).budget(message_budget(&config)).build();
        let payload = "x".repeat(1_000);
        let mut record = BaseRecord::<(), str>::to("t").payload(&payload);
        let report = inject_with(&propagation, &heavy(), &mut record);
        assert_eq!(report.fields().collect::<Vec<_>>(), ["traceparent"]);
        assert_eq!(report.dropped()[0].field, "baggage");
        assert!(extract_with(&propagation, &record).baggage().is_empty());
    }

    #[test]
    fn a_record_over_the_default_shows_a_larger_limit_and_gets_its_trace() {
        let payload = "x".repeat(2_000_000);
        let mut record = BaseRecord::<(), str>::to("t").payload(&payload);
        let report = crate::inject(&heavy(), &mut record);
        assert_eq!((report.outcome(), report.dropped().len()), (InjectionOutcome::Written, 0));
    }

    #[test]
    fn a_record_that_is_full_without_us_is_still_sent() {
        let payload = "x".repeat(999_950);
        let mut record = BaseRecord::<(), str>::to("t").payload(&payload);
        let report = crate::inject(&remote_context(), &mut record);
        assert_eq!(report.outcome(), InjectionOutcome::NoRoom);
        assert_carries_nothing(&record);
    }
}
