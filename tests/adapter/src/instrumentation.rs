//! Level 2: spans and metrics for the broker's messages.

use std::sync::Arc;
use std::time::SystemTime;

use carrier_core::instrumentation::{
    self as core, AlreadyCounted, Ambient, Batch, Destination, Details, Failure, Handled, IncomingMessage,
    Process, Relation, Settlement, StartTime, attribute,
};
use carrier_core::opentelemetry::Context;
use carrier_core::opentelemetry::metrics::MeterProvider;
use carrier_core::opentelemetry::trace::{Span, Tracer, TracerProvider};
use carrier_core::{Budget, Propagation};

use crate::broker::{Broker, Delivery, Message, Refused};
use crate::carrier::{HeadersReader, MessageCarrier};

/// The names of the telemetry, from a configuration that is read when the program runs.
#[derive(Debug, Clone)]
pub struct Names {
    /// `messaging.system`.
    pub system: String,
    /// The name of the instrumentation scope.
    pub scope: String,
    /// The version of the instrumentation scope.
    pub version: String,
    /// The operation that acknowledges a message.
    pub ack: Arc<str>,
    /// The operation that returns a message.
    pub nack: Arc<str>,
    /// The attribute for the number of headers.
    pub header_count: Arc<str>,
}

/// Builds an [`Instrumentation`]. It forwards the settings that all instrumentations have.
#[derive(Debug)]
#[must_use = "a builder does nothing until `build`"]
pub struct InstrumentationBuilder {
    common: core::InstrumentationBuilder,
    names: Names,
}

impl InstrumentationBuilder {
    fn with(self, change: impl FnOnce(core::InstrumentationBuilder) -> core::InstrumentationBuilder) -> Self {
        Self { common: change(self.common), ..self }
    }

    /// Sets the tracer provider.
    pub fn tracer_provider<P>(self, provider: P) -> Self
    where
        P: TracerProvider + Send + 'static,
        P::Tracer: Send + Sync + 'static,
        <P::Tracer as Tracer>::Span: Span + Send + Sync + 'static,
    {
        self.with(|common| common.tracer_provider(provider))
    }

    /// Sets the meter provider.
    pub fn meter_provider(self, provider: impl MeterProvider + Send + 'static) -> Self {
        self.with(|common| common.meter_provider(provider))
    }

    /// Sets how contexts are written and read.
    pub fn propagation(self, propagation: Propagation) -> Self {
        self.with(|common| common.propagation(propagation))
    }

    /// Sets how the sender's span relates to a process span.
    pub fn relation(self, relation: Relation) -> Self {
        self.with(|common| common.relation(relation))
    }

    /// Sets how the current span relates to a new process span.
    pub fn ambient(self, ambient: Ambient) -> Self {
        self.with(|common| common.ambient(ambient))
    }

    /// Sets the maximum number of links of a batch's span.
    pub fn max_links(self, max_links: usize) -> Self {
        self.with(|common| common.max_links(max_links))
    }

    /// Sets whether a settlement has a span and a duration metric.
    pub fn settle_spans(self, settle_spans: bool) -> Self {
        self.with(|common| common.settle_spans(settle_spans))
    }

    /// Sets whether metrics are recorded.
    pub fn metrics(self, metrics: bool) -> Self {
        self.with(|common| common.metrics(metrics))
    }

    /// Sets whether no span is started below a valid parent that is not sampled.
    pub fn skip_unsampled(self, skip_unsampled: bool) -> Self {
        self.with(|common| common.skip_unsampled(skip_unsampled))
    }

    /// Sets the broker's address.
    pub fn server(self, address: String, port: Option<u16>) -> Self {
        self.with(|common| common.server(address, port))
    }

    /// Sets the consumer group.
    pub fn consumer_group(self, name: String) -> Self {
        self.with(|common| common.consumer_group(name))
    }

    /// Sets the client id.
    pub fn client_id(self, id: String) -> Self {
        self.with(|common| common.client_id(id))
    }

    /// Builds the instrumentation.
    pub fn build(self) -> Instrumentation {
        Instrumentation { core: self.common.build(), names: Arc::new(self.names) }
    }
}

/// Starts spans and records metrics for the broker's messages.
#[derive(Debug, Clone)]
pub struct Instrumentation {
    core: core::Instrumentation,
    names: Arc<Names>,
}

impl Instrumentation {
    /// Returns a builder.
    pub fn builder(names: Names) -> InstrumentationBuilder {
        let Names { system, scope, version, .. } = names.clone();
        InstrumentationBuilder { common: core::Instrumentation::builder(system).scope(scope, version), names }
    }

    /// Returns a copy for another client of the program, to a broker with this address that takes `limit` bytes.
    pub fn for_client(&self, id: String, address: String, limit: usize) -> Self {
        let core = self.core.with_client_id(Some(id.into())).with_consumer_group(None);
        let core = core.with_server(Some((address.into(), None))).with_budget(Budget::message(limit));
        Self { core, ..self.clone() }
    }

    /// Publishes a message in a span that ends with the broker's answer.
    ///
    /// # Errors
    ///
    /// The broker's.
    pub fn publish(&self, broker: &Broker, queue: &str, mut message: Message) -> Result<(), Refused> {
        let (size, headers) = (message.body.len(), message.headers.len());
        let mut carrier = MessageCarrier { message: &mut message, limit: Some(broker.limit()) };
        let sending = self.core.send(
            || Destination::new(queue.to_owned()),
            &mut carrier,
            |span| {
                span.set(attribute::MESSAGING_MESSAGE_BODY_SIZE, as_i64(size));
                span.set(Arc::clone(&self.names.header_count), as_i64(headers));
            },
        );
        let result = broker.publish(queue, message);
        sending.ended(result.map_err(failure));
        result
    }

