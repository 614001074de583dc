//! The configuration of an instrumentation: built once, cheap to clone.

use std::borrow::Cow;
use std::error::Error;
use std::fmt;
use std::sync::Arc;

use opentelemetry::metrics::{Meter, MeterProvider};
use opentelemetry::trace::{Tracer, TracerProvider};
use opentelemetry::{InstrumentationScope, KeyValue, StringValue, global};

#[cfg(feature = "tracing")]
use super::event::MissingProvider;
use super::hook::{CapturedHeaders, Filter, FilteredOperation, Filters, Hook, Hooks};
use super::metrics::Metrics;
use super::operation::Client;
use super::outcome::{Cancellation, ErrorTypes};
use super::relation::{Ambient, Relation};
use super::span::{AnyTracer, Telemetry};
#[cfg(feature = "tracing-spans")]
use super::through_tracing::ThroughTracing;
use crate::{Budget, Propagation};

/// The version of the conventions for names and attributes.
const SCHEMA_URL: &str = "https://opentelemetry.io/schemas/1.44.0";

/// The SDK's limit for a span.
const MAX_LINKS: usize = 128;

/// Starts spans and records metrics for messages. The instrumentations of `carrier-amqp` and `carrier-kafka` are built on it.
///
/// # Examples
///
/// ```
/// use carrier_core::instrumentation::{Destination, Incoming, Instrumentation};
/// use std::collections::HashMap;
///
/// let nats = Instrumentation::builder("nats").build();
///
/// let mut headers = HashMap::new();
/// let sending = nats.send(|| Destination::new("orders"), &mut headers, |details| {
///     details.set("messaging.message.body.size", 2);
/// });
/// // … and when the queue has answered:
/// sending.ended(Ok(()));
///
/// let process = nats.process(Incoming::new(Destination::new("orders")), &headers, |_| {});
/// # async fn example(process: carrier_core::instrumentation::Process) {
/// process.run(async { /* the handler */ }).await;
/// # }
/// ```
///
/// A guard that is dropped at once ends its span before the message is handled, so the compiler warns:
///
/// ```compile_fail
/// #![deny(unused_must_use)]
/// # use carrier_core::instrumentation::{Destination, Incoming, Instrumentation};
/// # let nats = Instrumentation::builder("nats").build();
/// # let headers = std::collections::HashMap::<String, String>::new();
/// nats.process(Incoming::new(Destination::new("orders")), &headers, |_| {});
/// ```
#[derive(Debug, Clone)]
pub struct Instrumentation {
    pub(super) telemetry: Arc<Telemetry>,
    pub(super) propagation: Propagation,
    pub(super) budget: Budget,
    pub(super) relation: Relation,
    pub(super) ambient: Ambient,
    pub(super) max_links: usize,
    pub(super) settle_spans: bool,
    pub(super) cancellation: Cancellation,
    pub(super) errors: ErrorTypes,
    pub(super) filters: Filters,
}

impl Instrumentation {
    /// Builds an instrumentation of a messaging system, `messaging.system`. Use the conventions' name if there is one.
    pub fn builder(system: impl Into<Cow<'static, str>>) -> InstrumentationBuilder {
        InstrumentationBuilder {
            client: Client::new(match system.into() {
                Cow::Borrowed(system) => system.into(),
                Cow::Owned(system) => Arc::<str>::from(system).into(),
            }),
            scope: scope(env!("CARGO_PKG_NAME"), env!("CARGO_PKG_VERSION")),
            tracer: None,
            meter: None,
            propagation: Propagation::new(),
            budget: Budget::default(),
            relation: Relation::default(),
            ambient: Ambient::default(),
            max_links: MAX_LINKS,
            settle_spans: false,
            skip_unsampled: false,
            link_parent: false,
            cancellation: Cancellation::default(),
            errors: ErrorTypes::default(),
            filters: Filters::default(),
            hooks: Vec::new(),
            captured: Vec::new(),
            body_size: false,
            metrics: true,
            #[cfg(feature = "tracing-spans")]
            tracing_spans: false,
        }
    }

    /// Returns a copy with another [`Propagation`], for one source or destination.
    pub fn with_propagation(&self, propagation: Propagation) -> Self {
        Self { propagation, ..self.clone() }
    }

    /// Returns a copy with another [`Relation`], for one consumer.
    pub fn with_relation(&self, relation: Relation) -> Self {
        Self { relation, ..self.clone() }
    }

    /// Whether metrics are recorded.
    pub fn has_metrics(&self) -> bool {
        self.telemetry.metrics.is_some()
    }

