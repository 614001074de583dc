//! Producers that start a span for each message that they send.

use std::fmt;

use carrier_core::instrumentation::Destination;
use rdkafka::client::{Client, ClientContext, DefaultClientContext};
use rdkafka::config::FromClientConfigAndContext;
use rdkafka::consumer::ConsumerGroupMetadata;
use rdkafka::error::KafkaResult;
use rdkafka::producer::{
    self, DefaultProducerContext, NoCustomPartitioner, Partitioner, Producer, ProducerContext, PurgeConfig,
};
use rdkafka::util::{DefaultRuntime, Timeout};
use rdkafka::{ClientConfig, TopicPartitionList};

use super::destination::emits_statistics;
use super::pending::{CaughtPanic, FutureProducerContext, InstrumentedContext};
use super::settle::ended;
use super::{Instrumentation, attribute};

impl Instrumentation {
    /// Creates a [`BaseProducer`](producer::BaseProducer) whose messages have spans, like `config.create()`.
    ///
    /// # Errors
    ///
    /// If librdkafka refuses the configuration.
    ///
    /// # Examples
    ///
    /// ```
    /// use carrier_kafka::Instrumentation;
    /// use carrier_kafka::rdkafka::ClientConfig;
    /// use carrier_kafka::rdkafka::producer::BaseRecord;
    ///
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let kafka = Instrumentation::builder().build();
    /// let producer = kafka.base_producer(&ClientConfig::new())?;
    /// producer.send(BaseRecord::to("orders").key("17").payload("…")).map_err(|(error, _)| error)?;
    /// producer.poll(std::time::Duration::ZERO);
    /// # Ok(())
    /// # }
    /// ```
    pub fn base_producer(&self, config: &ClientConfig) -> KafkaResult<BaseProducer> {
        self.base_producer_with_context(config, DefaultProducerContext)
    }

    /// Like [`base_producer`](Self::base_producer), like `config.create_with_context(context)`.
    ///
    /// # Errors
    ///
    /// If librdkafka refuses the configuration.
    pub fn base_producer_with_context<C: ProducerContext<Part>, Part: Partitioner>(
        &self,
        config: &ClientConfig,
        context: C,
    ) -> KafkaResult<BaseProducer<C, Part>> {
        self.producer(config, context)
    }

    /// Creates a [`ThreadedProducer`](producer::ThreadedProducer) whose messages have spans, like `config.create()`.
    ///
    /// # Errors
    ///
    /// If librdkafka refuses the configuration.
    pub fn threaded_producer(&self, config: &ClientConfig) -> KafkaResult<ThreadedProducer> {
        self.threaded_producer_with_context(config, DefaultProducerContext)
    }

    /// Like [`threaded_producer`](Self::threaded_producer), like `config.create_with_context(context)`.
    ///
    /// # Errors
    ///
    /// If librdkafka refuses the configuration.
    pub fn threaded_producer_with_context<C, Part>(
        &self,
        config: &ClientConfig,
        context: C,
    ) -> KafkaResult<ThreadedProducer<C, Part>>
    where
        Part: Partitioner + Send + Sync + 'static,
        C: ProducerContext<Part> + 'static,
    {
        self.producer(config, context)
    }

    /// Creates a [`FutureProducer`](producer::FutureProducer) whose messages have spans, like `config.create()`.
    ///
    /// # Errors
    ///
    /// If librdkafka refuses the configuration.
    ///
    /// # Examples
    ///
    /// ```
    /// use carrier_kafka::Instrumentation;
    /// use carrier_kafka::rdkafka::ClientConfig;
    /// use carrier_kafka::rdkafka::error::KafkaError;
    /// use carrier_kafka::rdkafka::producer::FutureRecord;
    ///
    /// async fn publish(kafka: &Instrumentation, config: &ClientConfig) -> Result<(), KafkaError> {
    ///     let producer = kafka.future_producer(config)?;
    ///     let record = FutureRecord::to("orders").key("17").payload("…");
    ///     producer.send(record, std::time::Duration::from_secs(5)).await.map_err(|(error, _)| error)?;
    ///     Ok(())
    /// }
    /// ```
    pub fn future_producer(&self, config: &ClientConfig) -> KafkaResult<FutureProducer> {
        self.future_producer_with_context(config, DefaultClientContext)
    }

