//! A request whose reply the program waits for.

use carrier_core::instrumentation::{Call, attribute};
use lapin::BasicProperties;
use lapin::types::ShortString;

use super::message::{Outgoing, describe_routing_key};
use super::{Instrumentation, Route};
use crate::PropertiesCarrier;

impl Instrumentation {
    /// Starts the span of a call: of a request and the wait for its reply. Its context is written into the properties.
    ///
    /// The reply's destination and the correlation id are those of the properties. Publish the request inside
    /// [`Call::run`], with lapin's channel: the responder's process span is then a child of this span. With a
    /// [`Channel`](super::Channel) there is a send span between the two.
    ///
    /// # Examples
    ///
    /// ```no_run
    /// use std::time::Duration;
    /// use carrier_amqp::Instrumentation;
    /// use carrier_amqp::lapin::{BasicProperties, Channel, Consumer};
    /// use futures::StreamExt;
    ///
    /// type Result<T> = std::result::Result<T, Box<dyn std::error::Error + Send + Sync>>;
    ///
    /// /// `replies` consumes `amq.rabbitmq.reply-to` on the same channel.
    /// async fn price(amqp: &Instrumentation, channel: &Channel, replies: &mut Consumer) -> Result<Vec<u8>> {
    ///     let mut properties = BasicProperties::default()
    ///         .with_reply_to("amq.rabbitmq.reply-to".into())
    ///         .with_correlation_id("17".into());
    ///     let call = amqp.call("", "prices", b"chair", &mut properties);
    ///     call.run(async {
    ///         channel.basic_publish("".into(), "prices".into(), Default::default(), b"chair", properties).await?;
    ///         let reply = tokio::time::timeout(Duration::from_secs(5), replies.next()).await?;
    ///         Ok(reply.ok_or("the consumer was cancelled")??.data)
    ///     })
    ///     .await
    /// }
    /// ```
    pub fn call(
        &self,
        exchange: &str,
        routing_key: &str,
        payload: &[u8],
        properties: &mut BasicProperties,
    ) -> Call {
        let [reply_to, conversation_id, message_id] =
            [properties.reply_to(), properties.correlation_id(), properties.message_id()].map(Clone::clone);
        let outgoing = Outgoing {
            amqp: self,
            route: Route::to(exchange, routing_key),
            body: payload,
            reply_to: reply_to.as_ref().map(ShortString::as_str),
            conversation_id: conversation_id.as_ref().map(ShortString::as_str),
        };
        self.core.call(outgoing, &mut PropertiesCarrier(properties), |span| {
            describe_routing_key(routing_key, span);
            if let Some(id) = message_id {
                span.set(attribute::MESSAGING_MESSAGE_ID, id.as_str().to_owned());
            }
        })
    }
}
