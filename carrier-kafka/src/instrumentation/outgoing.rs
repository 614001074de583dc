//! A record that is sent, whatever its type: how its span begins and ends.

use carrier_core::instrumentation::{Sending, attribute};
use rdkafka::error::KafkaError;
use rdkafka::message::{OwnedHeaders, ToBytes};
use rdkafka::producer::{BaseRecord, FutureRecord};
use rdkafka::util::IntoOpaque;

use super::Instrumentation;
use super::failure::failure;
use super::settings::partition_id;
use super::undo::{Undo, Undoable};
use crate::RecordCarrier;

/// What a span is told of a record.
pub(super) struct Outgoing<'a> {
    topic: &'a str,
    partition: Option<i32>,
    key: Option<&'a [u8]>,
    payload: Option<&'a [u8]>,
    headers: &'a mut Option<OwnedHeaders>,
}

impl<'a> Outgoing<'a> {
    pub(super) fn base<K, P, D>(record: &'a mut BaseRecord<'_, K, P, D>) -> Self
    where
        K: ToBytes + ?Sized,
        P: ToBytes + ?Sized,
        D: IntoOpaque,
    {
        Self {
            topic: record.topic,
            partition: record.partition,
            key: record.key.map(ToBytes::to_bytes),
            payload: record.payload.map(ToBytes::to_bytes),
            headers: &mut record.headers,
        }
    }

    pub(super) fn future<K, P>(record: &'a mut FutureRecord<'_, K, P>) -> Self
    where
        K: ToBytes + ?Sized,
        P: ToBytes + ?Sized,
    {
        Self {
            topic: record.topic,
            partition: record.partition,
            key: record.key.map(ToBytes::to_bytes),
            payload: record.payload.map(ToBytes::to_bytes),
            headers: &mut record.headers,
        }
    }
}

impl Instrumentation {
    /// Starts the span of a record and writes its context into the headers.
    pub(super) fn send(&self, record: Outgoing<'_>) -> (Sending, Undo) {
        let Outgoing { topic, partition, key, payload, headers } = record;
        let body = key.map_or(0, <[u8]>::len) + payload.map_or(0, <[u8]>::len);
        let mut carrier = Undoable::new(RecordCarrier::new(headers, body));
        let destination = || self.destination(topic, partition);
        let sending = self.common.send_to(destination, &mut carrier, |span| {
            self.key.describe(key, span);
            describe_payload(payload, span);
        });
        (sending, carrier.undo)
    }
}

/// The attributes of a payload: its size, or that there is none, which deletes its key's record from a compacted topic.
pub(super) fn describe_payload(
    payload: Option<&[u8]>,
    span: &mut carrier_core::instrumentation::Details<'_>,
) {
    match payload {
        Some(payload) => {
            let size = i64::try_from(payload.len()).unwrap_or(i64::MAX);
            span.set(attribute::MESSAGING_MESSAGE_BODY_SIZE, size);
        }
        None => span.set(attribute::MESSAGING_KAFKA_MESSAGE_TOMBSTONE, true),
    }
}

/// Ends the span with what the delivery report says: the partition, and the offset or an error.
pub(super) fn report(mut sending: Sending, partition: i32, result: Result<i64, &KafkaError>) {
    if let Some(id) = partition_id(partition) {
        sending.partition(id);
    }
    match result {
        Ok(offset) => {
            // Where no broker was asked to acknowledge there is none.
            if offset >= 0 {
                sending.details(|span| span.set(attribute::MESSAGING_KAFKA_OFFSET, offset));
            }
            sending.succeeded();
        }
        Err(error) => sending.failed(failure(error)),
    }
}
