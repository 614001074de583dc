//! The producer that answers with a future.

use std::fmt;
use std::future::Future;
use std::ops::Deref;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use carrier_core::instrumentation::Sending;
use rdkafka::Message as _;
use rdkafka::client::{ClientContext, DefaultClientContext};
use rdkafka::error::KafkaError;
use rdkafka::message::ToBytes;
use rdkafka::producer::future_producer::OwnedDeliveryResult;
use rdkafka::producer::{self, FutureRecord};
use rdkafka::util::{AsyncRuntime, DefaultRuntime, Timeout};

use super::Instrumentation;
use super::failure::failure;
use super::outgoing::{Outgoing, report};
use super::undo::Undo;

impl Instrumentation {
    /// Wraps a [`FutureProducer`](producer::FutureProducer), so that messages have spans.
    ///
    /// # Examples
    ///
    /// ```
    /// use carrier_kafka::Instrumentation;
    /// use carrier_kafka::rdkafka::ClientConfig;
    /// use carrier_kafka::rdkafka::error::KafkaError;
    /// use carrier_kafka::rdkafka::producer::{FutureProducer, FutureRecord};
    ///
    /// async fn publish(kafka: &Instrumentation, config: &ClientConfig) -> Result<(), KafkaError> {
    ///     let producer = kafka.future_producer(config.create::<FutureProducer>()?);
    ///     let record = FutureRecord::to("orders").key("17").payload("…");
    ///     producer.send(record, std::time::Duration::from_secs(5)).await.map_err(|(error, _)| error)?;
    ///     Ok(())
    /// }
    /// ```
    pub fn future_producer<C, R>(&self, producer: producer::FutureProducer<C, R>) -> FutureProducer<C, R>
    where
        C: ClientContext + 'static,
    {
        FutureProducer { inner: producer, instrumentation: self.clone() }
    }
}

/// A [`FutureProducer`](producer::FutureProducer) whose messages have spans; all else is rdkafka's, through `Deref`.
#[must_use = "the producer's polling thread stops immediately if unused"]
pub struct FutureProducer<C = DefaultClientContext, R = DefaultRuntime>
where
    C: ClientContext + 'static,
{
    inner: producer::FutureProducer<C, R>,
    instrumentation: Instrumentation,
}

impl<C, R> FutureProducer<C, R>
where
    C: ClientContext + 'static,
    R: AsyncRuntime,
{
    /// As rdkafka's [`send`](producer::FutureProducer::send), with a span that begins at the first poll, below the span that
    /// is current then, and ends with the delivery report.
    ///
    /// A future that is dropped before ends its span, with the outcome unknown and the status unset. What was polled once
    /// is nearly always sent all the same: only a full queue keeps a record out of librdkafka's hands.
    ///
    /// # Errors
    ///
    /// Where the message was not delivered; it comes back with its own headers.
    pub async fn send<K, P, T>(
        &self,
        mut record: FutureRecord<'_, K, P>,
        queue_timeout: T,
    ) -> OwnedDeliveryResult
    where
        K: ToBytes + ?Sized,
        P: ToBytes + ?Sized,
        T: Into<Timeout>,
    {
        let (sending, undo) = self.instrumentation.send(Outgoing::future(&mut record));
        let result = self.inner.send(record, queue_timeout).await;
        ended(sending, &result);
        result.map_err(|(error, mut message)| {
            undo.apply_to(&mut message);
            (error, message)
        })
    }

    /// As rdkafka's [`send_result`](producer::FutureProducer::send_result), with a span that begins now.
    ///
    /// # Errors
    ///
    /// Where librdkafka does not take the record, which comes back with its own headers.
    #[allow(clippy::result_large_err)] // rdkafka's signature.
    pub fn send_result<'a, K, P>(
        &self,
        mut record: FutureRecord<'a, K, P>,
    ) -> Result<DeliveryFuture, (KafkaError, FutureRecord<'a, K, P>)>
    where
        K: ToBytes + ?Sized,
        P: ToBytes + ?Sized,
    {
        let (sending, undo) = self.instrumentation.send(Outgoing::future(&mut record));
        match self.inner.send_result(record) {
            Ok(inner) => Ok(DeliveryFuture { inner, waiting: Some((sending, undo)) }),
            Err((error, mut record)) => {
                sending.failed(failure(&error));
                undo.apply(&mut record.headers);
                Err((error, record))
            }
        }
    }
}

impl<C, R> FutureProducer<C, R>
where
    C: ClientContext + 'static,
{
    /// rdkafka's producer.
    pub fn into_inner(self) -> producer::FutureProducer<C, R> {
        self.inner
    }
}

impl<C, R> Clone for FutureProducer<C, R>
where
    C: ClientContext + 'static,
{
    fn clone(&self) -> Self {
        Self { inner: self.inner.clone(), instrumentation: self.instrumentation.clone() }
    }
}

impl<C, R> Deref for FutureProducer<C, R>
where
    C: ClientContext + 'static,
{
    type Target = producer::FutureProducer<C, R>;

    fn deref(&self) -> &Self::Target {
        &self.inner
    }
}

impl<C, R> fmt::Debug for FutureProducer<C, R>
where
    C: ClientContext + 'static,
{
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let instrumentation = &self.instrumentation;
        f.debug_struct("FutureProducer").field("instrumentation", instrumentation).finish_non_exhaustive()
    }
}

/// Ends the span of a message with its delivery report.
fn ended(sending: Sending, result: &OwnedDeliveryResult) {
    match result {
        Ok(delivery) => report(sending, delivery.partition, Ok(delivery.offset)),
        Err((error, message)) => report(sending, message.partition(), Err(error)),
    }
}

/// A [`DeliveryFuture`](producer::DeliveryFuture) that owns the span of its message.
///
/// Dropped, it ends the span with the outcome unknown and the status unset; the message is sent all the same.
pub struct DeliveryFuture {
    inner: producer::DeliveryFuture,
    waiting: Option<(Sending, Undo)>,
}

impl DeliveryFuture {
    /// rdkafka's future; the span ends with the outcome unknown, and what comes back unsent has our headers.
    pub fn into_inner(self) -> producer::DeliveryFuture {
        self.inner
    }
}

impl Future for DeliveryFuture {
    type Output = <producer::DeliveryFuture as Future>::Output;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut result = ready!(Pin::new(&mut self.inner).poll(cx));
        if let (Some((sending, undo)), Ok(delivered)) = (self.waiting.take(), &mut result) {
            ended(sending, delivered);
            if let Err((_, message)) = delivered {
                undo.apply_to(message);
            }
        }
        // Otherwise the producer went away first, and nobody knows what became of the message.
        Poll::Ready(result)
    }
}

impl fmt::Debug for DeliveryFuture {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DeliveryFuture").field("waiting", &self.waiting).finish_non_exhaustive()
    }
}