    /// Takes the next message of a queue, and records that it was received.
    pub fn get(&self, broker: &Broker, queue: &str) -> Option<AlreadyCounted<Delivery>> {
        let start = StartTime::now();
        let delivery = broker.get(queue)?;
        let reader = HeadersReader(&delivery.message.headers);
        let message = Incoming { delivery: &delivery, is_counted: false };
        self.core.received(start, Destination::new(queue.to_owned()), Ok(Some((&message, &reader))), |_| {});
        Some(AlreadyCounted(delivery))
    }

    /// Starts the span of a message that is processed.
    pub fn process<'b>(&self, broker: &'b Broker, received: impl Received) -> Processing<'b> {
        let is_counted = received.is_counted();
        let delivery = received.into_delivery();
        let message = Incoming { delivery: &delivery, is_counted };
        let reader = HeadersReader(&delivery.message.headers);
        let process = self.core.process(message, &reader, self.details(&delivery)).until_settled();
        Processing { broker, delivery, process, names: Arc::clone(&self.names) }
    }

    /// Starts the span of a batch that is processed.
    pub fn process_batch(&self, queue: &str, deliveries: &[Delivery]) -> Batch {
        let messages = deliveries.iter().map(|delivery| {
            let message = Incoming { delivery, is_counted: false };
            (HeadersReader(&delivery.message.headers), message, self.details(delivery))
        });
        self.core.process_batch(Destination::new(queue.to_owned()), messages, |_| {})
    }

    /// Settles a message that was not processed in a span.
    ///
    /// # Errors
    ///
    /// The broker's.
    pub fn ack(&self, broker: &Broker, delivery: &Delivery) -> Result<(), Refused> {
        let reader = HeadersReader(&delivery.message.headers);
        let message = Incoming { delivery, is_counted: true };
        let settling = self.core.settle_message(Arc::clone(&self.names.ack), &message, &reader, |_| {});
        let result = broker.ack(delivery);
        settling.ended(result.map_err(failure));
        result
    }

    fn details<'d>(&'d self, delivery: &'d Delivery) -> impl FnOnce(&mut Details<'_>) + use<'d> {
        move |span| {
            span.set(Arc::clone(&self.names.header_count), as_i64(delivery.message.headers.len()));
        }
    }
}

/// A message that can be processed: one that is not counted as consumed yet, or one that is.
pub trait Received {
    /// Whether the message was counted as consumed when it was received.
    fn is_counted(&self) -> bool;

    /// Returns the message.
    fn into_delivery(self) -> Delivery;
}

impl Received for Delivery {
    fn is_counted(&self) -> bool {
        false
    }

    fn into_delivery(self) -> Delivery {
        self
    }
}

impl Received for AlreadyCounted<Delivery> {
    fn is_counted(&self) -> bool {
        true
    }

    fn into_delivery(self) -> Delivery {
        self.into_inner()
    }
}

/// What is known of a delivery without its headers.
struct Incoming<'a> {
    delivery: &'a Delivery,
    is_counted: bool,
}

impl IncomingMessage for Incoming<'_> {
    fn destination(&self) -> Destination {
        Destination::new(self.delivery.queue.clone())
    }

    fn sent_at(&self) -> Option<SystemTime> {
        Some(self.delivery.published_at)
    }

    fn is_redelivered(&self) -> bool {
        self.delivery.is_redelivered
    }

    fn is_counted(&self) -> bool {
        self.is_counted
    }
}

/// A message that is processed. Its span ends when the handler is over and the message is settled.
#[derive(Debug)]
#[must_use = "the span ends when this is dropped; keep it until the message is settled"]
pub struct Processing<'b> {
    broker: &'b Broker,
    delivery: Delivery,
    process: Process,
    names: Arc<Names>,
}

impl Processing<'_> {
    /// The message.
    pub fn delivery(&self) -> &Delivery {
        &self.delivery
    }

    /// The context of the handler.
    pub fn context(&self) -> &Context {
        self.process.context()
    }

    /// Runs the handler.
    pub async fn run<F, Kind>(&self, handler: F) -> F::Output
    where
        F: Future,
        F::Output: Handled<Kind>,
    {
        self.process.run(handler).await
    }

    /// Acknowledges the message.
    ///
    /// # Errors
    ///
    /// The broker's.
    pub fn ack(&self) -> Result<(), Refused> {
        self.settle(&self.names.ack, Settlement::Acked, Broker::ack)
    }

    /// Returns the message to its queue.
    ///
    /// # Errors
    ///
    /// The broker's.
    pub fn nack(&self) -> Result<(), Refused> {
        self.settle(&self.names.nack, Settlement::Nacked, Broker::nack)
    }

    fn settle(
        &self,
        operation: &Arc<str>,
        settlement: Settlement,
        settle: impl FnOnce(&Broker, &Delivery) -> Result<(), Refused>,
    ) -> Result<(), Refused> {
        let destination = || Destination::new(self.delivery.queue.clone());
        let settling = self.process.settling(Arc::clone(operation), destination, |_| {});
        let result = settle(self.broker, &self.delivery);
        settling.ended(result.map_err(failure));
        if result.is_ok() {
            self.process.settle(settlement);
        }
        result
    }
}

fn failure(refused: Refused) -> Failure {
    let error_type = match refused {
        Refused::TooLarge => "too_large",
        Refused::Settled => "settled",
    };
    Failure::new(error_type, refused.to_string())
}

fn as_i64(count: usize) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}
