//! The client of an instrumentation: copies for another client of the same program, and what its metrics have.

use std::sync::Arc;

use opentelemetry::metrics::Meter;
use opentelemetry::{KeyValue, StringValue};

use super::builder::Instrumentation;
use super::operation::{Client, Destination, OperationType};
use super::span::Telemetry;
use crate::Budget;

/// A program has several clients: a producer and a consumer, or one for each cluster. Their copies share the providers, the
/// instruments and all other settings.
impl Instrumentation {
    /// Returns a copy with another broker, or with none: see [`server`](super::InstrumentationBuilder::server).
    pub fn with_server(&self, server: Option<(StringValue, Option<u16>)>) -> Self {
        self.with_client(|client| client.with_server(server))
    }

    /// Returns a copy with another consumer group, or with none, as for a producer.
    pub fn with_consumer_group(&self, name: Option<StringValue>) -> Self {
        self.with_client(|client| client.with_consumer_group(name))
    }

    /// Returns a copy with another `messaging.client.id`, or with none.
    pub fn with_client_id(&self, id: Option<StringValue>) -> Self {
        self.with_client(|client| client.with_client_id(id))
    }

    /// Returns a copy with one more limit: see [`budget`](super::InstrumentationBuilder::budget).
    pub fn with_budget(&self, budget: Budget) -> Self {
        Self { budget: self.budget.and(budget), ..self.clone() }
    }

    fn with_client(&self, change: impl FnOnce(Client) -> Client) -> Self {
        let client = Arc::new(change((*self.telemetry.client).clone()));
        let telemetry = Telemetry { client, ..(*self.telemetry).clone() };
        Self { telemetry: Arc::new(telemetry), ..self.clone() }
    }
}

/// For an adapter's own metrics.
impl Instrumentation {
    /// Returns the meter of the instrumentation's scope. `None` if metrics are off.
    pub fn meter(&self) -> Option<&Meter> {
        self.telemetry.metrics.as_ref().map(|metrics| &metrics.meter)
    }

    /// Returns the attributes that all metrics have: those of the client, and of a destination.
    pub fn metric_attributes(&self, destination: &Destination) -> Vec<KeyValue> {
        let mut attributes = Vec::with_capacity(10);
        self.telemetry.client.attributes(OperationType::Process, &mut attributes);
        destination.metric_attributes(&mut attributes);
        attributes
    }
}
