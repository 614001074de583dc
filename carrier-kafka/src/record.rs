//! The headers of a record that is produced, which may have none yet.

use carrier_core::{Conflict, Copies, FieldValue, Fields, TextMapCarrier, TextMapReader};
use rdkafka::message::{BorrowedHeaders, OwnedHeaders};

use crate::headers::{copies, has_any, headers_if_absent, headers_without, keys, values};
use crate::{HeadersCarrier, size};

/// The `headers` of a [`FutureRecord`](rdkafka::producer::FutureRecord) or [`BaseRecord`](rdkafka::producer::BaseRecord),
/// written in place; they are made only where there is something to write.
#[derive(Debug)]
pub struct RecordCarrier<'a> {
    headers: &'a mut Option<OwnedHeaders>,
    body: usize,
}

impl<'a> RecordCarrier<'a> {
    /// The headers of a record whose key and payload have so many bytes together, which count against the message's limit.
    pub fn new(headers: &'a mut Option<OwnedHeaders>, body: usize) -> Self {
        Self { headers, body }
    }

    pub(crate) fn borrowed(&self) -> Option<&BorrowedHeaders> {
        self.headers.as_ref().map(OwnedHeaders::as_borrowed)
    }
}

impl TextMapReader for RecordCarrier<'_> {
    fn keys(&self) -> impl Iterator<Item = &str> {
        keys(self.borrowed())
    }

    fn get_all<'a>(&'a self, key: &str) -> impl Iterator<Item = FieldValue<'a>> {
        values(self.borrowed(), key)
    }

    fn copies<'a, const N: usize>(&'a self, keys: [&str; N]) -> [Copies<'a>; N] {
        copies(self.borrowed(), keys)
    }

    fn has_any(&self, keys: &[&str]) -> bool {
        has_any(self.borrowed(), keys)
    }

    fn conflict(&self) -> Conflict {
        Conflict::Last
    }
}

impl TextMapCarrier for RecordCarrier<'_> {
    fn replace(&mut self, fields: &mut Fields<'_>) {
        if let Some(headers) = self.headers {
            HeadersCarrier(headers).replace(fields);
            return;
        }
        // Where there are none, nothing is looked for to be removed.
        let count = fields.entries().len();
        if count > 0 {
            let headers = self.headers.insert(OwnedHeaders::new_with_capacity(count));
            HeadersCarrier(headers).add(fields);
        }
    }

    fn entry_size(&self, key: &str, value: usize) -> usize {
        size::entry(key.len(), value)
    }

    fn size_if_absent<const N: usize>(&self, keys: [&str; N]) -> Option<usize> {
        Some(size::OVERHEAD + self.body + headers_if_absent(self.borrowed(), keys)?)
    }

    fn size_without(&self, fields: &Fields<'_>) -> usize {
        size::OVERHEAD + self.body + headers_without(self.borrowed(), fields)
    }

    fn size_limit(&self, size: usize) -> Option<usize> {
        size::usual_limit(size)
    }
}

#[cfg(test)]
mod tests {
    use carrier_core::opentelemetry::{Context, KeyValue, baggage::BaggageExt};
    use carrier_core::{Outcome, Propagation, w3c};
    use rdkafka::producer::BaseRecord;

    use crate::testing::{assert_carries_nothing, remote_context};
    use crate::{extract_with, inject_with, message_budget};

    fn heavy() -> Context {
        remote_context().with_baggage([KeyValue::new("k", "v".repeat(500))])
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
        assert_eq!((report.outcome(), report.dropped().len()), (Outcome::Written, 0));
    }

    #[test]
    fn a_record_that_is_full_without_us_is_still_sent() {
        let payload = "x".repeat(999_950);
        let mut record = BaseRecord::<(), str>::to("t").payload(&payload);
        let report = crate::inject(&remote_context(), &mut record);
        assert_eq!(report.outcome(), Outcome::NoRoom);
        assert_carries_nothing(&record);
    }
}
