//! Building a configuration.

use std::any::Any;
use std::sync::Arc;

use opentelemetry::propagation::TextMapPropagator;

use super::configuration::{BaggageFilter, Existing, Settings, Shared, Source, Trust};
use super::{Budget, Propagation};
use crate::carrier::Conflict;
use crate::propagator::{W3c, w3c};

/// Returns a predicate that allows these baggage keys only.
///
/// # Examples
///
/// ```
/// let allowed = carrier_core::allow_keys(["tenant", "region"]);
/// assert!(allowed("tenant") && !allowed("email"));
/// ```
pub fn allow_keys<K: Into<String>>(
    keys: impl IntoIterator<Item = K>,
) -> impl Fn(&str) -> bool + Send + Sync + 'static {
    let keys: Vec<String> = keys.into_iter().map(Into::into).collect();
    move |key| keys.iter().any(|allowed| allowed == key)
}

impl Propagation {
    /// Returns a configuration with the strict W3C propagator for trace context and baggage, and the defaults otherwise.
    pub fn w3c() -> Self {
        Self::builder().propagator(w3c()).build()
    }

    /// Returns a configuration that sends nothing and reads nothing: messages stay as they are, contexts are empty.
    ///
    /// Pass it to the `*_with` functions for a destination that must not carry context. To switch propagation off
    /// everywhere, install it.
    pub fn off() -> Self {
        Self::builder().propagator(W3c { trace_context: false, baggage: false }).build()
    }

    /// Returns a builder. Without a propagator, the program's is used.
    pub fn builder() -> PropagationBuilder {
        PropagationBuilder::default()
    }
}

/// Builds a [`Propagation`].
#[derive(Debug, Default)]
#[must_use = "a builder does nothing until `build`"]
pub struct PropagationBuilder {
    settings: Settings,
}

impl PropagationBuilder {
    fn with(mut self, change: impl FnOnce(&mut Settings)) -> Self {
        change(&mut self.settings);
        self
    }

    /// Uses this propagator instead of the program's.
    pub fn propagator(self, propagator: impl TextMapPropagator + Send + Sync + 'static) -> Self {
        let source = match (&propagator as &dyn Any).downcast_ref::<W3c>() {
            Some(w3c) => Source::W3c(w3c.clone()),
            None => Source::Other(Shared(Arc::new(propagator))),
        };
        self.with(|settings| settings.source = source)
    }

    /// Sets which of several different `traceparent` headers is used; the default is the carrier's.
    pub fn conflict(self, conflict: Conflict) -> Self {
        self.with(|settings| settings.conflict = Some(conflict))
    }

    /// Sets how a received context is used; the default is [`Trust::Parent`].
    pub fn trust(self, trust: Trust) -> Self {
        self.with(|settings| settings.trust = trust)
    }

    /// Sets what happens to a context that a message already has; the default is [`Existing::Replace`].
    pub fn existing(self, existing: Existing) -> Self {
        self.with(|settings| settings.existing = existing)
    }

    /// Sets how many bytes may be added to a message; the default is the transport's limit.
    pub fn budget(self, budget: Budget) -> Self {
        self.with(|settings| settings.budget = budget)
    }

    /// Sets which baggage keys are taken from messages, with any propagator.
    pub fn baggage_in(self, allowed: impl Fn(&str) -> bool + Send + Sync + 'static) -> Self {
        self.with(|settings| settings.baggage_in = Some(BaggageFilter(Box::new(allowed))))
    }

    /// Sets which baggage keys are sent with messages, with any propagator.
    pub fn baggage_out(self, allowed: impl Fn(&str) -> bool + Send + Sync + 'static) -> Self {
        self.with(|settings| settings.baggage_out = Some(BaggageFilter(Box::new(allowed))))
    }

    /// Returns the configuration.
    pub fn build(self) -> Propagation {
        Propagation(Some(Arc::new(self.settings)))
    }
}
