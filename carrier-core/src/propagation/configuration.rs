//! The configuration of propagation, and the default that a program installs.

use std::borrow::Cow;
use std::fmt;
use std::sync::{Arc, LazyLock, OnceLock};

use opentelemetry::Context;
use opentelemetry::baggage::{Baggage, BaggageExt as _};
use opentelemetry::global::{get_text_map_propagator, set_text_map_propagator};
use opentelemetry::propagation::text_map_propagator::FieldIter;
use opentelemetry::propagation::{Extractor, Injector, TextMapPropagator};

use super::{Budget, otel_propagators};
use crate::carrier::Conflict;
use crate::propagator::W3c;

/// How contexts are injected and extracted: built once, cheap to clone, shared by tasks.
///
/// Install one when the program starts. The free functions ([`inject`](crate::inject), [`extract`](crate::extract),
/// [`inspect`](crate::inspect)) and every instrumentation without its own `Propagation` use it.
///
/// # Examples
///
/// The set-up of most programs:
///
/// ```
/// carrier_core::Propagation::w3c().install()?;
/// # Ok::<(), carrier_core::InstallError>(())
/// ```
///
/// A queue of another team: a new trace that links to theirs, and only one baggage entry is exchanged.
///
/// ```
/// use carrier_core::{Propagation, Trust, allow_keys};
///
/// let partner = Propagation::builder()
///     .propagator(carrier_core::w3c())
///     .trust(Trust::Link)
///     .baggage_in(allow_keys(["tenant"]))
///     .baggage_out(allow_keys(["tenant"]))
///     .build();
///
/// let headers = std::collections::HashMap::<String, String>::new();
/// let found = partner.inspect(&headers);
/// let (cx, links) = (found.context(), found.links());
/// ```
#[derive(Debug, Clone, Default)]
pub struct Propagation(
    /// `None` is the program's default.
    pub(super) Option<Arc<Settings>>,
);

#[derive(Debug, Default)]
pub(super) struct Settings {
    pub(super) source: Source,
    pub(super) conflict: Option<Conflict>,
    pub(super) trust: Trust,
    pub(super) existing: Existing,
    pub(super) budget: Budget,
    pub(super) baggage_in: Option<BaggageFilter>,
    pub(super) baggage_out: Option<BaggageFilter>,
}

/// The propagator of a configuration.
#[derive(Debug, Clone, Default)]
pub(super) enum Source {
    /// The program's: the installed one, else the registered one, else what `OTEL_PROPAGATORS` lists.
    #[default]
    Program,
    W3c(W3c),
    Other(Shared),
}

/// A propagator that is used, apart from its source.
#[derive(Clone, Copy)]
pub(super) enum Used<'p> {
    /// Ours: it reads and writes carriers directly.
    W3c(&'p W3c),
    /// Any other, through OpenTelemetry's interface.
    Other(&'p dyn TextMapPropagator),
}

pub(super) struct BaggageFilter(pub(super) Box<dyn Fn(&str) -> bool + Send + Sync>);

impl fmt::Debug for BaggageFilter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("BaggageFilter")
    }
}

/// The default of the program.
static INSTALLED: OnceLock<Arc<Settings>> = OnceLock::new();

/// The default of a program that installed none.
static FALLBACK: LazyLock<Settings> = LazyLock::new(Settings::default);

/// How a received context is used.
///
/// This is decided first, when the context is read. With `Link` or `Ignore` no parent is left for
/// `Relation` of the instrumentation to choose.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum Trust {
    /// As the parent: the sender's trace continues. For your own system.
    #[default]
    Parent,
    /// As a link: the context has no span, and [`Extraction::links`](crate::Extraction::links) has the sender's. Baggage
    /// stays. For messages of another team.
    ///
    /// The new trace is sampled by your own sampler, which may drop what the sender kept and vice versa.
    Link,
    /// Not at all: neither the span nor baggage. For unknown senders.
    Ignore,
}

/// What happens to a context that a message already has before an injection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum Existing {
    /// It is replaced, and reported for a link.
    #[default]
    Replace,
    /// A valid one is kept and nothing is written: for an outbox, a forwarder, or a replay of dead letters. One that is not
    /// valid is replaced.
    Keep,
    /// If any field of the propagator is present, valid or not, the message is left as it is.
    LeaveAlone,
}

impl Propagation {
    /// Returns the program's default, which is looked up at each use.
    ///
    /// That is the [installed](Self::install) one. Without it, the propagator that is registered with
    /// [`opentelemetry::global`] is used if it has fields; otherwise what `OTEL_PROPAGATORS` lists; and without that
    /// variable W3C trace context alone.
    pub fn new() -> Self {
        Self(None)
    }

