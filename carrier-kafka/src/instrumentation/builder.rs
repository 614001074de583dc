//! The configuration of an instrumentation: built once, cheap to clone.

use std::borrow::Cow;
use std::error::Error;
use std::sync::Arc;

use carrier_core::instrumentation::{
    self as core, Ambient, Cancellation, Filter, FilteredOperation, Hook, InstrumentationBuilder, Relation,
};
use carrier_core::{Budget, Propagation};
use opentelemetry::metrics::MeterProvider;
use opentelemetry::trace::{Tracer, TracerProvider};
use opentelemetry::{KeyValue, StringValue};
use rdkafka::ClientConfig;

use super::clients::Clients;
use super::destination::{Destinations, has_brokers, server, setting};
use super::{MessageKey, attribute};
use crate::size::configured_limit;

/// Starts spans and records metrics for rdkafka's producers, and for messages that are processed.
///
/// It is built once and is cheap to clone. All clones share one configuration.
///
/// # Examples
///
/// ```
/// use carrier_kafka::Instrumentation;
/// use carrier_kafka::rdkafka::ClientConfig;
///
/// let mut config = ClientConfig::new();
/// config.set("bootstrap.servers", "kafka:9092").set("group.id", "billing");
/// let kafka = Instrumentation::builder().config(&config).build();
/// ```
#[derive(Debug, Clone)]
pub struct Instrumentation {
    pub(super) core: core::Instrumentation,
    pub(super) destinations: Destinations,
    pub(super) message_key: MessageKey,
    /// The `transactional.id` of the producer that has this instrumentation.
    pub(super) transactional_id: Option<StringValue>,
    /// The id that was set for all clients.
    client_id: Option<StringValue>,
    /// The broker that was set for all clients.
    server: Option<Server>,
    limit: Option<usize>,
    pub(super) clients: Arc<Clients>,
}

/// The address of a broker, and its port if it is known.
type Server = (StringValue, Option<u16>);

impl Instrumentation {
    /// Builds an instrumentation.
    pub fn builder() -> KafkaInstrumentationBuilder {
        let core = core::Instrumentation::builder("kafka");
        KafkaInstrumentationBuilder {
            core: core.scope(env!("CARGO_PKG_NAME"), env!("CARGO_PKG_VERSION")),
            destinations: Destinations::default(),
            message_key: MessageKey::default(),
            client_id: None,
            server: None,
            consumer: Consumer::default(),
            limit: None,
        }
    }

    /// Returns the instrumentation of one producer. Its broker, id, transactions and limit are in its own configuration.
    pub(super) fn of_producer(&self, config: &ClientConfig) -> Self {
        let id = self.client_id.clone().or_else(|| text(config, "client.id"));
        let mut core = self.core.with_consumer_group(None).with_client_id(id);
        if self.server.is_none() && has_brokers(config) {
            core = core.with_server(server(config).map(|(address, port)| (address.into(), Some(port))));
        }
        if let Some(limit) = configured_limit(config).or(self.limit) {
            core = core.with_budget(Budget::message(limit));
        }
        Self { core, transactional_id: text(config, "transactional.id"), ..self.clone() }
    }

    /// Returns a copy with another [`Propagation`], for one source or destination.
    pub fn with_propagation(&self, propagation: Propagation) -> Self {
        Self { core: self.core.with_propagation(propagation), ..self.clone() }
    }

    /// Returns a copy with another [`Relation`], for one consumer.
    pub fn with_relation(&self, relation: Relation) -> Self {
        Self { core: self.core.with_relation(relation), ..self.clone() }
    }
}

/// Builds an [`Instrumentation`].
#[derive(Debug)]
#[must_use = "a builder does nothing until `build`"]
pub struct KafkaInstrumentationBuilder {
    core: InstrumentationBuilder,
    destinations: Destinations,
    message_key: MessageKey,
    client_id: Option<StringValue>,
    server: Option<Server>,
    consumer: Consumer,
    limit: Option<usize>,
}

/// What the configurations say about the consumer.
#[derive(Debug, Default)]
struct Consumer {
    has_group: bool,
    id: Option<StringValue>,
}

