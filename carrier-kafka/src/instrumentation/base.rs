//! The producers whose context is the user's.

use std::fmt;
use std::ops::Deref;

use rdkafka::ClientConfig;
use rdkafka::config::FromClientConfigAndContext as _;
use rdkafka::error::{KafkaError, KafkaResult};
use rdkafka::message::ToBytes;
use rdkafka::producer::{
    self, BaseRecord, DefaultProducerContext, NoCustomPartitioner, Partitioner, ProducerContext,
};
use rdkafka::util::IntoOpaque;

use super::failure::failure;
use super::outgoing::Outgoing;
use super::{Envelope, Instrumentation, InstrumentedContext};

impl Instrumentation {
    /// Creates a [`BaseProducer`](producer::BaseProducer) whose messages have spans, as
    /// `config.create_with_context(context)` does; where there is no context of one's own, it is [`DefaultProducerContext`].
    ///
    /// # Errors
    ///
    /// Where librdkafka refuses the configuration.
    ///
    /// # Examples
    ///
    /// ```
    /// use carrier_kafka::Instrumentation;
    /// use carrier_kafka::rdkafka::ClientConfig;
    /// use carrier_kafka::rdkafka::producer::{BaseRecord, DefaultProducerContext};
    ///
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let kafka = Instrumentation::builder().build();
    /// let producer = kafka.base_producer(&ClientConfig::new(), DefaultProducerContext)?;
    /// producer.send(BaseRecord::to("orders").key("17").payload("…")).map_err(|(error, _)| error)?;
    /// producer.poll(std::time::Duration::ZERO); // rdkafka's own methods are there as well
    /// # Ok(())
    /// # }
    /// ```
    pub fn base_producer<C, Part>(
        &self,
        config: &ClientConfig,
        context: C,
    ) -> KafkaResult<BaseProducer<C, Part>>
    where
        Part: Partitioner,
        C: ProducerContext<Part>,
    {
        let context = InstrumentedContext::new(context);
        let inner = producer::BaseProducer::from_config_and_context(config, context)?;
        Ok(BaseProducer { inner, instrumentation: self.clone() })
    }

    /// Creates a [`ThreadedProducer`](producer::ThreadedProducer) whose messages have spans, as
    /// [`base_producer`](Self::base_producer) does.
    ///
    /// # Errors
    ///
    /// Where librdkafka refuses the configuration.
    pub fn threaded_producer<C, Part>(
        &self,
        config: &ClientConfig,
        context: C,
    ) -> KafkaResult<ThreadedProducer<C, Part>>
    where
        Part: Partitioner + Send + Sync + 'static,
        C: ProducerContext<Part> + 'static,
    {
        let context = InstrumentedContext::new(context);
        let inner = producer::ThreadedProducer::from_config_and_context(config, context)?;
        Ok(ThreadedProducer { inner, instrumentation: self.clone() })
    }
}

/// A [`BaseProducer`](producer::BaseProducer) whose messages have spans; all else is rdkafka's, through `Deref`.
pub struct BaseProducer<C = DefaultProducerContext, Part = NoCustomPartitioner>
where
    Part: Partitioner,
    C: ProducerContext<Part>,
{
    inner: producer::BaseProducer<InstrumentedContext<C>, Part>,
    instrumentation: Instrumentation,
}

impl<C, Part> BaseProducer<C, Part>
where
    Part: Partitioner,
    C: ProducerContext<Part>,
{
    /// As rdkafka's [`send`](producer::BaseProducer::send), with a span that begins now, below the current one, and ends
    /// with the delivery report, before the context's `delivery` is called.
    ///
    /// # Errors
    ///
    /// Where librdkafka does not take the record, which comes back with its own headers and opaque.
    #[allow(clippy::result_large_err, clippy::type_complexity)] // rdkafka's signature.
    pub fn send<'a, K, P>(
        &self,
        record: BaseRecord<'a, K, P, C::DeliveryOpaque>,
    ) -> Result<(), (KafkaError, BaseRecord<'a, K, P, C::DeliveryOpaque>)>
    where
        K: ToBytes + ?Sized,
        P: ToBytes + ?Sized,
    {
        send(&self.instrumentation, record, |record| self.inner.send(record))
    }

    /// rdkafka's producer; what is on its way keeps its span.
    pub fn into_inner(self) -> producer::BaseProducer<InstrumentedContext<C>, Part> {
        self.inner
    }
}

impl<C, Part> Deref for BaseProducer<C, Part>
where
    Part: Partitioner,
    C: ProducerContext<Part>,
{
    type Target = producer::BaseProducer<InstrumentedContext<C>, Part>;

    fn deref(&self) -> &Self::Target {
        &self.inner
    }
}