    /// Installs this configuration as the program's default.
    ///
    /// Call it once, when the program starts. The same call registers the propagator with [`opentelemetry::global`], so
    /// that HTTP clients and servers use it too. If this configuration has no propagator, nothing is registered, and the
    /// registered one stays in use.
    ///
    /// A propagator that is registered with OpenTelemetry afterwards does not change what this crate uses: the installed
    /// one still counts here, and the registered one in other libraries. Do not call it inside
    /// [`get_text_map_propagator`]: OpenTelemetry's lock does not allow that.
    ///
    /// # Errors
    ///
    /// [`InstallError`] if a configuration is already installed. The first one stays, and nothing is registered.
    ///
    /// # Examples
    ///
    /// ```
    /// use carrier_core::{Budget, Propagation, w3c};
    ///
    /// let propagation = Propagation::builder().propagator(w3c()).budget(Budget::bytes(1_024)).build();
    /// propagation.install()?;
    /// assert!(Propagation::w3c().install().is_err());
    /// # Ok::<(), carrier_core::InstallError>(())
    /// ```
    pub fn install(self) -> Result<(), InstallError> {
        let settings = self.0.clone().unwrap_or_default();
        let source = settings.source.clone();
        INSTALLED.set(settings).map_err(|_| InstallError(self))?;
        match source {
            Source::Program => {}
            Source::W3c(w3c) => set_text_map_propagator(w3c),
            Source::Other(shared) => set_text_map_propagator(shared),
        }
        Ok(())
    }

    /// Returns the settings in use.
    #[inline]
    pub(super) fn settings(&self) -> &Settings {
        match &self.0 {
            Some(settings) => settings,
            None => match INSTALLED.get() {
                Some(installed) => installed,
                None => &FALLBACK,
            },
        }
    }

    /// Calls `then` with the propagator in use.
    #[inline]
    pub(super) fn with_propagator<T>(&self, mut then: impl FnMut(&Settings, Used<'_>) -> T) -> T {
        let settings = self.settings();
        let source = match &settings.source {
            Source::Program => INSTALLED.get().map_or(&Source::Program, |installed| &installed.source),
            own => own,
        };
        match source {
            Source::W3c(w3c) => then(settings, Used::W3c(w3c)),
            Source::Other(shared) => then(settings, Used::Other(&*shared.0)),
            Source::Program => {
                let registered = get_text_map_propagator(|propagator| {
                    // A no-op propagator cannot be told from none: both have no fields.
                    let is_registered = propagator.fields().next().is_some();
                    is_registered.then(|| then(settings, Used::Other(propagator)))
                });
                registered.unwrap_or_else(|| then(settings, Used::W3c(otel_propagators::propagator())))
            }
        }
    }
}

/// Returns the context with the allowed baggage, and the number of members that are not allowed.
#[inline]
pub(super) fn filtered<'a>(cx: &'a Context, allowed: Option<&BaggageFilter>) -> (Cow<'a, Context>, usize) {
    let Some(allowed) = allowed else { return (Cow::Borrowed(cx), 0) };
    let baggage = cx.baggage();
    let kept = baggage.iter().filter(|(key, _)| (allowed.0)(key.as_str()));
    let kept: Baggage = kept.map(|(key, value)| (key.clone(), value.clone())).collect();
    match baggage.len() - kept.len() {
        0 => (Cow::Borrowed(cx), 0),
        dropped => (Cow::Owned(cx.with_baggage(kept)), dropped),
    }
}

/// A [`Propagation`] could not be installed, since another one already is.
#[derive(Debug, Clone)]
pub struct InstallError(Propagation);

impl InstallError {
    /// Returns the configuration that was not installed.
    pub fn into_propagation(self) -> Propagation {
        self.0
    }
}

impl fmt::Display for InstallError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "cannot install {:?}: a default is already installed", self.0)
    }
}

impl std::error::Error for InstallError {}

/// A propagator that this crate and OpenTelemetry's `global` share.
#[derive(Debug, Clone)]
pub(super) struct Shared(pub(super) Arc<dyn TextMapPropagator + Send + Sync>);

impl TextMapPropagator for Shared {
    fn inject_context(&self, cx: &Context, injector: &mut dyn Injector) {
        self.0.inject_context(cx, injector);
    }

    fn extract_with_context(&self, cx: &Context, extractor: &dyn Extractor) -> Context {
        self.0.extract_with_context(cx, extractor)
    }

    fn fields(&self) -> FieldIter<'_> {
        self.0.fields()
    }
}
