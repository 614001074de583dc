//! Injection and extraction for rdkafka's types.

use carrier_core::{Extraction, Injection, Propagation, TextMapCarrier};
use opentelemetry::Context;
use rdkafka::Message as _;
use rdkafka::message::{BorrowedHeaders, BorrowedMessage, OwnedHeaders, OwnedMessage, ToBytes};
use rdkafka::producer::{BaseRecord, FutureRecord};
use rdkafka::util::IntoOpaque;

use crate::{HeadersCarrier, HeadersReader, RecordCarrier};

/// A type that a context can be extracted from: a message of rdkafka, or its headers.
///
/// Implement it for your own type that holds a message.
#[diagnostic::on_unimplemented(
    message = "a context cannot be extracted from `{Self}`",
    note = "it can from `BorrowedMessage`, `OwnedMessage`, `BorrowedHeaders` and `OwnedHeaders`"
)]
pub trait ExtractFrom {
    /// Returns the headers as a reader.
    fn reader(&self) -> HeadersReader<'_>;
}

impl ExtractFrom for BorrowedHeaders {
    fn reader(&self) -> HeadersReader<'_> {
        HeadersReader(Some(self))
    }
}

impl ExtractFrom for OwnedHeaders {
    fn reader(&self) -> HeadersReader<'_> {
        HeadersReader(Some(self.as_borrowed()))
    }
}

impl ExtractFrom for BorrowedMessage<'_> {
    fn reader(&self) -> HeadersReader<'_> {
        HeadersReader(self.headers())
    }
}

impl ExtractFrom for OwnedMessage {
    fn reader(&self) -> HeadersReader<'_> {
        HeadersReader(self.headers().map(OwnedHeaders::as_borrowed))
    }
}

/// For tests, and for a record that was not sent.
impl<K: ToBytes + ?Sized, P: ToBytes + ?Sized> ExtractFrom for FutureRecord<'_, K, P> {
    fn reader(&self) -> HeadersReader<'_> {
        HeadersReader(self.headers.as_ref().map(OwnedHeaders::as_borrowed))
    }
}

/// For tests, and for a record that was not sent.
impl<K: ToBytes + ?Sized, P: ToBytes + ?Sized, D: IntoOpaque> ExtractFrom for BaseRecord<'_, K, P, D> {
    fn reader(&self) -> HeadersReader<'_> {
        HeadersReader(self.headers.as_ref().map(OwnedHeaders::as_borrowed))
    }
}

impl<T: ExtractFrom + ?Sized> ExtractFrom for &T {
    fn reader(&self) -> HeadersReader<'_> {
        (**self).reader()
    }
}

/// A type that a context can be injected into: a record to produce, or its headers.
#[diagnostic::on_unimplemented(
    message = "a context cannot be injected into `{Self}`",
    note = "it can into `FutureRecord`, `BaseRecord` and `OwnedHeaders`; a received message is only read"
)]
pub trait InjectInto {
    /// Returns the headers as a carrier.
    fn carrier(&mut self) -> impl TextMapCarrier;
}

impl InjectInto for OwnedHeaders {
    fn carrier(&mut self) -> impl TextMapCarrier {
        HeadersCarrier(self)
    }
}

impl<K: ToBytes + ?Sized, P: ToBytes + ?Sized> InjectInto for FutureRecord<'_, K, P> {
    fn carrier(&mut self) -> impl TextMapCarrier {
        let body = size(self.key) + size(self.payload);
        RecordCarrier::new(&mut self.headers, body)
    }
}

impl<K: ToBytes + ?Sized, P: ToBytes + ?Sized, D: IntoOpaque> InjectInto for BaseRecord<'_, K, P, D> {
    fn carrier(&mut self) -> impl TextMapCarrier {
        let body = size(self.key) + size(self.payload);
        RecordCarrier::new(&mut self.headers, body)
    }
}

fn size<T: ToBytes + ?Sized>(part: Option<&T>) -> usize {
    part.map_or(0, |part| part.to_bytes().len())
}

/// Writes the context into a record; a context without a span removes the propagator's old fields.
///
/// Call it after `record.headers(…)`, which would replace what was injected. Every other header stays as it is and in its
/// order: null, empty, binary and repeated ones. [`carrier_core::inject`] documents which propagator is used.
///
/// # Examples
///
/// ```
/// use carrier_kafka::opentelemetry::Context;
/// use carrier_kafka::rdkafka::producer::FutureRecord;
///
/// let mut record = FutureRecord::to("orders").key("17").payload("…");
/// carrier_kafka::inject(&Context::current(), &mut record);
/// // producer.send(record, timeout)
/// ```
pub fn inject<T: InjectInto + ?Sized>(cx: &Context, target: &mut T) -> Injection {
    carrier_core::inject(cx, &mut target.carrier())
}

