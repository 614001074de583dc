//! A request whose reply the program waits for.

use carrier_core::instrumentation::Call;
use rdkafka::message::{OwnedHeaders, ToBytes};
use rdkafka::producer::{BaseRecord, FutureRecord};
use rdkafka::util::IntoOpaque;

use super::Instrumentation;
use super::message::{Outgoing, describe_payload};
use crate::RecordCarrier;

/// A record that can be a request: rdkafka's `FutureRecord` or `BaseRecord`.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a record",
    note = "`FutureRecord` and `BaseRecord` are"
)]
pub trait AsRecord {
    /// Returns the record without its headers, and its headers.
    fn as_record(&mut self) -> (BaseRecord<'_, [u8], [u8]>, &mut Option<OwnedHeaders>);
}

/// Implements the trait for a type of record.
macro_rules! for_record {
    ($($record:ty, $($opaque:ident)?;)*) => {$(
        impl<K: ToBytes + ?Sized, P: ToBytes + ?Sized $(, $opaque: IntoOpaque)?> AsRecord for $record {
            fn as_record(&mut self) -> (BaseRecord<'_, [u8], [u8]>, &mut Option<OwnedHeaders>) {
                let record = BaseRecord {
                    topic: self.topic,
                    partition: self.partition,
                    payload: self.payload.map(P::to_bytes),
                    key: self.key.map(K::to_bytes),
                    timestamp: self.timestamp,
                    headers: None,
                    delivery_opaque: (),
                };
                (record, &mut self.headers)
            }
        }
    )*};
}

for_record! {
    FutureRecord<'_, K, P>, ;
    BaseRecord<'_, K, P, D>, D;
}

impl Instrumentation {
    /// Starts the span of a call: of a request and the wait for its reply. Its context is written into the record.
    ///
    /// The span has the reply topic and the correlation id. Kafka has no place for them in a record: write them into the
    /// headers that the responder reads. Send the record inside [`Call::run`], with rdkafka's producer: the responder's process
    /// span is then a child of this span. With a producer of this crate there is a send span between the two.
    ///
    /// # Examples
    ///
    /// ```
    /// use std::time::Duration;
    /// use carrier_kafka::instrumentation::{Instrumentation, Plain};
    /// use carrier_kafka::rdkafka::consumer::StreamConsumer;
    /// use carrier_kafka::rdkafka::error::KafkaError;
    /// use carrier_kafka::rdkafka::message::{Header, OwnedHeaders, OwnedMessage};
    /// use carrier_kafka::rdkafka::producer::{FutureProducer, FutureRecord};
    ///
    /// /// `replies` is assigned this program's partition of the reply topic.
    /// async fn price(
    ///     kafka: &Instrumentation,
    ///     producer: &FutureProducer,
    ///     replies: &StreamConsumer,
    /// ) -> Result<OwnedMessage, KafkaError> {
    ///     let headers = OwnedHeaders::new()
    ///         .insert(Header { key: "reply-topic", value: Some("replies") })
    ///         .insert(Header { key: "correlation-id", value: Some("17") });
    ///     let mut request = FutureRecord::to("prices").key("chair").payload("…").headers(headers);
    ///     let call = kafka.call(&mut request, "replies", "17");
    ///     let exchange = call.run(async {
    ///         producer.send(request, Duration::from_secs(5)).await.map_err(|(error, _)| error)?;
    ///         Ok::<_, KafkaError>(Plain(replies.recv().await?.detach()))
    ///     });
    ///     let Plain(reply) = exchange.await?;
    ///     Ok(reply)
    /// }
    /// ```
    pub fn call(&self, request: &mut impl AsRecord, reply_topic: &str, correlation_id: &str) -> Call {
        let (record, headers) = request.as_record();
        let BaseRecord { topic, partition, key, payload, .. } = record;
        let reply = Some((reply_topic, correlation_id));
        let outgoing = Outgoing { kafka: self, topic, partition, key, payload, reply };
        let body = key.map_or(0, <[u8]>::len) + payload.map_or(0, <[u8]>::len);
        self.core.call(outgoing, &mut RecordCarrier::new(headers, body), |span| {
            self.message_key.describe(key, span);
            describe_payload(payload, span);
        })
    }
}