    /// Whether settlements have spans.
    pub fn has_settle_spans(&self) -> bool {
        self.settle_spans
    }
}

/// A provider's answer for the scope, which is complete when the instrumentation is built.
type OfScope<T> = Box<dyn FnOnce(InstrumentationScope) -> T + Send>;

/// Builds an [`Instrumentation`].
#[must_use = "a builder does nothing until `build`"]
pub struct InstrumentationBuilder {
    client: Client,
    scope: InstrumentationScope,
    tracer: Option<OfScope<Arc<dyn AnyTracer>>>,
    meter: Option<OfScope<Meter>>,
    propagation: Propagation,
    budget: Budget,
    relation: Relation,
    ambient: Ambient,
    max_links: usize,
    settle_spans: bool,
    skip_unsampled: bool,
    link_parent: bool,
    cancellation: Cancellation,
    errors: ErrorTypes,
    filters: Filters,
    hooks: Vec<Box<dyn Hook>>,
    captured: Vec<Cow<'static, str>>,
    body_size: bool,
    metrics: bool,
    #[cfg(feature = "tracing-spans")]
    tracing_spans: bool,
}

impl fmt::Debug for InstrumentationBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("InstrumentationBuilder").field("client", &self.client).finish_non_exhaustive()
    }
}

impl InstrumentationBuilder {
    /// Sets the name and version of the instrumentation scope. The schema is that of the conventions.
    pub fn scope(self, name: impl Into<Cow<'static, str>>, version: impl Into<Cow<'static, str>>) -> Self {
        Self { scope: scope(name, version), ..self }
    }

    /// Sets the tracer provider. The default is the global one when [`build`](Self::build) is called.
    ///
    /// Set the global provider before: a tracer that was created earlier never records.
    pub fn tracer_provider<P>(self, provider: P) -> Self
    where
        P: TracerProvider + Send + 'static,
        P::Tracer: Send + Sync + 'static,
        <P::Tracer as Tracer>::Span: Send + Sync + 'static,
    {
        Self { tracer: Some(Box::new(move |scope| Arc::new(provider.tracer_with_scope(scope)))), ..self }
    }

    /// Sets the meter provider. The default is the global one when [`build`](Self::build) is called.
    pub fn meter_provider(self, provider: impl MeterProvider + Send + 'static) -> Self {
        Self { meter: Some(Box::new(move |scope| provider.meter_with_scope(scope))), ..self }
    }

    /// Sets how contexts are written and read. The default is the application's.
    pub fn propagation(self, propagation: Propagation) -> Self {
        Self { propagation, ..self }
    }

    /// Limits what is added to a message, in addition to the propagation's own [`Budget`]. The smallest limit counts.
    ///
    /// For a limit of the client or the broker: the size of a frame or of a message.
    pub fn budget(self, budget: Budget) -> Self {
        Self { budget: self.budget.and(budget), ..self }
    }

    /// Sets how the sender's span relates to a process span. The default is [`Relation::Parent`].
    pub fn relation(self, relation: Relation) -> Self {
        Self { relation, ..self }
    }

    /// Sets how the current span relates to a new process span. The default is [`Ambient::Link`].
    pub fn ambient(self, ambient: Ambient) -> Self {
        Self { ambient, ..self }
    }

    /// Sets the maximum number of links of a batch's span. The default is 128, the SDK's limit.
    ///
    /// The attribute `carrier.batch.unlinked_message_count` reports how many messages have no link.
    pub fn max_links(self, max_links: usize) -> Self {
        Self { max_links, ..self }
    }

    /// Sets whether a settlement has a span and a duration metric. The default is no. Experimental.
    pub fn settle_spans(self, settle_spans: bool) -> Self {
        Self { settle_spans, ..self }
    }

    /// Sets whether metrics are recorded. The default is yes. They count every message, sampled or not.
    pub fn metrics(self, metrics: bool) -> Self {
        Self { metrics, ..self }
    }

    /// Sets whether no span is started below a valid parent that is not sampled. The default is no.
    ///
    /// For programs with a parent-based sampler, which would drop the span. The sampler is not called, and the parent's
    /// context is passed on. Metrics are recorded as usual.
    pub fn skip_unsampled(self, skip_unsampled: bool) -> Self {
        Self { skip_unsampled, ..self }
    }

    /// Sets whether a span also links to the sender that is its parent. The default is no.
    ///
    /// The conventions ask for this link ("SHOULD"). But Jaeger turns a parent and a link to the same span into one
    /// FOLLOWS_FROM reference, and leaves the process span and everything below it out of the critical path. Turn it on for
    /// a back end that finds a message's consumers by their links.
    pub fn link_parent(self, link_parent: bool) -> Self {
        Self { link_parent, ..self }
    }