    /// Like [`future_producer`](Self::future_producer), like `config.create_with_context(context)`; also for a runtime that
    /// is not the default one.
    ///
    /// # Errors
    ///
    /// If librdkafka refuses the configuration.
    pub fn future_producer_with_context<C: ClientContext + 'static, R: 'static>(
        &self,
        config: &ClientConfig,
        context: C,
    ) -> KafkaResult<FutureProducer<C, R>> {
        self.producer(config, context)
    }

    fn producer<P, C, F>(&self, config: &ClientConfig, context: C) -> KafkaResult<InstrumentedProducer<P>>
    where
        P: FromClientConfigAndContext<InstrumentedContext<C, F>>,
        C: ClientContext,
        F: Send + Sync + 'static,
    {
        let panic = CaughtPanic::default();
        let instrumentation = self.of_producer(config);
        let statistics = emits_statistics(config).then(|| instrumentation.statistics());
        let context = InstrumentedContext::new(context, panic.clone(), statistics);
        Ok(InstrumentedProducer {
            inner: P::from_config_and_context(config, context)?,
            instrumentation,
            panic,
        })
    }
}

/// A producer of rdkafka whose messages have spans.
///
/// It has the methods of rdkafka's producer, and implements [`Producer`](producer::Producer). It does not pass for rdkafka's producer: a function
/// that takes one would send messages without a span and without a context.
///
/// ```compile_fail,E0308
/// use carrier_kafka::rdkafka::{ClientConfig, producer};
///
/// fn publish(producer: &producer::FutureProducer) { /* … */ }
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let kafka = carrier_kafka::Instrumentation::builder().build();
/// let producer = kafka.future_producer(&ClientConfig::new())?;
/// publish(&producer);
/// # Ok(())
/// # }
/// ```
///
/// ```compile_fail,E0308
/// # use carrier_kafka::rdkafka::{ClientConfig, producer};
/// fn publish<C: producer::ProducerContext>(producer: &producer::BaseProducer<C>) { /* … */ }
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let kafka = carrier_kafka::Instrumentation::builder().build();
/// # let producer = kafka.base_producer(&ClientConfig::new())?;
/// publish(&producer);
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
#[must_use = "the producer's polling thread stops immediately if unused"]
pub struct InstrumentedProducer<P> {
    pub(super) inner: P,
    pub(super) instrumentation: Instrumentation,
    panic: CaughtPanic,
}

/// A [`BaseProducer`](producer::BaseProducer) whose messages have spans.
pub type BaseProducer<C = DefaultProducerContext, Part = NoCustomPartitioner> =
    InstrumentedProducer<producer::BaseProducer<InstrumentedContext<C>, Part>>;

/// A [`ThreadedProducer`](producer::ThreadedProducer) whose messages have spans.
pub type ThreadedProducer<C = DefaultProducerContext, Part = NoCustomPartitioner> =
    InstrumentedProducer<producer::ThreadedProducer<InstrumentedContext<C>, Part>>;

/// A [`FutureProducer`](producer::FutureProducer) whose messages have spans.
///
/// rdkafka's completes the future and does nothing else with a delivery report. This one is made of a
/// [`ThreadedProducer`](producer::ThreadedProducer) as rdkafka's is, and also ends the span.
pub type FutureProducer<C = DefaultClientContext, R = DefaultRuntime> =
    InstrumentedProducer<producer::ThreadedProducer<FutureProducerContext<C, R>>>;