/// Writes the context into a record with your own configuration.
///
/// As [`inject`].
pub fn inject_with<T: InjectInto + ?Sized>(
    propagation: &Propagation,
    cx: &Context,
    target: &mut T,
) -> Injection {
    propagation.inject(cx, &mut target.carrier())
}

/// Reads the context of a message; returns an empty context if there is none.
///
/// It never fails and never panics, whatever the keys and values of the headers. The current span is never used. Of several
/// different `traceparent` headers the last valid one is used: clients that forward a record append the new context after
/// the old one.
///
/// # Examples
///
/// ```
/// use carrier_kafka::opentelemetry::context::FutureExt;
/// use carrier_kafka::rdkafka::message::BorrowedMessage;
///
/// async fn work(message: BorrowedMessage<'_>) {
///     let cx = carrier_kafka::extract(&message);
///     handle(&message).with_context(cx).await;
/// }
///
/// async fn handle(message: &BorrowedMessage<'_>) { /* … */ }
/// ```
pub fn extract<T: ExtractFrom + ?Sized>(message: &T) -> Context {
    carrier_core::extract(&message.reader())
}

/// Reads the context of a message with your own configuration; returns an empty context if there is none.
pub fn extract_with<T: ExtractFrom + ?Sized>(propagation: &Propagation, message: &T) -> Context {
    propagation.extract(&message.reader())
}

/// Reads the context of a message, and reports what was found.
pub fn inspect<T: ExtractFrom + ?Sized>(message: &T) -> Extraction {
    carrier_core::inspect(&message.reader())
}

/// Reads the context of a message with your own configuration, and reports what was found.
pub fn inspect_with<T: ExtractFrom + ?Sized>(propagation: &Propagation, message: &T) -> Extraction {
    propagation.inspect(&message.reader())
}

#[cfg(test)]
mod tests {
    use carrier_core::opentelemetry::Context;
    use carrier_core::{Existing, InjectionOutcome};
    use proptest::prelude::*;
    use rdkafka::message::{Header, Headers as _};

    use super::*;
    use crate::native;
    use crate::testing::{assert_carries, assert_carries_nothing, remote_context};

    fn headers(pairs: &[(&str, Option<&[u8]>)]) -> OwnedHeaders {
        pairs
            .iter()
            .fold(OwnedHeaders::new(), |headers, (key, value)| headers.insert(Header { key, value: *value }))
    }

    fn list(headers: &OwnedHeaders) -> Vec<(&str, Option<&[u8]>)> {
        headers.iter().map(|header| (header.key, header.value)).collect()
    }

    fn parent(digit: char) -> Vec<u8> {
        format!("00-{}-{}-01", digit.to_string().repeat(32), digit.to_string().repeat(16)).into()
    }

    /// The first digit of the trace id, which says whose context was used.
    fn whose(headers: &OwnedHeaders) -> Option<char> {
        use opentelemetry::trace::TraceContextExt;
        let cx = extract(headers);
        cx.has_active_span().then(|| cx.span().span_context().trace_id().to_string().remove(0))
    }

    #[test]
    fn a_record_of_each_kind_carries_what_was_injected() {
        let cx = remote_context();
        let mut future = FutureRecord::<(), [u8]>::to("t").payload(b"p");
        inject(&cx, &mut future);
        assert_carries(&future, &cx);
        let mut base = BaseRecord::<str, str, Box<u8>>::with_opaque_to("t", Box::new(1)).key("k");
        inject(&cx, &mut base);
        assert_carries(&base, &cx);
        let mut owned = OwnedHeaders::new();
        inject(&cx, &mut owned);
        assert_carries(&owned, &cx);
    }

    #[test]
    fn no_headers_stay_no_headers_without_a_context() {
        let mut record = FutureRecord::<(), ()>::to("t");
        inject(&Context::new(), &mut record);
        assert!(record.headers.is_none());
    }

    #[test]
    fn null_empty_binary_and_repeated_user_headers_stay_in_order() {
        let user: [(&str, Option<&[u8]>); 6] = [
            ("user", Some(b"1")),
            ("null", None),
            ("user", Some(b"\xff\x00\xfe")),
            ("empty", Some(b"")),
            ("null", None),
            ("user", Some(b"1")),
        ];
        let mut sent = headers(&user);
        let cx = remote_context();
        inject(&cx, &mut sent);
        assert_carries(&sent, &cx);
        assert_eq!(list(&sent)[..6], user);
        inject(&Context::new(), &mut sent);
        assert_eq!(list(&sent), user);
    }

