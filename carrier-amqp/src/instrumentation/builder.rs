//! The configuration of an instrumentation: built once, cheap to clone.

use std::borrow::Cow;
use std::error::Error;
use std::fmt;
use std::io;
use std::sync::Arc;

use carrier_core::instrumentation::{
    self as core, Ambient, Cancellation, Filter, FilteredOperation, Hook, InstrumentationBuilder, Relation,
};
use carrier_core::{Budget, Propagation};
use lapin::uri::AMQPUri;
use lapin::{Connection, ErrorKind};
use opentelemetry::StringValue;
use opentelemetry::metrics::MeterProvider;
use opentelemetry::trace::{Tracer, TracerProvider};

use super::destination::{Destinations, Route};
use crate::frame_budget;
use crate::size::COMMON_FRAME_MAX;

/// Starts spans and records metrics for lapin's channels, and for messages that are processed.
///
/// It is built once and is cheap to clone. All clones share one configuration.
///
/// # Examples
///
/// ```no_run
/// use carrier_amqp::Instrumentation;
/// use carrier_amqp::lapin::{self, uri::AMQPUri};
/// use futures::StreamExt;
///
/// async fn run(uri: AMQPUri, connection: lapin::Connection) -> lapin::Result<()> {
///     let amqp = Instrumentation::builder().uri(&uri).build();
///     let channel = amqp.channel(connection.create_channel().await?);
///     channel
///         .basic_publish("".into(), "orders".into(), Default::default(), b"17", Default::default())
///         .await?
///         .await?;
///
///     let mut orders =
///         channel.basic_consume("orders".into(), "".into(), Default::default(), Default::default()).await?;
///     while let Some(delivery) = orders.next().await.transpose()? {
///         let delivery = amqp.process("orders", delivery);
///         delivery.run(async { delivery.ack(Default::default()).await }).await?;
///     }
///     Ok(())
/// }
/// ```
#[derive(Debug, Clone)]
pub struct Instrumentation {
    pub(super) core: core::Instrumentation,
    pub(super) destinations: Destinations,
}

