//! What RabbitMQ's exchanges, routing keys and queues are called on spans and metrics.

use std::borrow::Cow;

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
    fn name(&self) -> String {
        let queue = self.queue.filter(|queue| *queue != self.routing_key).unwrap_or_default();
        joined([self.exchange, self.routing_key, queue])
    }

    /// What has few values of it: no routing key, and no queue that the broker named.
    fn on_metrics(&self) -> Option<String> {
        match self.queue {
            Some(queue) => {
                let queue = if is_anonymous(queue) { "" } else { queue };
                Some(joined([self.exchange, queue, ""]))
                    .filter(|_| !(self.exchange.is_empty() && queue.is_empty()))
            }
            None => Some(joined([self.exchange, "", ""])),
        }
    }

    /// The queue that it ends in, where that is known: the default exchange routes by the queue's name.
    fn end(&self) -> &'a str {
        match (self.queue, self.exchange) {
            (Some(queue), _) => queue,
            (None, "") => self.routing_key,
            (None, _) => "",
        }
    }

    pub(super) fn destination(&self, template: Option<Cow<'static, str>>) -> Destination {
        let name = self.name();
        let on_metrics = self.on_metrics();
        let mut destination = match on_metrics {
            Some(on_metrics) if on_metrics == name => Destination::new(name),
            on_metrics => Destination::new(name).on_metrics(on_metrics),
        };
        if is_anonymous(self.end()) {
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

fn joined(parts: [&str; 3]) -> String {
    let mut name = String::with_capacity(parts.iter().map(|part| part.len() + 1).sum());
    for part in parts.into_iter().filter(|part| !part.is_empty()) {
        if !name.is_empty() {
            name.push(':');
        }
        name.push_str(part);
    }
    if name.is_empty() {
        name.push_str(DEFAULT_EXCHANGE);
    }
    name
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
        let is = |route: Route<'_>| is_anonymous(route.end());
        assert!(is(Route::from("logs", "eu", "amq.gen-JzTY20BRgKO-HjmUJj0wLg")));
        assert!(is(Route::to("", "amq.rabbitmq.reply-to.g1h2")));
        assert!(!is(Route::to("logs", "amq.gen-x")));
        assert!(!is(Route::from("", "orders", "orders")));
    }
}
