//! A record that is sent with a span.

use std::ffi::CString;

use carrier_core::instrumentation::{Details, Sending};
use opentelemetry::Context;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::ToBytes;
use rdkafka::producer::{BaseRecord, Partitioner, ProducerContext};
use rdkafka::util::IntoOpaque;

use super::message::{self, describe_payload};
use super::pending::Envelope;
use super::undo::{Undo, Undoable};
use super::{BaseProducer, Instrumentation, InstrumentedProducer, ThreadedProducer, attribute, error_type};
use crate::RecordCarrier;

impl<C: ProducerContext<Part>, Part: Partitioner> BaseProducer<C, Part> {
    /// Like rdkafka's [`send`](rdkafka::producer::BaseProducer::send), with a span that starts now. The parent is the current span.
    ///
    /// The span ends with the delivery report, which arrives in [`poll`](Self::poll), before the context's `delivery` is
    /// called.
    ///
    /// # Errors
    ///
    /// If librdkafka does not take the record. The record is returned with its own headers and opaque.
    #[allow(clippy::result_large_err, clippy::type_complexity)] // rdkafka's signature.
    pub fn send<'a, K: ToBytes + ?Sized, P: ToBytes + ?Sized>(
        &self,
        record: BaseRecord<'a, K, P, C::DeliveryOpaque>,
    ) -> Result<(), (KafkaError, BaseRecord<'a, K, P, C::DeliveryOpaque>)> {
        self.send_record(record, None, |record| self.inner.send(record))
    }
}

impl<C: ProducerContext<Part> + 'static, Part: Partitioner + Send + Sync + 'static>
    ThreadedProducer<C, Part>
{
    /// Like rdkafka's [`send`](rdkafka::producer::ThreadedProducer::send), with a span: see [`BaseProducer`].
    ///
    /// # Errors
    ///
    /// If librdkafka does not take the record. The record is returned with its own headers and opaque.
    #[allow(clippy::result_large_err, clippy::type_complexity)] // rdkafka's signature.
    pub fn send<'a, K: ToBytes + ?Sized, P: ToBytes + ?Sized>(
        &self,
        record: BaseRecord<'a, K, P, C::DeliveryOpaque>,
    ) -> Result<(), (KafkaError, BaseRecord<'a, K, P, C::DeliveryOpaque>)> {
        self.send_record(record, None, |record| self.inner.send(record))
    }
}

impl<Inner> InstrumentedProducer<Inner> {
    #[allow(clippy::result_large_err)] // rdkafka's signature.
    pub(super) fn send_record<'a, K: ToBytes + ?Sized, P: ToBytes + ?Sized, D: IntoOpaque>(
        &self,
        record: BaseRecord<'a, K, P, D>,
        failed: Option<&Context>,
        send: impl Fn(Enveloped<'a, D>) -> Result<(), (KafkaError, Enveloped<'a, D>)>,
    ) -> Result<(), (KafkaError, BaseRecord<'a, K, P, D>)> {
        let BaseRecord { topic, partition, payload, key, timestamp, .. } = record;
        self.outgoing(record, failed, |opaque| opaque).enqueue(send).map(drop).map_err(|(error, refused)| {
            let (BaseRecord { headers, .. }, delivery_opaque) = refused.failed(&error);
            (error, BaseRecord { topic, partition, payload, key, timestamp, headers, delivery_opaque })
        })
    }

    /// Starts the span of a record, and writes its context into the headers. `failed` is the attempt that it repeats.
    pub(super) fn outgoing<'a, K: ToBytes + ?Sized, P: ToBytes + ?Sized, O: IntoOpaque, D: Send + Sync>(
        &self,
        record: BaseRecord<'a, K, P, O>,
        failed: Option<&Context>,
        opaque: impl FnOnce(O) -> D,
    ) -> Outgoing<'a, D> {
        let BaseRecord { topic, partition, payload, key, timestamp, headers, delivery_opaque } = record;
        let (payload, key) = (payload.map(P::to_bytes), key.map(K::to_bytes));
        let delivery_opaque = Box::new(Envelope::from(opaque(delivery_opaque)));
        let mut record = BaseRecord { topic, partition, payload, key, timestamp, headers, delivery_opaque };
        let (sending, undo) = self.instrumentation.send(&mut record, failed);
        *record.delivery_opaque.sending() = Some(sending);
        Outgoing { record, undo }
    }
}

