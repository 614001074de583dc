//! Messages that are processed together.

use carrier_core::instrumentation::{Batch, Details};
use lapin::message::Delivery;

use super::message::Incoming;
use super::{AsMessage, Instrumentation, Route, message};
use crate::ExtractFrom as _;

impl Instrumentation {
    /// Starts the span of messages that are processed together: a new trace, with a link to each sender.
    ///
    /// What all messages share is on the span. What differs is on the links, of which there are at most
    /// [`max_links`](super::AmqpInstrumentationBuilder::max_links). Settle the messages as usual; their settlements are not
    /// recorded.
    pub fn process_batch<M: AsMessage>(&self, queue: &str, messages: &[M]) -> Batch {
        let exchange = common(messages, |delivery| delivery.exchange.as_str());
        let routing_key = common(messages, |delivery| delivery.routing_key.as_str());
        let destination = self.destinations.of(&Route::from(exchange, routing_key, queue));
        let messages = messages.iter().map(|message| {
            let delivery = message.as_message();
            let details = move |link: &mut Details<'_>| {
                message::describe_delivery_tag(delivery, link);
                if delivery.routing_key.as_str() != routing_key {
                    message::describe_routing_key(delivery.routing_key.as_str(), link);
                }
                message::describe_ids(&delivery.properties, link);
            };
            (delivery.reader(), Incoming { amqp: self, queue, message }, details)
        });
        self.core.process_batch(destination, messages, |span| {
            message::describe_routing_key(routing_key, span);
        })
    }
}

/// The value that all messages have; empty if they differ, or there are none.
fn common<M: AsMessage>(messages: &[M], field: for<'a> fn(&'a Delivery) -> &'a str) -> &str {
    let mut values = messages.iter().map(|message| field(message.as_message()));
    let first = values.next().unwrap_or_default();
    if values.all(|value| value == first) { first } else { "" }
}
