//! How a program is instrumented: built once, cheap to clone.

use std::fmt;
use std::sync::Arc;

use opentelemetry::metrics::{Meter, MeterProvider};
use opentelemetry::trace::{Tracer, TracerProvider};
use opentelemetry::{InstrumentationScope, KeyValue, StringValue, global};

use super::metrics::Instruments;
use super::tracer::AnyTracer;
use super::{Ambient, Relation, attribute};
use crate::Propagation;

/// The conventions that names and attributes follow.
const SCHEMA_URL: &str = "https://opentelemetry.io/schemas/1.44.0";

/// The SDK's own limit for a span.
const MAX_LINKS: usize = 128;

/// Starts spans and records metrics for messages: what the instrumentations of `carrier-amqp` and `carrier-kafka` are made
/// of, for queues that have no crate of ours.
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
/// let sending = nats.send(Destination::new("orders"), &mut headers, |details| {
///     details.set("messaging.message.body.size", 2);
/// });
/// // … and when the queue has answered:
/// sending.succeeded();
///
/// let process = nats.process(Incoming::new(Destination::new("orders")), &headers, |_| {});
/// # async fn example(process: carrier_core::instrumentation::Process) {
/// process.run(async { /* the handler */ }).await;
/// # }
/// ```
#[derive(Clone)]
pub struct Instrumentation {
    pub(super) shared: Arc<Shared>,
    pub(super) propagation: Propagation,
    pub(super) relation: Relation,
}

/// What no operation changes.
pub(super) struct Shared {
    pub(super) tracer: Box<dyn AnyTracer>,
    pub(super) instruments: Option<Instruments>,
    pub(super) system: &'static str,
    pub(super) server: Option<Server>,
    /// What names spans that are for no destination in particular: `server.address:server.port`.
    pub(super) server_name: Option<String>,
    pub(super) consumer_group: Option<KeyValue>,
    pub(super) client_id: Option<StringValue>,
    pub(super) ambient: Ambient,
    pub(super) max_links: usize,
    pub(super) settle_spans: bool,
    pub(super) skip_unsampled: bool,
}

/// The broker, as far as it is known.
#[derive(Debug)]
pub(super) struct Server {
    pub(super) address: StringValue,
    pub(super) port: Option<u16>,
}

impl Instrumentation {
    /// An instrumentation of a messaging system, `messaging.system`: a name of the conventions where there is one.
    pub fn builder(system: &'static str) -> Builder {
        Builder::new(system)
    }

    /// The same with another [`Propagation`], for a source or destination that is not like the others.
    pub fn with_propagation(&self, propagation: Propagation) -> Self {
        Self { propagation, ..self.clone() }
    }

    /// Whether metrics are recorded.
    pub fn has_metrics(&self) -> bool {
        self.shared.instruments.is_some()
    }

    /// Whether settlements have spans.
    pub fn has_settle_spans(&self) -> bool {
        self.shared.settle_spans
    }

    /// The same with another [`Relation`], for a consumer that is not like the others.
    pub fn with_relation(&self, relation: Relation) -> Self {
        Self { relation, ..self.clone() }
    }
}

impl fmt::Debug for Instrumentation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Instrumentation")
            .field("system", &self.shared.system)
            .field("server", &self.shared.server)
            .field("propagation", &self.propagation)
            .field("relation", &self.relation)
            .field("ambient", &self.shared.ambient)
            .field("max_links", &self.shared.max_links)
            .field("settle_spans", &self.shared.settle_spans)
            .field("metrics", &self.shared.instruments.is_some())
            .field("skip_unsampled", &self.shared.skip_unsampled)
            .finish_non_exhaustive()
    }
}

/// What a provider gives for a scope, which is known when all is built.
type OfScope<T> = Box<dyn FnOnce(InstrumentationScope) -> T + Send>;

/// Builds an [`Instrumentation`].
#[must_use = "a builder does nothing until `build`"]
pub struct Builder {
    system: &'static str,
    scope: InstrumentationScope,
    tracer: Option<OfScope<Box<dyn AnyTracer>>>,
    meter: Option<OfScope<Meter>>,
    propagation: Propagation,
    relation: Relation,
    ambient: Ambient,
    max_links: usize,
    settle_spans: bool,
    skip_unsampled: bool,
    metrics: bool,
    server: Option<(StringValue, Option<u16>)>,
    consumer_group: Option<StringValue>,
    client_id: Option<StringValue>,
}

impl fmt::Debug for Builder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Builder").field("system", &self.system).finish_non_exhaustive()
    }
}

impl Builder {
    fn new(system: &'static str) -> Self {
        Self {
            system,
            scope: scope(env!("CARGO_PKG_NAME"), env!("CARGO_PKG_VERSION")),
            tracer: None,
            meter: None,
            propagation: Propagation::new(),
            relation: Relation::default(),
            ambient: Ambient::default(),
            max_links: MAX_LINKS,
            settle_spans: false,
            skip_unsampled: false,
            metrics: true,
            server: None,
            consumer_group: None,
            client_id: None,
        }
    }

