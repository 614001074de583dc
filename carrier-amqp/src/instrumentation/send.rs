//! A message that is published with a span.

use carrier_core::instrumentation::Details;
use lapin::BasicProperties;
use lapin::options::BasicPublishOptions;
use lapin::types::ShortString;
use opentelemetry::Context;

use super::{Channel, PublisherConfirm, Route, error_type, message};
use crate::PropertiesCarrier;

impl Channel {
    /// Like [`lapin::Channel::basic_publish`], with a span whose context is written into the message.
    ///
    /// The parent is the context that is current at the first poll of the future. In confirm mode, the span ends when the
    /// broker's confirmation arrives, also if the [`PublisherConfirm`] is dropped. In a transaction it ends with
    /// [`tx_commit`](Self::tx_commit) or [`tx_rollback`](Self::tx_rollback). Otherwise it ends when this returns. It fails if
    /// the broker refuses the message or returns it as unroutable, or if it cannot be published.
    ///
    /// lapin gives a returned message to another confirmation if many are in progress. A return counts only if the message
    /// carries this span, so a few unroutable messages count as delivered.
    ///
    /// # Errors
    ///
    /// lapin's.
    pub async fn basic_publish(
        &self,
        exchange: ShortString,
        routing_key: ShortString,
        options: BasicPublishOptions,
        payload: &[u8],
        properties: BasicProperties,
    ) -> lapin::Result<PublisherConfirm> {
        self.publish(exchange, routing_key, options, payload, properties, None).await
    }

    /// Publishes a message, or publishes one again whose processing failed in a context.
    pub(super) async fn publish(
        &self,
        exchange: ShortString,
        routing_key: ShortString,
        options: BasicPublishOptions,
        payload: &[u8],
        mut properties: BasicProperties,
        failed: Option<&Context>,
    ) -> lapin::Result<PublisherConfirm> {
        let amqp = &self.instrumentation;
        let route = Route::to(exchange.as_str(), routing_key.as_str());
        let outgoing =
            message::Outgoing { amqp, route, body: payload, reply_to: None, conversation_id: None };
        let carrier = &mut PropertiesCarrier(&mut properties);
        let details = |span: &mut Details<'_>| message::describe_routing_key(route.routing_key, span);
        let sending = match failed {
            None => amqp.core.send(outgoing, carrier, details),
            Some(failed) => amqp.core.send_again(outgoing, carrier, failed, details),
        };
        sending.details(|span| message::describe_ids(&properties, span));
        let is_confirmed = self.inner.status().confirm();
        let published = self.inner.basic_publish(exchange, routing_key, options, payload, properties).await;
        match published {
            Ok(confirm) if is_confirmed && sending.is_observed() => {
                Ok(PublisherConfirm::observed(confirm, sending, amqp, &self.pending))
            }
            Ok(confirm) => {
                self.pending.published(sending);
                Ok(PublisherConfirm::lapins(confirm))
            }
            Err(error) => {
                sending.ended(Err(error_type::of(&error)));
                Err(error)
            }
        }
    }
}
