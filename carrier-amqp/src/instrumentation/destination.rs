//! Names of RabbitMQ's exchanges, routing keys and queues on spans and metrics.

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;

use carrier_core::instrumentation::Destination;

use super::generated::is_generated;

/// The name of the default exchange if there is no routing key (RabbitMQ spans, `messaging.destination.name`).
const DEFAULT_EXCHANGE: &str = "amq.default";

/// The function given to `destination_template`.
type Template = Arc<dyn Fn(&Route<'_>) -> Option<Cow<'static, str>> + Send + Sync>;

/// Names destinations.
#[derive(Clone, Default)]
pub(super) struct Destinations {
    pub(super) template: Option<Template>,
    pub(super) has_metrics: bool,
}

impl fmt::Debug for Destinations {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Destinations").field("template", &self.template.is_some()).finish_non_exhaustive()
    }
}

impl Destinations {
    pub(super) fn of(&self, route: &Route<'_>) -> Destination {
        let name = route.name();
        // Shared, because the span and several metrics have it.
        let mut destination = Destination::new(Arc::<str>::from(&*name));
        if self.has_metrics {
            let on_metrics = route.on_metrics();
            if on_metrics.as_ref() != Some(&name) {
                destination = destination.on_metrics(on_metrics.map(|name| Arc::<str>::from(&*name)));
            }
        }
        if route.end().is_some_and(is_generated) {
            destination = destination.anonymous().temporary();
        }
        match self.template.as_ref().and_then(|template| template(route)) {
            Some(template) => destination.template(template),
            None => destination,
        }
    }
}

/// The route of a message: the argument of a function for templates.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Route<'a> {
    /// The exchange; empty for the default exchange.
    pub exchange: &'a str,
    /// The routing key; may be empty.
    pub routing_key: &'a str,
    /// The queue of a received message; `None` for a message that is sent.
    pub queue: Option<&'a str>,
}

impl<'a> Route<'a> {
    pub(super) fn to(exchange: &'a str, routing_key: &'a str) -> Self {
        Self { exchange, routing_key, queue: None }
    }

    pub(super) fn from(exchange: &'a str, routing_key: &'a str, queue: &'a str) -> Self {
        Self { exchange, routing_key, queue: Some(queue) }
    }

    /// `messaging.destination.name`: `{exchange}:{routing key}:{queue}` without the empty parts. A routing key that is the
    /// queue's name appears once.
    fn name(&self) -> Cow<'a, str> {
        let queue = self.queue.filter(|queue| *queue != self.routing_key).unwrap_or_default();
        join([self.exchange, self.routing_key, queue])
    }

    /// The parts with few values: the exchange and the queue, unless its name is generated. On the default exchange the
    /// routing key is the queue's name.
    fn on_metrics(&self) -> Option<Cow<'a, str>> {
        let queue = self.end().filter(|queue| !is_generated(queue)).unwrap_or_default();
        let is_received = self.queue.is_some();
        let is_empty = self.exchange.is_empty() && queue.is_empty();
        (!is_received || !is_empty).then(|| join([self.exchange, queue, ""]))
    }

    /// The queue at the end of the route, if it is known: the one that the message was received from, or the one that the
    /// default exchange routes to.
    pub fn end(&self) -> Option<&'a str> {
        let routed = (self.exchange.is_empty() && !self.routing_key.is_empty()).then_some(self.routing_key);
        self.queue.or(routed)
    }
}

/// Joins the parts that are not empty. Copies only if there are several.
fn join<'a>(parts: [&'a str; 3]) -> Cow<'a, str> {
    let mut parts = parts.into_iter().filter(|part| !part.is_empty());
    let Some(first) = parts.next() else { return DEFAULT_EXCHANGE.into() };
    parts.fold(first.into(), |name: Cow<'a, str>, part| {
        let mut name = name.into_owned();
        name.reserve(1 + part.len());
        name.push(':');
        name.push_str(part);
        name.into()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_producers_destination_is_the_exchange_and_the_routing_key_as_far_as_they_are_there() {
        let name = |exchange, key| Route::to(exchange, key).name();
        assert_eq!(name("logs", "warning"), "logs:warning");
        assert_eq!(name("logs", ""), "logs");
        assert_eq!(name("", "orders"), "orders");
        assert_eq!(name("", ""), "amq.default");
    }

    #[test]
    fn a_consumers_destination_has_the_queue_and_says_nothing_twice() {
        let name = |exchange, key, queue| Route::from(exchange, key, queue).name();
        assert_eq!(name("logs", "warning", "work"), "logs:warning:work");
        assert_eq!(name("", "orders", "orders"), "orders");
        assert_eq!(name("logs", "work", "work"), "logs:work");
        assert_eq!(name("logs", "", "work"), "logs:work");
        assert_eq!(name("", "", "work"), "work");
    }

    #[test]
    fn metrics_have_no_routing_key_and_no_name_that_the_broker_made_up() {
        assert_eq!(Route::to("logs", "eu.17").on_metrics().as_deref(), Some("logs"));
        assert_eq!(Route::to("", "").on_metrics().as_deref(), Some("amq.default"));
        assert_eq!(Route::from("logs", "eu.17", "work").on_metrics().as_deref(), Some("logs:work"));
        assert_eq!(Route::from("", "work", "work").on_metrics().as_deref(), Some("work"));
        assert_eq!(Route::from("logs", "eu.17", "amq.gen-x").on_metrics().as_deref(), Some("logs"));
        assert_eq!(Route::from("", "amq.gen-x", "amq.gen-x").on_metrics(), None);
    }

    #[test]
    fn on_the_default_exchange_the_producers_metrics_have_the_consumers_name() {
        assert_eq!(Route::to("", "orders").on_metrics(), Route::from("", "orders", "orders").on_metrics());
        assert_eq!(Route::to("", "orders").on_metrics().as_deref(), Some("orders"));
        for generated in ["amq.gen-x", "amq.rabbitmq.reply-to.g1h2", "spring.gen-x"] {
            assert_eq!(Route::to("", generated).on_metrics().as_deref(), Some("amq.default"), "{generated}");
        }
    }

    #[test]
    fn only_queues_with_a_generated_name_are_anonymous() {
        let is = |route: Route<'_>| route.end().is_some_and(is_generated);
        assert!(is(Route::from("logs", "eu", "amq.gen-JzTY20BRgKO-HjmUJj0wLg")));
        assert!(is(Route::to("", "amq.rabbitmq.reply-to.g1h2")));
        assert!(!is(Route::to("logs", "amq.gen-x")));
        assert!(!is(Route::from("", "orders", "orders")));
    }
}
