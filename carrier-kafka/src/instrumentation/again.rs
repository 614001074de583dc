//! A received message that is sent again: to be tried once more, or into a dead-letter topic.

use carrier_core::instrumentation::{ATTEMPTS_HEADER, MAX_ATTEMPTS};
use rdkafka::Message as _;
use rdkafka::client::ClientContext;
use rdkafka::error::KafkaError;
use rdkafka::message::OwnedHeaders;
use rdkafka::producer::future_producer::OwnedDeliveryResult;
use rdkafka::producer::{BaseRecord, FutureRecord, Partitioner, ProducerContext};
use rdkafka::util::{AsyncRuntime, IntoOpaque, Timeout};

use super::redelivery::{ATTEMPTS, earlier_attempts};
use super::{AsMessage, BaseProducer, FutureProducer, Processing, ThreadedProducer};
use crate::carrier::all;
use crate::{ExtractFrom as _, HeadersReader, native};

impl<C: ProducerContext<Part>, Part: Partitioner> BaseProducer<C, Part> {
    /// Sends a received message again whose processing failed: see [`FutureProducer::send_again`].
    ///
    /// # Errors
    ///
    /// If librdkafka does not take the record, as [`send`](Self::send).
    #[allow(clippy::result_large_err, clippy::type_complexity)] // rdkafka's signature.
    pub fn send_again<'a, M: AsMessage>(
        &self,
        failed: &'a Processing<M>,
        topic: &'a str,
        opaque: C::DeliveryOpaque,
    ) -> Result<(), (KafkaError, BaseRecord<'a, [u8], [u8], C::DeliveryOpaque>)> {
        self.send_record(again(failed, topic, opaque), Some(failed.context()), |record| {
            self.inner.send(record)
        })
    }
}

impl<C: ProducerContext<Part> + 'static, Part: Partitioner + Send + Sync + 'static>
    ThreadedProducer<C, Part>
{
    /// Sends a received message again whose processing failed: see [`FutureProducer::send_again`].
    ///
    /// # Errors
    ///
    /// If librdkafka does not take the record, as [`send`](Self::send).
    #[allow(clippy::result_large_err, clippy::type_complexity)] // rdkafka's signature.
    pub fn send_again<'a, M: AsMessage>(
        &self,
        failed: &'a Processing<M>,
        topic: &'a str,
        opaque: C::DeliveryOpaque,
    ) -> Result<(), (KafkaError, BaseRecord<'a, [u8], [u8], C::DeliveryOpaque>)> {
        self.send_record(again(failed, topic, opaque), Some(failed.context()), |record| {
            self.inner.send(record)
        })
    }
}

impl<C: ClientContext + 'static, R: AsyncRuntime> FutureProducer<C, R> {
    /// Sends a received message again whose processing failed: to a retry topic, or to a dead-letter topic.
    ///
    /// The message stays in its own trace, also if [`Relation::Link`](super::Relation::Link) put the failed attempt into
    /// another one: the parent of the send span is the context that the message carries. The span links to the failed attempt.
    ///
    /// Key, payload and headers are copied. The header [`ATTEMPTS_HEADER`](super::ATTEMPTS_HEADER) (`x-carrier-attempts`) gets
    /// the number of attempts so far, in decimal digits: see [`attempts`](super::attempts()). The partition and the timestamp are new.
    ///
    /// This does not commit the offset. Commit it after the delivery report, so that the message is processed at least once.
    ///
    /// # Errors
    ///
    /// If the message was not delivered, as [`send`](Self::send).
    ///
    /// # Examples
    ///
    /// ```
    /// use std::time::Duration;
    /// use carrier_kafka::instrumentation::{FutureProducer, Instrumentation, attempts};
    /// use carrier_kafka::rdkafka::Message;
    /// use carrier_kafka::rdkafka::consumer::{CommitMode, Consumer, StreamConsumer};
    /// use carrier_kafka::rdkafka::error::KafkaResult;
    ///
    /// # async fn work(order: Option<&[u8]>) -> Result<(), String> { Ok(()) }
    /// async fn consume(kafka: &Instrumentation, consumer: &StreamConsumer, producer: &FutureProducer) -> KafkaResult<()> {
    ///     let message = kafka.process(consumer.recv().await?);
    ///     if message.run(work(message.payload())).await.is_err() {
    ///         let topic = if attempts(&*message) < 2 { "retry" } else { "dead" };
    ///         let sent = producer.send_again(&message, topic, Duration::from_secs(5)).await;
    ///         sent.map_err(|(error, _)| error)?;
    ///     }
    ///     consumer.commit_message(&message, CommitMode::Async)
    /// }
    /// ```
    #[allow(clippy::result_large_err)] // rdkafka's types.
    pub async fn send_again<M: AsMessage, T: Into<Timeout>>(
        &self,
        failed: &Processing<M>,
        topic: &str,
        queue_timeout: T,
    ) -> OwnedDeliveryResult {
        let BaseRecord { topic, partition, payload, key, timestamp, headers, .. } = again(failed, topic, ());
        let record = FutureRecord { topic, partition, payload, key, timestamp, headers };
        self.send_as(record, queue_timeout.into(), Some(failed.context())).await
    }
}