    #[test]
    fn every_old_copy_of_a_field_goes() {
        let mut sent = headers(&[
            ("traceparent", None),
            ("traceparent", Some(b"old")),
            ("tracestate", Some(b"old=1")),
            ("user", None),
            ("traceparent", Some(b"older")),
        ]);
        let cx = remote_context();
        inject(&cx, &mut sent);
        assert_carries(&sent, &cx);
        let keys: Vec<_> = list(&sent).into_iter().map(|(key, _)| key).collect();
        assert_eq!(keys, ["user", "traceparent"]);
    }

    #[test]
    fn a_key_that_is_not_utf8_is_no_matter_to_reading_and_writing() {
        let hostile = || {
            let mut headers = headers(&[("user", Some(b"1"))]);
            // rdkafka's own interface takes keys as `str` only; the wire does not.
            native::add(&mut headers, b"\xff\xfe", Some(b"2"));
            headers
        };
        let mut sent = hostile();
        let cx = remote_context();
        inject(&cx, &mut sent);
        assert_carries(&sent, &cx);
        inject(&Context::new(), &mut sent);
        let left =
            |index| native::get_at(sent.as_borrowed(), index).map(|(name, value)| (name.to_c_str(), value));
        assert_eq!(left(0), Some((c"user", Some(&b"1"[..]))));
        assert_eq!(left(1), Some((c"\xff\xfe", Some(&b"2"[..]))));
        assert_eq!(left(2), None);
    }

    #[test]
    fn identical_copies_null_and_empty_ones_are_no_conflict() {
        let a = parent('a');
        assert_eq!(whose(&headers(&[("traceparent", Some(&a)), ("traceparent", Some(&a))])), Some('a'));
        assert_eq!(whose(&headers(&[("traceparent", None), ("traceparent", Some(&a))])), Some('a'));
        assert_eq!(whose(&headers(&[("traceparent", Some(&a)), ("traceparent", Some(b""))])), Some('a'));
        assert_eq!(whose(&headers(&[("traceparent", None), ("x", None), ("traceparent", None)])), None);
    }

    #[test]
    fn of_two_contexts_the_last_is_used_since_forwarders_append() {
        let (a, b) = (parent('a'), parent('b'));
        let two =
            headers(&[("traceparent", Some(&a)), ("tracestate", Some(b"x=1")), ("traceparent", Some(&b))]);
        assert_eq!(whose(&two), Some('b'));
        let null_behind =
            headers(&[("traceparent", Some(&a)), ("traceparent", Some(&b)), ("traceparent", None)]);
        assert_eq!(whose(&null_behind), Some('b'));
    }

    #[test]
    fn of_two_contexts_in_a_record_the_last_is_one_to_keep() {
        let (a, b) = (parent('a'), parent('b'));
        let mut owned = headers(&[("traceparent", Some(&a)), ("traceparent", Some(&b))]);
        let mut record = BaseRecord::<(), ()>::to("t").headers(owned.clone());
        let (keep, cx) = (Propagation::builder().existing(Existing::Keep).build(), remote_context());
        let reports = [inject_with(&keep, &cx, &mut owned), inject_with(&keep, &cx, &mut record)];
        assert_eq!(reports.map(|report| report.outcome()), [InjectionOutcome::Kept; 2]);
    }

    #[test]
    fn bad_values_are_no_context() {
        let long = vec![b'0'; 1 << 20];
        for bad in [&b""[..], b"\xff\xfe", b"00-0-0-00", &long] {
            assert_carries_nothing(&headers(&[("traceparent", Some(bad))]));
        }
        assert_carries_nothing(&headers(&[]));
    }

    #[test]
    fn ten_thousand_headers_do_not_hide_the_context_and_ten_thousand_copies_are_none() {
        let cx = remote_context();
        let mut many = OwnedHeaders::new();
        for n in 0..10_000 {
            many = many.insert(Header { key: &n.to_string(), value: Some("x") });
        }
        inject(&cx, &mut many);
        assert_carries(&many, &cx);
        let copies = (0..10_000).fold(OwnedHeaders::new(), |headers, n| {
            headers.insert(Header { key: "traceparent", value: Some(&n.to_string()) })
        });
        assert_carries_nothing(&copies);
    }

    proptest! {
        #[test]
        fn any_headers_are_read_without_a_panic_and_other_ones_stay(
            user in proptest::collection::vec(("[a-z]{0,12}|traceparent|tracestate|baggage", any::<Option<Vec<u8>>>()), 0..20),
        ) {
            let pairs: Vec<_> = user.iter().map(|(key, value)| (&**key, value.as_deref())).collect();
            let mut sent = headers(&pairs);
            let _ = extract(&sent);
            let cx = remote_context();
            inject(&cx, &mut sent);
            assert_carries(&sent, &cx);
            let others = pairs.into_iter().filter(|(key, _)| !["traceparent", "tracestate"].contains(key));
            prop_assert_eq!(&list(&sent)[..sent.count() - 1], others.collect::<Vec<_>>());
        }
    }
}