impl Instrumentation {
    /// Builds an instrumentation.
    pub fn builder() -> AmqpInstrumentationBuilder {
        let core = core::Instrumentation::builder("rabbitmq");
        AmqpInstrumentationBuilder {
            core: core.scope(env!("CARGO_PKG_NAME"), env!("CARGO_PKG_VERSION")),
            destinations: Destinations::default(),
        }
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
pub struct AmqpInstrumentationBuilder {
    core: InstrumentationBuilder,
    destinations: Destinations,
}

impl AmqpInstrumentationBuilder {
    /// Sets the broker of a connection: `server.address` and `server.port`. A `frame_max` in the URI limits what is added to
    /// a message.
    pub fn uri(self, uri: &AMQPUri) -> Self {
        let authority = &uri.authority;
        let server = self.core.server(authority.host.clone(), Some(authority.port));
        let core = match uri_budget(uri.query.frame_max) {
            Some(budget) => server.budget(budget),
            None => server,
        };
        Self { core, ..self }
    }

    /// Like [`uri`](Self::uri), from the URI's text.
    ///
    /// # Errors
    ///
    /// If the text is not an AMQP URI. The error becomes a [`lapin::Error`] with `?`.
    pub fn url(self, url: &str) -> Result<Self, InvalidUrl> {
        let uri = url.parse().map_err(|_| InvalidUrl::new(url))?;
        Ok(self.uri(&uri))
    }

    /// Limits what is added to a message to the frame that this connection has negotiated: see
    /// [`frame_budget`].
    ///
    /// Without it, the limit is the smaller of the URI's `frame_max` and the common 131,072 bytes. Call it for each connection
    /// if an instrumentation has several; the smallest frame counts.
    ///
    /// # Examples
    ///
    /// ```no_run
    /// # fn example(connection: lapin::Connection) {
    /// let amqp = carrier_amqp::Instrumentation::builder().connection(&connection).build();
    /// # }
    /// ```
    pub fn connection(self, connection: &Connection) -> Self {
        self.budget(frame_budget(connection.configuration().frame_max()))
    }

    /// Sets a function that returns the pattern of a destination with many names: `messaging.destination.template`.
    ///
    /// The template names spans and is on metrics. The function is called for every message; a borrowed result costs less.
    /// `None` is a destination without a pattern.
    ///
    /// # Examples
    ///
    /// ```
    /// let amqp = carrier_amqp::Instrumentation::builder()
    ///     .destination_template(|route| (route.exchange == "orders").then(|| "orders:{region}.{id}".into()))
    ///     .build();
    /// ```
    pub fn destination_template(
        mut self,
        template: impl Fn(&Route<'_>) -> Option<Cow<'static, str>> + Send + Sync + 'static,
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
        let core = self.core.build();
        let destinations = Destinations { has_metrics: core.has_metrics(), ..self.destinations };
        Instrumentation { core, destinations }
    }
}

/// Defines methods that call core's method of the same name.
macro_rules! cores {
    ($($(#[$doc:meta])* $name:ident($argument:ident: $type:ty);)*) => {
        impl AmqpInstrumentationBuilder {$(
            $(#[$doc])*
            pub fn $name(self, $argument: $type) -> Self {
                Self { core: self.core.$name($argument), ..self }
            }
        )*}
    };
}

cores! {
    /// Limits what is added to a message: see [`InstrumentationBuilder::budget`]. Use it with [`frame_budget`] if a
    /// consumer's connection has a smaller frame.
    budget(budget: Budget);
    /// Sets `messaging.client.id` of spans: for example, the name of the connection.
    client_id(id: impl Into<StringValue>);
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

/// The budget of a `frame_max` that the client asks for. The broker may choose a smaller frame, so it only lowers the limit.
fn uri_budget(frame_max: Option<u32>) -> Option<Budget> {
    let is_smaller = |max: &u32| usize::try_from(*max).is_ok_and(|max| max != 0 && max < COMMON_FRAME_MAX);
    frame_max.filter(is_smaller).map(frame_budget)
}

/// The error of [`AmqpInstrumentationBuilder::url`]. It contains the text without credentials and parameters.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InvalidUrl {
    url: String,
}

impl InvalidUrl {
    fn new(url: &str) -> Self {
        let (scheme, rest) = url.find("://").map_or(("", url), |at| url.split_at(at + 3));
        let (credentials, rest) = rest.rsplit_once('@').map_or(("", rest), |(_, rest)| ("…@", rest));
        let rest = rest.split(['?', '#']).next().unwrap_or_default();
        // Without a host, the user and the password are in the place of host and port.
        let port = rest.split_once(':').map(|(_, port)| port.split('/').next().unwrap_or_default());
        let is_port = port.is_none_or(|port| port.bytes().all(|byte| byte.is_ascii_digit()));
        let host = if is_port { rest } else { rest.split(':').next().unwrap_or_default() };
        let end = if host.len() < rest.len() { ":…" } else { "" };
        Self { url: format!("{scheme}{credentials}{host}{end}") }
    }
}

impl fmt::Display for InvalidUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{}` is not an AMQP URI", self.url)
    }
}

impl Error for InvalidUrl {}

impl From<InvalidUrl> for lapin::Error {
    fn from(error: InvalidUrl) -> Self {
        ErrorKind::IOError(Arc::new(io::Error::new(io::ErrorKind::InvalidInput, error))).into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_frame_max_of_a_url_is_a_limit_unless_the_broker_may_choose_a_smaller_one() {
        assert_eq!(uri_budget(Some(8_192)), Some(frame_budget(8_192)));
        // 0 is no limit, and a larger frame than the common one needs the broker's consent.
        for frame_max in [None, Some(0), Some(131_072), Some(1_000_000)] {
            assert_eq!(uri_budget(frame_max), None, "{frame_max:?}");
        }
    }

    #[test]
    fn an_amqp_url_is_the_server() {
        let builder = Instrumentation::builder().url("amqps://user:pw@broker:5671/vhost").unwrap();
        let shown = format!("{:?}", builder.build());
        assert!(shown.contains("broker") && shown.contains("5671") && !shown.contains("pw"), "{shown}");
    }

    fn error(url: &str) -> String {
        Instrumentation::builder().url(url).unwrap_err().to_string()
    }

    #[test]
    fn a_url_that_is_none_is_named_in_the_error() {
        assert_eq!(error("nonsense"), "`nonsense` is not an AMQP URI");
        assert_eq!(error("http://u:p@broker:5672/v"), "`http://…@broker:5672/v` is not an AMQP URI");
        let error = lapin::Error::from(Instrumentation::builder().url("nonsense").unwrap_err());
        assert!(error.to_string().contains("`nonsense` is not an AMQP URI"), "{error}");
    }

    #[test]
    fn an_error_contains_no_credentials() {
        for url in [
            "http://user:s3cret@broker",
            "amqp:user:s3cret@broker",
            "user:s3cret@broker/vhost",
            "amqp://user:s3cret@broker:port",
            "amqp://user:p@s3cret@broker:99999",
            "http://broker?password=s3cret",
            "amqp://user:s3cret",
            "amqp://user:s3cret/vhost",
            "amqp://user:a?s3cret@broker:port",
            "amqp://user:a#s3cret@broker:port",
        ] {
            let error = error(url);
            assert!(!error.contains("s3cret") && error.contains("is not an AMQP URI"), "{error}");
        }
    }
}