impl KafkaInstrumentationBuilder {
    /// Reads the broker, the consumer group, the consumer's id and a limit from a client's configuration.
    ///
    /// | setting | effect |
    /// | --- | --- |
    /// | `bootstrap.servers` (`metadata.broker.list`), if it names one broker | `server.address`, `server.port` |
    /// | `group.id` | `messaging.consumer.group.name` of a consumer's operations |
    /// | `client.id` | `messaging.client.id` of a consumer's spans |
    /// | `message.max.bytes` | limits what is added to a message |
    ///
    /// You can pass the configuration of a producer and of a consumer, in any order: a configuration with a `group.id` is a
    /// consumer's, and another one does not change its id. A producer reads all of this from the configuration that it is
    /// created with, so its spans have its own broker and id. What is set here counts for a producer if its own configuration
    /// has no broker or no limit.
    ///
    /// librdkafka does not report which of several bootstrap servers a message is sent to: see [`server`](Self::server) and
    /// [`cluster_id`](Self::cluster_id). It checks the configuration when the client is created; a broker address that cannot
    /// be read sets no attribute here.
    pub fn config(self, config: &ClientConfig) -> Self {
        let mut core = self.core;
        if let Some((address, port)) = server(config) {
            core = core.server(address, Some(port));
        }
        let mut consumer = self.consumer;
        let id = text(config, "client.id");
        match text(config, "group.id") {
            Some(group) => {
                core = core.consumer_group(group);
                consumer = Consumer { has_group: true, id };
            }
            None if consumer.has_group => {}
            None => consumer.id = id.or(consumer.id),
        }
        let limit = configured_limit(config).into_iter().chain(self.limit).min();
        Self { core, consumer, limit, ..self }
    }

    /// Sets `messaging.client.id` of all spans, instead of the `client.id` of each configuration.
    pub fn client_id(self, id: impl Into<StringValue>) -> Self {
        Self { client_id: Some(id.into()), ..self }
    }

    /// Sets `server.address` and `server.port` of all clients, instead of the broker of each configuration.
    ///
    /// For a cluster with several bootstrap servers, which has neither by default: the name of a load balancer, for instance.
    pub fn server(self, address: impl Into<StringValue>, port: Option<u16>) -> Self {
        Self { server: Some((address.into(), port)), ..self }
    }

    /// Sets `messaging.kafka.cluster.id` of all spans and metrics.
    ///
    /// Build one instrumentation for each cluster. Without an id and with several bootstrap servers, the metrics of equally
    /// named topics of two clusters are one time series. rdkafka's `fetch_cluster_id` asks a broker and blocks, so ask once,
    /// before the clients are created, and in a future on a thread that may block.
    ///
    /// # Examples
    ///
    /// ```
    /// use std::time::Duration;
    ///
    /// use carrier_kafka::Instrumentation;
    /// use carrier_kafka::rdkafka::ClientConfig;
    /// use carrier_kafka::rdkafka::consumer::{BaseConsumer, Consumer};
    ///
    /// async fn instrumentation(config: &ClientConfig) -> Result<Instrumentation, Box<dyn std::error::Error>> {
    ///     let client: BaseConsumer = config.create()?;
    ///     let ask = move || client.client().fetch_cluster_id(Duration::from_secs(5));
    ///     let builder = Instrumentation::builder().config(config);
    ///     Ok(match tokio::task::spawn_blocking(ask).await? {
    ///         Some(id) => builder.cluster_id(id).build(),
    ///         None => builder.build(),
    ///     })
    /// }
    /// ```
    pub fn cluster_id(self, id: impl Into<StringValue>) -> Self {
        let id = Arc::<str>::from(id.into().as_str());
        let attribute = KeyValue::new(attribute::MESSAGING_KAFKA_CLUSTER_ID, id);
        Self { core: self.core.client_attribute(attribute), ..self }
    }

    /// Sets what spans contain of a message's key. The default is nothing.
    pub fn message_key(self, message_key: MessageKey) -> Self {
        Self { message_key, ..self }
    }

    /// Sets a function that returns the pattern of a destination with many names: `messaging.destination.template`.
    ///
    /// The template names spans and is on metrics. The function is called for every message; a borrowed result costs less.
    /// `None` is a destination without a pattern.
    ///
    /// # Examples
    ///
    /// ```
    /// let kafka = carrier_kafka::Instrumentation::builder()
    ///     .destination_template(|topic| topic.starts_with("tenant-").then(|| "tenant-{id}".into()))
    ///     .build();
    /// ```
    pub fn destination_template(
        mut self,
        template: impl Fn(&str) -> Option<Cow<'static, str>> + Send + Sync + 'static,
    ) -> Self {
        self.destinations.template = Some(Arc::new(template));
        self
    }