    /// Sets what a handler that was dropped before it was over means. The default is [`Cancellation::Error`].
    pub fn cancellation(self, cancellation: Cancellation) -> Self {
        Self { cancellation, ..self }
    }

    /// Sets whether spans are created through `tracing`. The default is no.
    ///
    /// Each operation then is a `tracing` span called `send`, `receive`, `process` or `settle`: target `carrier`, level
    /// INFO. Events and spans inside a handler belong to its `process` span, also in a task that is spawned with
    /// `in_current_span()`. A line of a log shows these fields, if the message has them:
    /// `messaging.destination.name`, `messaging.destination.partition.id`, `messaging.kafka.offset`,
    /// `messaging.rabbitmq.message.delivery_tag`, `messaging.message.id`, `messaging.batch.message_count`, and
    /// `error.type` after a failure.
    ///
    /// [`tracing-opentelemetry`](https://docs.rs/tracing-opentelemetry) exports the same spans as without this option. Name,
    /// kind, parent, links and attributes are set before a sampler is called. Without its layer, or if a filter disables the
    /// span, no span is exported. The sender's context, with its baggage, then is the handler's, and a message that is sent
    /// gets the current context. Metrics do not change.
    ///
    /// What tracing-opentelemetry does differently:
    ///
    /// - Its layer's tracer starts the spans, so provider and scope are the layer's. A receive span starts in the past, which
    ///   the layer cannot do: it starts through [`tracer_provider`](Self::tracer_provider).
    /// - The layer reads the clock when a span starts, a few microseconds after the metrics. The end is the same.
    /// - The layer adds `thread.id`, `thread.name` and `target`, unless `with_threads(false)` and `with_target(false)` are
    ///   set. `busy_ns` and `idle_ns` are missing, because a span ends before it is closed.
    /// - The other layers see the fields `otel.name` and `otel.kind`.
    /// - An event inside a handler is an event of the process span. One of level ERROR sets the span's status to error.
    /// - The layer must not be inside a `tracing_subscriber::reload` layer, where it cannot be found: the exported spans would
    ///   have another parent and few attributes.
    ///
    /// The attributes of a message are also built if its span is not sampled, because a log shows some of them. Hooks are
    /// called as for a recorded span.
    ///
    /// # Examples
    ///
    /// ```
    /// let nats = carrier_core::instrumentation::Instrumentation::builder("nats").tracing_spans(true).build();
    /// ```
    #[cfg(feature = "tracing-spans")]
    pub fn tracing_spans(self, tracing_spans: bool) -> Self {
        Self { tracing_spans, ..self }
    }

    /// Adds a hook, which adds attributes to spans. Hooks are called in the order in which they were added.
    pub fn hook(mut self, hook: impl Hook + 'static) -> Self {
        self.hooks.push(Box::new(hook));
        self
    }

    /// Records these headers on send, receive and process spans, and on the links of a batch. The default is none.
    ///
    /// The attribute is `carrier.message.header.<name in lower case>`. It is an array of strings, with a string for each copy
    /// of the header, of which there are at most 16. A string has at most 256 bytes; a longer one ends with `…`.
    ///
    /// | value | string |
    /// | --- | --- |
    /// | text, or bytes that are UTF-8 | the text |
    /// | other bytes | `0x` and lower-case hexadecimal digits |
    /// | AMQP number, boolean, timestamp | decimal digits; `true`, `false`; seconds since 1970 |
    /// | AMQP array | a string for each element |
    /// | AMQP table, null | the protocol's name of the type |
    ///
    /// Headers of the context (`traceparent`, `baggage`) are never captured, nor a value that equals a Kafka key that the
    /// key's policy hides. Headers may contain personal data: capture only what you know.
    pub fn capture_headers(mut self, names: impl IntoIterator<Item = impl Into<Cow<'static, str>>>) -> Self {
        self.captured.extend(names.into_iter().map(Into::into));
        self
    }

