//! Messages whose delivery report is awaited: the future producer.

use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use futures_channel::oneshot;
use rdkafka::Timestamp;
use rdkafka::client::ClientContext;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::{OwnedMessage, ToBytes};
use rdkafka::producer::future_producer::OwnedDeliveryResult;
use rdkafka::producer::{self, BaseRecord, FutureRecord};
use rdkafka::util::{AsyncRuntime, Timeout};

use super::FutureProducer;
use super::pending::Answer;
use super::send::Outgoing;
use super::undo::Undo;

/// How long rdkafka waits before it tries a full queue again.
const RETRY: Duration = Duration::from_millis(100);

impl<C: ClientContext + 'static, R: AsyncRuntime> FutureProducer<C, R> {
    /// Like rdkafka's [`send`](producer::FutureProducer::send), with a span that starts at the first poll. The parent is the
    /// span that is current then.
    ///
    /// The span ends with the delivery report, also if this future is dropped before. If it is dropped while it waits for
    /// room in a full queue, the record is not sent, and the span fails with `cancelled`.
    ///
    /// # Errors
    ///
    /// If the message was not delivered. The message is returned with its own headers.
    #[allow(clippy::result_large_err)] // rdkafka's types.
    pub async fn send<K: ToBytes + ?Sized, P: ToBytes + ?Sized, T: Into<Timeout>>(
        &self,
        record: FutureRecord<'_, K, P>,
        queue_timeout: T,
    ) -> OwnedDeliveryResult {
        self.send_as(record, queue_timeout.into(), None).await
    }

    #[allow(clippy::result_large_err)] // rdkafka's types.
    pub(super) async fn send_as<K: ToBytes + ?Sized, P: ToBytes + ?Sized>(
        &self,
        record: FutureRecord<'_, K, P>,
        queue_timeout: Timeout,
        failed: Option<&opentelemetry::Context>,
    ) -> OwnedDeliveryResult {
        let start = Instant::now();
        let is_full = |error: &KafkaError| {
            let has_time = match queue_timeout {
                Timeout::Never => true,
                Timeout::After(limit) => start.elapsed() < limit,
            };
            has_time && *error == KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull)
        };
        let topic = record.topic;
        let (mut outgoing, received) = self.awaited(record, failed);
        let undo = loop {
            match outgoing.enqueue(|record| self.inner.send(record)) {
                Ok(undo) => break undo,
                Err((error, refused)) if is_full(&error) => {
                    outgoing = refused;
                    R::delay_for(RETRY).await;
                }
                Err((error, refused)) => {
                    let (record, _) = refused.failed(&error);
                    return Err((error, detached(record)));
                }
            }
        };
        // The report always arrives while the producer is borrowed.
        let lost = |_| Err((KafkaError::Canceled, detached(BaseRecord::to(topic))));
        DeliveryFuture { received, undo }.await.unwrap_or_else(lost)
    }

    /// Like rdkafka's [`send_result`](producer::FutureProducer::send_result), with a span that starts now.
    ///
    /// The span ends with the delivery report, even if the future is never polled.
    ///
    /// # Errors
    ///
    /// If librdkafka does not take the record. The record is returned with its own headers.
    #[allow(clippy::result_large_err)] // rdkafka's signature.
    pub fn send_result<'a, K: ToBytes + ?Sized, P: ToBytes + ?Sized>(
        &self,
        record: FutureRecord<'a, K, P>,
    ) -> Result<DeliveryFuture, (KafkaError, FutureRecord<'a, K, P>)> {
        let FutureRecord { topic, partition, payload, key, timestamp, .. } = record;
        let (outgoing, received) = self.awaited(record, None);
        match outgoing.enqueue(|record| self.inner.send(record)) {
            Ok(undo) => Ok(DeliveryFuture { received, undo }),
            Err((error, refused)) => {
                let headers = refused.failed(&error).0.headers;
                Err((error, FutureRecord { topic, partition, payload, key, timestamp, headers }))
            }
        }
    }

    fn awaited<'a, K: ToBytes + ?Sized, P: ToBytes + ?Sized>(
        &self,
        record: FutureRecord<'a, K, P>,
        failed: Option<&opentelemetry::Context>,
    ) -> (Outgoing<'a, Answer>, oneshot::Receiver<OwnedDeliveryResult>) {
        let FutureRecord { topic, partition, payload, key, timestamp, headers } = record;
        let record = BaseRecord { topic, partition, payload, key, timestamp, headers, delivery_opaque: () };
        let (sender, receiver) = oneshot::channel();
        (self.outgoing(record, failed, |()| sender), receiver)
    }
}

/// The message that rdkafka returns for a record that was not sent.
fn detached(record: BaseRecord<'_, [u8], [u8]>) -> OwnedMessage {
    OwnedMessage::new(
        record.payload.map(<[u8]>::to_vec),
        record.key.map(<[u8]>::to_vec),
        record.topic.to_owned(),
        record.timestamp.map_or(Timestamp::NotAvailable, Timestamp::CreateTime),
        record.partition.unwrap_or(-1),
        0,
        record.headers,
    )
}

/// Like rdkafka's [`DeliveryFuture`](producer::DeliveryFuture), with the same output.
///
/// The span of its message ends with the delivery report, whether this is polled, or dropped, or not.
#[derive(Debug)]
pub struct DeliveryFuture {
    received: oneshot::Receiver<OwnedDeliveryResult>,
    undo: Undo,
}

impl Future for DeliveryFuture {
    type Output = <producer::DeliveryFuture as Future>::Output;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut answer = ready!(Pin::new(&mut self.received).poll(cx));
        if let Ok(Err((_, message))) = &mut answer {
            std::mem::take(&mut self.undo).apply_to(message);
        }
        Poll::Ready(answer)
    }
}