/// A record in the form in which it is sent.
type Enveloped<'a, D> = BaseRecord<'a, [u8], [u8], Box<Envelope<D>>>;

/// A record with its span until librdkafka takes it, and how to undo what was written into its headers.
pub(super) struct Outgoing<'a, D: Send + Sync> {
    record: Enveloped<'a, D>,
    undo: Undo,
}

impl<'a, D: Send + Sync> Outgoing<'a, D> {
    /// Gives the record to librdkafka. If it is too large with our headers, it is sent without them.
    ///
    /// The limit is known from the configuration. This is for one that is not, and for a key with a NUL, of which librdkafka
    /// shows only the part before it.
    #[allow(clippy::result_large_err)] // rdkafka's signature.
    pub(super) fn enqueue(
        self,
        send: impl Fn(Enveloped<'a, D>) -> Result<(), (KafkaError, Enveloped<'a, D>)>,
    ) -> Result<Undo, (KafkaError, Self)> {
        let Self { record, undo } = self;
        // rdkafka 0.38 panics on such a topic.
        let nul = record.topic.contains('\0').then(|| CString::new(record.topic).err()).flatten();
        if let Some(nul) = nul {
            return Err((nul.into(), Self { record, undo }));
        }
        let Err((error, mut record)) = send(record) else { return Ok(undo) };
        let too_large = KafkaError::MessageProduction(RDKafkaErrorCode::MessageSizeTooLarge);
        if error != too_large || !undo.leave_out(&mut record.headers) {
            return Err((error, Self { record, undo }));
        }
        if let Some(sending) = record.delivery_opaque.sending() {
            sending.left_out();
        }
        // Now there is nothing more to leave out.
        Self { record, undo }.enqueue(send)
    }

    /// Ends the span of a record that librdkafka does not take, and returns the record unchanged, and its opaque.
    pub(super) fn failed(self, error: &KafkaError) -> (BaseRecord<'a, [u8], [u8]>, D) {
        let BaseRecord { topic, partition, payload, key, timestamp, mut headers, delivery_opaque } =
            self.record;
        let (opaque, sending) = delivery_opaque.open();
        if let Some(sending) = sending {
            sending.ended(Err(error_type::of(error)));
        }
        self.undo.apply(&mut headers);
        (BaseRecord { topic, partition, payload, key, timestamp, headers, delivery_opaque: () }, opaque)
    }
}

impl Instrumentation {
    /// Starts the span of a record, and writes its context into the headers.
    pub(super) fn send<D: IntoOpaque>(
        &self,
        record: &mut BaseRecord<'_, [u8], [u8], D>,
        failed: Option<&Context>,
    ) -> (Sending, Undo) {
        let BaseRecord { topic, partition, payload, key, headers, .. } = record;
        let (key, payload) = (*key, *payload);
        let body = key.map_or(0, <[u8]>::len) + payload.map_or(0, <[u8]>::len);
        let mut carrier = Undoable::new(RecordCarrier::new(headers, body));
        let outgoing =
            message::Outgoing { kafka: self, topic, partition: *partition, key, payload, reply: None };
        let details = |span: &mut Details<'_>| {
            self.message_key.describe(key, span);
            describe_payload(payload, span);
            if let Some(id) = &self.transactional_id {
                span.set(attribute::TRANSACTIONAL_ID, id.clone());
            }
        };
        let sending = match failed {
            None => self.core.send(outgoing, &mut carrier, details),
            Some(failed) => self.core.send_again(outgoing, &mut carrier, failed, details),
        };
        (sending, carrier.undo)
    }
}
