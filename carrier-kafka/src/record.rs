//! The headers of a record that is produced, which may have none yet.

use carrier_core::{Conflict, FieldValue, Fields, TextMapCarrier, TextMapReader};
use rdkafka::message::OwnedHeaders;

use crate::HeadersCarrier;
use crate::headers::{keys, values};

/// The `headers` of a [`FutureRecord`](rdkafka::producer::FutureRecord) or [`BaseRecord`](rdkafka::producer::BaseRecord),
/// written in place; they are made only where there is something to write.
#[derive(Debug)]
pub struct RecordCarrier<'a>(pub &'a mut Option<OwnedHeaders>);

impl TextMapReader for RecordCarrier<'_> {
    fn keys(&self) -> impl Iterator<Item = &str> {
        keys(self.0.as_ref().map(OwnedHeaders::as_borrowed))
    }

    fn get_all<'a>(&'a self, key: &str) -> impl Iterator<Item = FieldValue<'a>> {
        values(self.0.as_ref().map(OwnedHeaders::as_borrowed), key)
    }

    fn conflict(&self) -> Conflict {
        Conflict::Last
    }
}

impl TextMapCarrier for RecordCarrier<'_> {
    fn replace(&mut self, fields: Fields<'_>) {
        let count = fields.entries().len();
        if count > 0 || self.0.is_some() {
            let headers = self
                .0
                .get_or_insert_with(|| OwnedHeaders::new_with_capacity(count));
            HeadersCarrier(headers).replace(fields);
        }
    }
}