/// The record of a message that is sent again.
fn again<'a, M: AsMessage, D: IntoOpaque>(
    failed: &'a Processing<M>,
    topic: &'a str,
    opaque: D,
) -> BaseRecord<'a, [u8], [u8], D> {
    let message = failed.as_message();
    let mut record = BaseRecord::with_opaque_to(topic, opaque).headers(headers(&message.reader()));
    (record.key, record.payload) = (message.key(), message.payload());
    record
}

/// The headers of a message that is sent again.
fn headers(received: &HeadersReader<'_>) -> OwnedHeaders {
    let attempts = earlier_attempts(received).unwrap_or(0).saturating_add(1).min(MAX_ATTEMPTS);
    let mut headers = OwnedHeaders::new_with_capacity(1 + received.0.map_or(0, native::count));
    for (name, value) in all(received.0).filter(|(name, _)| name.position(&ATTEMPTS).is_none()) {
        native::add(&mut headers, name.to_c_str().to_bytes(), value);
    }
    native::add(&mut headers, ATTEMPTS_HEADER.as_bytes(), Some(attempts.to_string().as_bytes()));
    headers
}

#[cfg(test)]
mod tests {
    use rdkafka::message::{Header, Headers as _};

    use super::super::attempts;
    use super::*;

    fn with(values: &[Option<&[u8]>]) -> OwnedHeaders {
        let user = OwnedHeaders::new().insert(Header { key: "user", value: Some(b"\xff") });
        values
            .iter()
            .fold(user, |headers, value| headers.insert(Header { key: ATTEMPTS_HEADER, value: *value }))
    }

    fn list(headers: &OwnedHeaders) -> Vec<(&str, Option<&[u8]>)> {
        headers.iter().map(|header| (header.key, header.value)).collect()
    }

    #[test]
    fn each_copy_counts_one_attempt_more_and_keeps_all_other_headers() {
        let once = headers(&HeadersReader(None));
        assert_eq!((attempts(&once), list(&once)), (1, vec![(ATTEMPTS_HEADER, Some(&b"1"[..]))]));
        let received = with(&[Some(b"1"), Some(b"9")]).insert(Header { key: "null", value: None::<&str> });
        assert_eq!(attempts(&received), 9, "the last is used, as everywhere in Kafka");
        let again = headers(&received.reader());
        let user: [(&str, Option<&[u8]>); 2] = [("user", Some(b"\xff")), ("null", None)];
        assert_eq!(list(&again), [user[0], user[1], (ATTEMPTS_HEADER, Some(b"10"))]);
    }

    #[test]
    fn a_number_of_attempts_that_is_not_ours_counts_as_absent() {
        let huge = "9".repeat(1_000);
        let hostile: [&[u8]; 8] =
            [b"", b"-1", b"three", b"1.5", b"\xff", b"4294967296", b" 1", huge.as_bytes()];
        for value in hostile.map(Some).into_iter().chain([None]) {
            let received = with(&[value]);
            assert_eq!(earlier_attempts(&received.reader()), None, "{value:?}");
            assert_eq!(attempts(&headers(&received.reader())), 1);
        }
        let most = headers(&with(&[Some(b"4294967295")]).reader());
        assert_eq!(attempts(&most), u64::from(u32::MAX));
    }

    #[test]
    fn the_work_is_linear_in_the_copies_of_the_header() {
        let steps = |count: usize| {
            let copies = with(&vec![Some(&b"1"[..]); count]);
            native::STEPS.set(0);
            assert_eq!(headers(&copies.reader()).count(), 2);
            native::STEPS.get()
        };
        assert!(steps(2_000) <= 2 * steps(1_000) + 10);
    }
}
