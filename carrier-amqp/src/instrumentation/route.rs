//! What RabbitMQ's exchanges, routing keys and queues are called on spans and metrics.

use std::borrow::Cow;
use std::sync::Arc;

use carrier_core::instrumentation::Destination;

/// The default exchange, where no routing key says more (RabbitMQ spans, `messaging.destination.name`).
const DEFAULT_EXCHANGE: &str = "amq.default";

/// What the broker names queues that have no name of their own, and the address of direct reply-to.
const ANONYMOUS: [&str; 2] = ["amq.gen-", "amq.rabbitmq.reply-to"];

/// The way of a message: what a function for templates is given.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Route<'a> {
    /// The exchange; empty for the default one.
    pub exchange: &'a str,
    /// The routing key; may be empty.
    pub routing_key: &'a str,
    /// The queue that it was received from; `None` where it is sent.
    pub queue: Option<&'a str>,
}

impl<'a> Route<'a> {
    pub(super) fn to(exchange: &'a str, routing_key: &'a str) -> Self {
        Self { exchange, routing_key, queue: None }
    }

    pub(super) fn from(exchange: &'a str, routing_key: &'a str, queue: &'a str) -> Self {
        Self { exchange, routing_key, queue: Some(queue) }
    }

    /// `messaging.destination.name`: what is there of `{exchange}:{routing key}:{queue}`, a routing key that is the
    /// queue's name once.
    fn name(&self) -> Cow<'a, str> {
        let queue = self.queue.filter(|queue| *queue != self.routing_key).unwrap_or_default();
        joined([self.exchange, self.routing_key, queue])
    }

    /// What has few values of it: no routing key, and no queue that the broker named.
    fn on_metrics(&self) -> Option<Cow<'a, str>> {
        match self.queue {
            Some(queue) => {
                let queue = if is_anonymous(queue) { "" } else { queue };
                Some(joined([self.exchange, queue, ""]))
                    .filter(|_| !(self.exchange.is_empty() && queue.is_empty()))
            }
            None => Some(joined([self.exchange, "", ""])),
        }
    }

    /// The queue that it ends in, where that is known: the one that it was received from, or the one that the default
    /// exchange routes to.
    pub fn end(&self) -> Option<&'a str> {
        let routed = (self.exchange.is_empty() && !self.routing_key.is_empty()).then_some(self.routing_key);
        self.queue.or(routed)
    }

    pub(super) fn destination(&self, template: Option<Cow<'static, str>>, is_measured: bool) -> Destination {
        let name = self.name();
        // Shared: it goes onto the span and onto several metrics.
        let mut destination = Destination::new(Arc::<str>::from(&*name));
        let on_metrics = if is_measured { self.on_metrics() } else { None };
        if is_measured && on_metrics.as_ref() != Some(&name) {
            destination = destination.on_metrics(on_metrics.map(|name| Arc::<str>::from(&*name)));
        }
        if self.end().is_some_and(is_anonymous) {
            destination = destination.anonymous().temporary();
        }
        match template {
            Some(template) => destination.template(template),
            None => destination,
        }
    }
}

fn is_anonymous(queue: &str) -> bool {
    ANONYMOUS.iter().any(|prefix| queue.starts_with(prefix))
}

/// The parts that are there; a copy only where there are several.
fn joined<'a>(parts: [&'a str; 3]) -> Cow<'a, str> {
    let mut there = parts.into_iter().filter(|part| !part.is_empty());
    let Some(first) = there.next() else { return DEFAULT_EXCHANGE.into() };
    there.fold(first.into(), |name: Cow<'a, str>, part| {
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
        assert_eq!(Route::to("", "orders").on_metrics().as_deref(), Some("amq.default"));
        assert_eq!(Route::from("logs", "eu.17", "work").on_metrics().as_deref(), Some("logs:work"));
        assert_eq!(Route::from("", "work", "work").on_metrics().as_deref(), Some("work"));
        assert_eq!(Route::from("logs", "eu.17", "amq.gen-x").on_metrics().as_deref(), Some("logs"));
        assert_eq!(Route::from("", "amq.gen-x", "amq.gen-x").on_metrics(), None);
    }

    #[test]
    fn only_queues_that_the_broker_named_are_anonymous() {
        let is = |route: Route<'_>| route.end().is_some_and(is_anonymous);
        assert!(is(Route::from("logs", "eu", "amq.gen-JzTY20BRgKO-HjmUJj0wLg")));
        assert!(is(Route::to("", "amq.rabbitmq.reply-to.g1h2")));
        assert!(!is(Route::to("logs", "amq.gen-x")));
        assert!(!is(Route::from("", "orders", "orders")));
    }
}