impl<P> InstrumentedProducer<P> {
    /// Returns rdkafka's producer. Messages that are sent with it have no span and no context.
    pub fn inner(&self) -> &P {
        &self.inner
    }

    /// Returns rdkafka's producer. Messages that it is sending keep their spans.
    pub fn into_inner(self) -> P {
        self.inner
    }

    /// Ends a transaction, with a span if `settle_spans` is on.
    fn end_transaction(
        &self,
        operation: &'static str,
        end: impl FnOnce() -> KafkaResult<()>,
    ) -> KafkaResult<()> {
        let Instrumentation { core, transactional_id, .. } = &self.instrumentation;
        let settling = core.settle(operation, Destination::none, |span| {
            if let Some(id) = transactional_id {
                span.set(attribute::TRANSACTIONAL_ID, id.clone());
            }
        });
        let result = ended(settling, end());
        self.panic.resume();
        result
    }
}

impl<P> fmt::Debug for InstrumentedProducer<P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("InstrumentedProducer").field(&self.instrumentation).finish_non_exhaustive()
    }
}

impl<X: ProducerContext<Part>, Part: Partitioner> InstrumentedProducer<producer::BaseProducer<X, Part>> {
    /// rdkafka's [`poll`](producer::BaseProducer::poll): receives delivery reports, which end spans.
    ///
    /// # Panics
    ///
    /// If a callback of the producer's context panicked: with its panic, after all reports of an event.
    pub fn poll<T: Into<Timeout>>(&self, timeout: T) {
        self.inner.poll(timeout);
        self.panic.resume();
    }
}

impl<X: ProducerContext<Part> + 'static, Part: Partitioner>
    InstrumentedProducer<producer::ThreadedProducer<X, Part>>
{
    /// rdkafka's [`poll`](producer::ThreadedProducer::poll). The producer's own thread calls it as well.
    ///
    /// # Panics
    ///
    /// If a callback of the producer's context panicked, also on the producer's own thread: with its panic.
    pub fn poll<T: Into<Timeout>>(&self, timeout: T) {
        self.inner.poll(timeout);
        self.panic.resume();
    }
}

/// Everything but `send` and `poll`, which rdkafka's trait does not have. A panic of a callback is resumed by `flush` and by
/// the calls that end a transaction.
impl<P, X, Part> Producer<X, Part> for InstrumentedProducer<P>
where
    P: Producer<X, Part>,
    X: ProducerContext<Part>,
    Part: Partitioner,
{
    fn client(&self) -> &Client<X> {
        self.inner.client()
    }

    fn in_flight_count(&self) -> i32 {
        self.inner.in_flight_count()
    }

    fn flush<T: Into<Timeout>>(&self, timeout: T) -> KafkaResult<()> {
        let result = self.inner.flush(timeout);
        self.panic.resume();
        result
    }

    fn purge(&self, flags: PurgeConfig) {
        self.inner.purge(flags);
    }

    fn init_transactions<T: Into<Timeout>>(&self, timeout: T) -> KafkaResult<()> {
        self.inner.init_transactions(timeout)
    }

    fn begin_transaction(&self) -> KafkaResult<()> {
        self.inner.begin_transaction()
    }

    fn send_offsets_to_transaction<T: Into<Timeout>>(
        &self,
        offsets: &TopicPartitionList,
        cgm: &ConsumerGroupMetadata,
        timeout: T,
    ) -> KafkaResult<()> {
        self.inner.send_offsets_to_transaction(offsets, cgm, timeout)
    }

    fn commit_transaction<T: Into<Timeout>>(&self, timeout: T) -> KafkaResult<()> {
        self.end_transaction("commit_transaction", || self.inner.commit_transaction(timeout))
    }

    fn abort_transaction<T: Into<Timeout>>(&self, timeout: T) -> KafkaResult<()> {
        self.end_transaction("abort_transaction", || self.inner.abort_transaction(timeout))
    }
}
