//! How a program that uses lapin is instrumented.

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;

use carrier_core::Propagation;
use carrier_core::instrumentation::{self as core, Destination, Relation};
use lapin::uri::AMQPUri;

use super::{Channel, Route};

/// Spans and metrics for lapin: built once, cheap to clone, shared by tasks.
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
#[derive(Clone)]
pub struct Instrumentation(Arc<Inner>);

#[derive(Clone)]
struct Inner {
    core: core::Instrumentation,
    template: Option<Arc<Template>>,
}

type Template = dyn Fn(&Route<'_>) -> Option<Cow<'static, str>> + Send + Sync;

impl Instrumentation {
    /// An instrumentation that starts as what most programs want.
    pub fn builder() -> Builder {
        let core = core::Instrumentation::builder("rabbitmq");
        let common = core.scope(env!("CARGO_PKG_NAME"), env!("CARGO_PKG_VERSION"));
        Builder { common, template: None }
    }

    /// The same with another [`Propagation`], for a destination or source that is not like the others.
    pub fn with_propagation(&self, propagation: Propagation) -> Self {
        let core = self.0.core.with_propagation(propagation);
        Self(Arc::new(Inner { core, template: self.0.template.clone() }))
    }

    /// The same with another [`Relation`], for a consumer that is not like the others.
    pub fn with_relation(&self, relation: Relation) -> Self {
        let core = self.0.core.with_relation(relation);
        Self(Arc::new(Inner { core, template: self.0.template.clone() }))
    }

    /// A channel whose publishing and getting is instrumented, and which is lapin's own in all else.
    pub fn channel(&self, channel: lapin::Channel) -> Channel {
        Channel::new(channel, self.clone())
    }

    pub(super) fn core(&self) -> &core::Instrumentation {
        &self.0.core
    }

    pub(super) fn destination(&self, route: &Route<'_>) -> Destination {
        let template = self.0.template.as_ref().and_then(|template| template(route));
        route.destination(template, self.0.core.has_metrics())
    }
}

impl fmt::Debug for Instrumentation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Instrumentation").field(&self.0.core).finish()
    }
}

/// Builds an [`Instrumentation`].
#[must_use = "a builder does nothing until `build`"]
pub struct Builder {
    common: core::Builder,
    template: Option<Arc<Template>>,
}

impl fmt::Debug for Builder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Builder").finish_non_exhaustive()
    }
}

impl Builder {
    /// The broker that the connection goes to: `server.address` and `server.port`. Nothing else is taken from it.
    pub fn uri(self, uri: &AMQPUri) -> Self {
        let authority = &uri.authority;
        Self { common: self.common.server(authority.host.clone(), Some(authority.port)), ..self }
    }

    /// As [`uri`](Self::uri), from its text; one that is no AMQP URI says nothing of a broker, and makes no connection either.
    pub fn url(self, url: &str) -> Self {
        match url.parse() {
            Ok(uri) => self.uri(&uri),
            Err(_) => self,
        }
    }

    /// `messaging.client.id` of spans: the name of the connection, for instance.
    pub fn client_id(self, id: impl Into<String>) -> Self {
        Self { common: self.common.client_id(id.into()), ..self }
    }

    /// What routes have in common that differ in an id: `messaging.destination.template`, which then names spans and is on
    /// metrics; `None` for a route that is like no other.
    ///
    /// # Examples
    ///
    /// ```
    /// # use carrier_amqp::Instrumentation;
    /// let amqp = Instrumentation::builder()
    ///     .destination_template(|route| (route.exchange == "orders").then(|| "orders:{region}.{id}".into()))
    ///     .build();
    /// ```
    pub fn destination_template(
        self,
        template: impl Fn(&Route<'_>) -> Option<Cow<'static, str>> + Send + Sync + 'static,
    ) -> Self {
        Self { template: Some(Arc::new(template)), ..self }
    }

    carrier_core::__instrumentation_choices!();

    /// The instrumentation, ready to be shared.
    pub fn build(self) -> Instrumentation {
        Instrumentation(Arc::new(Inner { core: self.common.build(), template: self.template }))
    }
}
