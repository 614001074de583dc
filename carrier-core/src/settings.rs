//! The configuration of propagation.

use std::any::Any;
use std::fmt;
use std::sync::{Arc, LazyLock};

use opentelemetry::propagation::TextMapPropagator;

use crate::{Budget, Conflict, W3c};

/// How contexts are injected and extracted: built once, cheap to clone, shared by tasks.
///
/// The free functions ([`inject`](crate::inject), [`extract`](crate::extract), [`inspect`](crate::inspect)) are
/// `Propagation::default()`. Where messages come from or go to another team, give that source or destination one of its own.
///
/// # Examples
///
/// ```
/// use carrier_core::{Propagation, Trust, allow};
///
/// // Another team's queue: a trace of our own that links to theirs, and of our baggage only the tenant leaves.
/// let partner = Propagation::builder()
///     .propagator(carrier_core::w3c())
///     .trust(Trust::Link)
///     .baggage_in(allow(["tenant"]))
///     .baggage_out(allow(["tenant"]))
///     .build();
///
/// let headers = std::collections::HashMap::<String, String>::new();
/// let found = partner.inspect(&headers);
/// let (cx, links) = (found.context(), found.links());
/// ```
#[derive(Clone)]
pub struct Propagation(pub(crate) Arc<Settings>);

pub(crate) struct Settings {
    pub(crate) source: Source,
    pub(crate) conflict: Option<Conflict>,
    pub(crate) trust: Trust,
    pub(crate) existing: Existing,
    pub(crate) budget: Budget,
    pub(crate) baggage_in: Option<BaggageFilter>,
    pub(crate) baggage_out: Option<BaggageFilter>,
}

/// Where the propagator comes from.
pub(crate) enum Source {
    /// Registered by the application, or its default.
    Application,
    Own(Box<dyn TextMapPropagator + Send + Sync>),
    /// Our own, which need not be asked through OpenTelemetry's interface.
    W3c(W3c),
    Off,
}

pub(crate) type BaggageFilter = Box<dyn Fn(&str) -> bool + Send + Sync>;

/// What an extracted context is to the program that reads it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum Trust {
    /// The parent: the sender's trace goes on. For one's own system.
    #[default]
    Parent,
    /// A link: the context has no span, and the sender's is in [`Extraction::links`](crate::Extraction::links). Baggage
    /// stays. For another team's messages.
    ///
    /// A trace of one's own is sampled by one's own sampler, which may drop what the sender kept and the other way round:
    /// head samplers see links only if they look, and tail samplers decide for each trace alone. A sampler that follows
    /// the link's decision is shown in the README.
    Link,
    /// Nothing: neither the span nor baggage. For strangers.
    Ignore,
}

/// What happens to a context that is in a message before one is injected.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum Existing {
    /// It is replaced, and reported for a link.
    #[default]
    Replace,
    /// Where it is valid it stays as it is and nothing is written: an outbox, a forwarder, a replay from a dead-letter
    /// queue. Where it is not, it is replaced.
    Keep,
    /// Where any field of the propagator is there, valid or not, the message is left as it is.
    LeaveAlone,
}

/// A predicate on baggage keys that allows these and no others.
///
/// # Examples
///
/// ```
/// let allowed = carrier_core::allow(["tenant", "region"]);
/// assert!(allowed("tenant") && !allowed("email"));
/// ```
pub fn allow<K: Into<String>>(
    keys: impl IntoIterator<Item = K>,
) -> impl Fn(&str) -> bool + Send + Sync + 'static {
    let keys: Vec<String> = keys.into_iter().map(Into::into).collect();
    move |key| keys.iter().any(|allowed| allowed == key)
}

impl Propagation {
    /// What the application does: see [`inject`](crate::inject).
    pub fn new() -> Self {
        Self::application().clone()
    }