impl<C, Part> fmt::Debug for BaseProducer<C, Part>
where
    Part: Partitioner,
    C: ProducerContext<Part>,
{
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let instrumentation = &self.instrumentation;
        f.debug_struct("BaseProducer").field("instrumentation", instrumentation).finish_non_exhaustive()
    }
}

/// A [`ThreadedProducer`](producer::ThreadedProducer) whose messages have spans; all else is rdkafka's, through `Deref`.
#[must_use = "the threaded producer stops immediately if unused"]
pub struct ThreadedProducer<C, Part = NoCustomPartitioner>
where
    Part: Partitioner,
    C: ProducerContext<Part> + 'static,
{
    inner: producer::ThreadedProducer<InstrumentedContext<C>, Part>,
    instrumentation: Instrumentation,
}

impl<C, Part> ThreadedProducer<C, Part>
where
    Part: Partitioner,
    C: ProducerContext<Part> + 'static,
{
    /// As rdkafka's [`send`](producer::ThreadedProducer::send), with a span: see [`BaseProducer::send`].
    ///
    /// # Errors
    ///
    /// Where librdkafka does not take the record, which comes back with its own headers and opaque.
    #[allow(clippy::result_large_err, clippy::type_complexity)] // rdkafka's signature.
    pub fn send<'a, K, P>(
        &self,
        record: BaseRecord<'a, K, P, C::DeliveryOpaque>,
    ) -> Result<(), (KafkaError, BaseRecord<'a, K, P, C::DeliveryOpaque>)>
    where
        K: ToBytes + ?Sized,
        P: ToBytes + ?Sized,
    {
        send(&self.instrumentation, record, |record| self.inner.send(record))
    }

    /// rdkafka's producer; what is on its way keeps its span.
    pub fn into_inner(self) -> producer::ThreadedProducer<InstrumentedContext<C>, Part> {
        self.inner
    }
}

impl<C: ProducerContext + 'static> Clone for ThreadedProducer<C> {
    fn clone(&self) -> Self {
        Self { inner: self.inner.clone(), instrumentation: self.instrumentation.clone() }
    }
}

impl<C, Part> Deref for ThreadedProducer<C, Part>
where
    Part: Partitioner,
    C: ProducerContext<Part> + 'static,
{
    type Target = producer::ThreadedProducer<InstrumentedContext<C>, Part>;

    fn deref(&self) -> &Self::Target {
        &self.inner
    }
}

impl<C, Part> fmt::Debug for ThreadedProducer<C, Part>
where
    Part: Partitioner,
    C: ProducerContext<Part> + 'static,
{
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let instrumentation = &self.instrumentation;
        f.debug_struct("ThreadedProducer").field("instrumentation", instrumentation).finish_non_exhaustive()
    }
}

/// What librdkafka did not take, and why.
type Unsent<'a, K, P, D> = (KafkaError, BaseRecord<'a, K, P, D>);

/// Sends a record in its envelope; one that comes back is what it was.
#[allow(clippy::result_large_err)] // rdkafka's signature.
fn send<'a, K, P, D>(
    instrumentation: &Instrumentation,
    mut record: BaseRecord<'a, K, P, D>,
    through: impl FnOnce(BaseRecord<'a, K, P, Box<Envelope<D>>>) -> Result<(), Unsent<'a, K, P, Box<Envelope<D>>>>,
) -> Result<(), Unsent<'a, K, P, D>>
where
    K: ToBytes + ?Sized,
    P: ToBytes + ?Sized,
    D: IntoOpaque,
{
    let (sending, undo) = instrumentation.send(Outgoing::base(&mut record));
    let (record, opaque) = split(record);
    let envelope = Box::new(Envelope::new(opaque, sending));
    through(with_opaque(record, envelope)).map_err(|(error, record)| {
        let (mut record, envelope) = split(record);
        let (opaque, sending) = envelope.open();
        if let Some(sending) = sending {
            sending.failed(failure(&error));
        }
        undo.apply(&mut record.headers);
        (error, with_opaque(record, opaque))
    })
}

fn split<K: ToBytes + ?Sized, P: ToBytes + ?Sized, D: IntoOpaque>(
    record: BaseRecord<'_, K, P, D>,
) -> (BaseRecord<'_, K, P>, D) {
    let BaseRecord { topic, partition, payload, key, timestamp, headers, delivery_opaque } = record;
    let record = BaseRecord { topic, partition, payload, key, timestamp, headers, delivery_opaque: () };
    (record, delivery_opaque)
}

fn with_opaque<K: ToBytes + ?Sized, P: ToBytes + ?Sized, D: IntoOpaque>(
    record: BaseRecord<'_, K, P>,
    delivery_opaque: D,
) -> BaseRecord<'_, K, P, D> {
    let BaseRecord { topic, partition, payload, key, timestamp, headers, .. } = record;
    BaseRecord { topic, partition, payload, key, timestamp, headers, delivery_opaque }
}