    /// The name and version of the instrumentation scope; the schema is that of the conventions that are followed.
    pub fn scope(self, name: &'static str, version: &'static str) -> Self {
        Self { scope: scope(name, version), ..self }
    }

    /// Where spans come from, instead of the global provider.
    ///
    /// Without this line it is the provider that is registered with [`opentelemetry::global`] when [`build`](Self::build)
    /// is called: a tracer that is taken before the provider is set never records.
    pub fn tracer_provider<P>(self, provider: P) -> Self
    where
        P: TracerProvider + Send + 'static,
        P::Tracer: Send + Sync + 'static,
        <P::Tracer as Tracer>::Span: Send + Sync + 'static,
    {
        Self { tracer: Some(Box::new(move |scope| Box::new(provider.tracer_with_scope(scope)))), ..self }
    }

    /// Where metrics go, instead of the global provider; which is taken as by [`tracer_provider`](Self::tracer_provider).
    pub fn meter_provider(self, provider: impl MeterProvider + Send + 'static) -> Self {
        Self { meter: Some(Box::new(move |scope| provider.meter_with_scope(scope))), ..self }
    }

    /// How contexts are written and read; the default follows the application.
    pub fn propagation(self, propagation: Propagation) -> Self {
        Self { propagation, ..self }
    }

    /// What the sender's span is to the span that processes its message; the default is [`Relation::Parent`].
    pub fn relation(self, relation: Relation) -> Self {
        Self { relation, ..self }
    }

    /// What the span that is current where a message is processed is to the process span; the default is
    /// [`Ambient::Link`].
    pub fn ambient(self, ambient: Ambient) -> Self {
        Self { ambient, ..self }
    }

    /// How many links the span of a batch has at most; the default is 128, which is also the SDK's.
    ///
    /// How many messages have none is said by the attribute `carrier.batch.unlinked_message_count`.
    pub fn max_links(self, max_links: usize) -> Self {
        Self { max_links, ..self }
    }

    /// Whether a settlement has a span of its own, and its duration a metric; the default is no. Experimental.
    pub fn settle_spans(self, settle_spans: bool) -> Self {
        Self { settle_spans, ..self }
    }

    /// Whether metrics are recorded; the default is yes. Whatever the sampling decides, they count every message.
    pub fn metrics(self, metrics: bool) -> Self {
        Self { metrics, ..self }
    }

    /// Whether no span is started where the parent is valid and not sampled; the default is no.
    ///
    /// For those whose sampler is parent-based, which would drop the span anyway: the sampler is not asked, and the
    /// parent's context goes on. Metrics count all the same.
    pub fn skip_unsampled(self, skip_unsampled: bool) -> Self {
        Self { skip_unsampled, ..self }
    }

    /// The broker: `server.address` and, where it is known, `server.port`.
    pub fn server(self, address: impl Into<StringValue>, port: Option<u16>) -> Self {
        Self { server: Some((address.into(), port)), ..self }
    }

    /// `messaging.consumer.group.name` of spans and metrics on the consumers' side.
    pub fn consumer_group(self, name: impl Into<StringValue>) -> Self {
        Self { consumer_group: Some(name.into()), ..self }
    }

    /// `messaging.client.id` of spans.
    pub fn client_id(self, id: impl Into<StringValue>) -> Self {
        Self { client_id: Some(id.into()), ..self }
    }

    /// The instrumentation, ready to be shared.
    pub fn build(self) -> Instrumentation {
        let tracer = match self.tracer {
            Some(tracer) => tracer(self.scope.clone()),
            None => Box::new(global::tracer_provider().tracer_with_scope(self.scope.clone())),
        };
        let instruments = self.metrics.then(|| {
            let meter = match self.meter {
                Some(meter) => meter(self.scope),
                None => global::meter_with_scope(self.scope),
            };
            Instruments::new(&meter)
        });
        let server_name = self.server.as_ref().map(|(address, port)| match port {
            Some(port) => format!("{address}:{port}"),
            None => address.to_string(),
        });
        let group = self.consumer_group.map(shared);
        Instrumentation {
            shared: Arc::new(Shared {
                tracer,
                instruments,
                system: self.system,
                server: self.server.map(|(address, port)| Server { address: shared(address), port }),
                server_name,
                consumer_group: group
                    .map(|name| KeyValue::new(attribute::MESSAGING_CONSUMER_GROUP_NAME, name)),
                client_id: self.client_id.map(shared),
                ambient: self.ambient,
                max_links: self.max_links,
                settle_spans: self.settle_spans,
                skip_unsampled: self.skip_unsampled,
            }),
            propagation: self.propagation,
            relation: self.relation,
        }
    }
}

fn scope(name: &'static str, version: &'static str) -> InstrumentationScope {
    InstrumentationScope::builder(name).with_version(version).with_schema_url(SCHEMA_URL).build()
}

/// A value that is cloned for every span, without a copy of its text.
fn shared(value: StringValue) -> StringValue {
    Arc::<str>::from(value.as_str()).into()
}