    /// Sets the tracer provider: see [`InstrumentationBuilder::tracer_provider`].
    pub fn tracer_provider<P>(self, provider: P) -> Self
    where
        P: TracerProvider + Send + 'static,
        P::Tracer: Send + Sync + 'static,
        <P::Tracer as Tracer>::Span: Send + Sync + 'static,
    {
        Self { core: self.core.tracer_provider(provider), ..self }
    }

    /// Builds the instrumentation. Without a provider of its own it uses those that are global now.
    pub fn build(self) -> Instrumentation {
        let Self { mut core, destinations, message_key, client_id, server, consumer, limit } = self;
        if let Some((address, port)) = server.clone() {
            core = core.server(address, port);
        }
        if let Some(id) = client_id.clone().or(consumer.id) {
            core = core.client_id(id);
        }
        Instrumentation {
            core: core.build(),
            destinations,
            message_key,
            transactional_id: None,
            client_id,
            server,
            limit,
            clients: Arc::default(),
        }
    }
}

/// Defines methods that call core's method of the same name.
macro_rules! cores {
    ($($(#[$doc:meta])* $name:ident($argument:ident: $type:ty);)*) => {
        impl KafkaInstrumentationBuilder {$(
            $(#[$doc])*
            pub fn $name(self, $argument: $type) -> Self {
                Self { core: self.core.$name($argument), ..self }
            }
        )*}
    };
}

cores! {
    /// Sets the meter provider: see [`InstrumentationBuilder::meter_provider`].
    meter_provider(provider: impl MeterProvider + Send + 'static);
    /// Sets how contexts are written and read: see [`InstrumentationBuilder::propagation`].
    propagation(propagation: Propagation);
    /// Sets how the sender's span relates to a process span: see [`InstrumentationBuilder::relation`].
    relation(relation: Relation);
    /// Sets how the current span relates to a new process span: see [`InstrumentationBuilder::ambient`].
    ambient(ambient: Ambient);
    /// Sets the maximum number of links of a batch's span: see [`InstrumentationBuilder::max_links`].
    max_links(max_links: usize);
    /// Sets whether a settlement has a span: see [`InstrumentationBuilder::settle_spans`].
    settle_spans(settle_spans: bool);
    /// Sets whether metrics are recorded: see [`InstrumentationBuilder::metrics`].
    metrics(metrics: bool);
    /// Sets whether no span is started below an unsampled parent: see [`InstrumentationBuilder::skip_unsampled`].
    skip_unsampled(skip_unsampled: bool);
    /// Sets whether a span also links to the sender that is its parent: see [`InstrumentationBuilder::link_parent`].
    link_parent(link_parent: bool);
    /// Adds a hook: see [`InstrumentationBuilder::hook`].
    hook(hook: impl Hook + 'static);
    /// Records headers as attributes: see [`InstrumentationBuilder::capture_headers`].
    capture_headers(names: impl IntoIterator<Item = impl Into<Cow<'static, str>>>);
    /// Leaves out spans and metrics: see [`InstrumentationBuilder::filter`].
    filter(filter: impl Fn(&FilteredOperation<'_>) -> Filter + Send + Sync + 'static);
    /// Sets the `error.type` of handlers' errors: see [`InstrumentationBuilder::error_types`].
    error_types(classifier: impl Fn(&(dyn Error + 'static)) -> Option<Cow<'static, str>> + Send + Sync + 'static);
    /// Sets whether spans have the body's size: see [`InstrumentationBuilder::body_size`].
    body_size(body_size: bool);
    /// Sets what a handler that was dropped early means: see [`InstrumentationBuilder::cancellation`].
    cancellation(cancellation: Cancellation);
}

#[cfg(feature = "tracing-spans")]
cores! {
    /// Sets whether spans are created through `tracing`: see [`InstrumentationBuilder::tracing_spans`].
    tracing_spans(tracing_spans: bool);
}

/// A setting as the value of an attribute, which clones do not copy.
fn text(config: &ClientConfig, name: &str) -> Option<StringValue> {
    setting(config, name).map(|value| Arc::<str>::from(value).into())
}