    /// Sets a filter, which leaves out spans and metrics of some operations. The default leaves out nothing.
    ///
    /// For queues of health checks, topics of the telemetry itself, and receive calls without a message. It is called once
    /// for each operation, before anything else.
    ///
    /// # Examples
    ///
    /// ```
    /// use carrier_core::instrumentation::{Filter, Instrumentation};
    ///
    /// let nats = Instrumentation::builder("nats").filter(|operation| {
    ///     match operation.destination.name() {
    ///         Some("health") => Filter::Skip,
    ///         _ if operation.is_empty => Filter::CarryOnly,
    ///         _ => Filter::Observe,
    ///     }
    /// });
    /// ```
    pub fn filter(self, filter: impl Fn(&FilteredOperation<'_>) -> Filter + Send + Sync + 'static) -> Self {
        Self { filters: Filters::new(filter), ..self }
    }

    /// Sets a classifier: it returns the `error.type` of a handler's error. `None` keeps the default: see [`Failure::of`].
    ///
    /// It gets the error itself, also of a boxed one. Use few different types. An error that `anyhow` has given a context is
    /// found among the sources.
    ///
    /// # Examples
    ///
    /// ```
    /// use std::error::Error;
    /// use std::iter::successors;
    /// use carrier_core::instrumentation::Instrumentation;
    ///
    /// let nats = Instrumentation::builder("nats").error_types(|error| {
    ///     let mut chain = successors(Some(error), |error| (*error).source());
    ///     let io = chain.find_map(|error| error.downcast_ref::<std::io::Error>())?;
    ///     Some(format!("io::{:?}", io.kind()).into())
    /// });
    /// ```
    ///
    /// [`Failure::of`]: super::Failure::of
    pub fn error_types(
        self,
        classifier: impl Fn(&(dyn Error + 'static)) -> Option<Cow<'static, str>> + Send + Sync + 'static,
    ) -> Self {
        Self { errors: ErrorTypes::new(classifier), ..self }
    }

    /// Sets whether spans have `messaging.message.body.size`. The default is no, because the conventions say "opt-in".
    pub fn body_size(self, body_size: bool) -> Self {
        Self { body_size, ..self }
    }

    /// Sets the broker: `server.address` and, if it is known, `server.port`.
    pub fn server(self, address: impl Into<StringValue>, port: Option<u16>) -> Self {
        Self { client: self.client.with_server(Some((address.into(), port))), ..self }
    }

    /// Sets `messaging.consumer.group.name` of a consumer's spans and metrics.
    pub fn consumer_group(self, name: impl Into<StringValue>) -> Self {
        Self { client: self.client.with_consumer_group(Some(name.into())), ..self }
    }

    /// Sets `messaging.client.id` of spans.
    pub fn client_id(self, id: impl Into<StringValue>) -> Self {
        Self { client: self.client.with_client_id(Some(id.into())), ..self }
    }

    /// Sets an attribute of all spans and metrics, with one value for this client: the name of the cluster, for instance.
    pub fn client_attribute(self, attribute: KeyValue) -> Self {
        Self { client: self.client.with_attribute(attribute), ..self }
    }

    /// Builds the instrumentation.
    pub fn build(self) -> Instrumentation {
        #[cfg(feature = "tracing")]
        let missing_provider = MissingProvider::new(self.tracer.is_none());
        let tracer = match self.tracer {
            Some(tracer) => tracer(self.scope.clone()),
            None => Arc::new(global::tracer_provider().tracer_with_scope(self.scope.clone())),
        };
        #[cfg(feature = "tracing-spans")]
        let (tracer, missing_provider) = match self.tracing_spans {
            true => (Arc::new(ThroughTracing { tracer }) as Arc<dyn AnyTracer>, MissingProvider::new(false)),
            false => (tracer, missing_provider),
        };
        let metrics = self.metrics.then(|| {
            let meter = match self.meter {
                Some(meter) => meter(self.scope),
                None => global::meter_with_scope(self.scope),
            };
            Arc::new(Metrics::new(&meter))
        });
        let mut hooks = self.hooks;
        if !self.captured.is_empty() {
            hooks.push(Box::new(CapturedHeaders::new(self.captured, &self.propagation.field_names())));
        }
        Instrumentation {
            telemetry: Arc::new(Telemetry {
                tracer,
                metrics,
                client: Arc::new(self.client),
                skip_unsampled: self.skip_unsampled,
                link_parent: self.link_parent,
                body_size: self.body_size,
                hooks: Hooks::new(hooks),
                #[cfg(feature = "tracing")]
                missing_provider,
            }),
            propagation: self.propagation,
            budget: self.budget,
            relation: self.relation,
            ambient: self.ambient,
            max_links: self.max_links,
            settle_spans: self.settle_spans,
            cancellation: self.cancellation,
            errors: self.errors,
            filters: self.filters,
        }
    }
}

fn scope(name: impl Into<Cow<'static, str>>, version: impl Into<Cow<'static, str>>) -> InstrumentationScope {
    InstrumentationScope::builder(name).with_version(version).with_schema_url(SCHEMA_URL).build()
}