    /// The one that the free functions use.
    pub(crate) fn application() -> &'static Self {
        static APPLICATION: LazyLock<Propagation> = LazyLock::new(|| Propagation::builder().build());
        &APPLICATION
    }

    /// Sends nothing and reads nothing: messages stay as they are, contexts are empty.
    ///
    /// For the messages of one destination that must not get headers, given to the functions that take a `Propagation`; for
    /// all messages of a program, given to every one of them, or with `OTEL_PROPAGATORS=none` where no propagator is
    /// registered: the functions that take none follow the application.
    pub fn off() -> Self {
        Builder { source: Source::Off, ..Builder::new() }.build()
    }

    /// A configuration that starts as what the application does.
    pub fn builder() -> Builder {
        Builder::new()
    }
}

impl Default for Propagation {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for Propagation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Settings { source, conflict, trust, existing, budget, baggage_in, baggage_out } = &*self.0;
        let source: &dyn fmt::Debug = match source {
            Source::Application => &"the application's",
            Source::Own(propagator) => propagator,
            Source::W3c(w3c) => w3c,
            Source::Off => &"off",
        };
        f.debug_struct("Propagation")
            .field("propagator", source)
            .field("conflict", conflict)
            .field("trust", trust)
            .field("existing", existing)
            .field("budget", budget)
            .field("baggage_in", &baggage_in.is_some())
            .field("baggage_out", &baggage_out.is_some())
            .finish()
    }
}

/// Builds a [`Propagation`].
#[must_use = "a builder does nothing until `build`"]
pub struct Builder {
    source: Source,
    conflict: Option<Conflict>,
    trust: Trust,
    existing: Existing,
    budget: Budget,
    baggage_in: Option<BaggageFilter>,
    baggage_out: Option<BaggageFilter>,
}

impl fmt::Debug for Builder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Builder").finish_non_exhaustive()
    }
}

impl Builder {
    fn new() -> Self {
        Self {
            source: Source::Application,
            conflict: None,
            trust: Trust::default(),
            existing: Existing::default(),
            budget: Budget::default(),
            baggage_in: None,
            baggage_out: None,
        }
    }

    /// Uses this propagator instead of the application's.
    pub fn propagator(self, propagator: impl TextMapPropagator + Send + Sync + 'static) -> Self {
        let source = match (&propagator as &dyn Any).downcast_ref::<W3c>() {
            Some(w3c) => Source::W3c(w3c.clone()),
            None => Source::Own(Box::new(propagator)),
        };
        Self { source, ..self }
    }

    /// Which of several different `traceparent`s is used, instead of the carrier's default.
    pub fn conflict(self, conflict: Conflict) -> Self {
        Self { conflict: Some(conflict), ..self }
    }

    /// What an extracted context is to this program; the default is [`Trust::Parent`].
    pub fn trust(self, trust: Trust) -> Self {
        Self { trust, ..self }
    }

    /// What happens to a context that is in a message already; the default is [`Existing::Replace`].
    pub fn existing(self, existing: Existing) -> Self {
        Self { existing, ..self }
    }

    /// What may be added to one message.
    pub fn budget(self, budget: Budget) -> Self {
        Self { budget, ..self }
    }

    /// Which baggage is taken over from messages, by its key. Works on the context and so with any propagator.
    pub fn baggage_in(self, allowed: impl Fn(&str) -> bool + Send + Sync + 'static) -> Self {
        Self { baggage_in: Some(Box::new(allowed)), ..self }
    }

    /// Which baggage leaves with messages, by its key. Works on the context and so with any propagator.
    pub fn baggage_out(self, allowed: impl Fn(&str) -> bool + Send + Sync + 'static) -> Self {
        Self { baggage_out: Some(Box::new(allowed)), ..self }
    }

    /// The configuration, ready to be shared.
    pub fn build(self) -> Propagation {
        let Self { source, conflict, trust, existing, budget, baggage_in, baggage_out } = self;
        Propagation(Arc::new(Settings { source, conflict, trust, existing, budget, baggage_in, baggage_out }))
    }
}
