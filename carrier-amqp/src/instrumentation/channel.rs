//! A channel whose publishing and getting has spans.

use std::ops::Deref;

use carrier_core::instrumentation::{Beginning, Details, attribute};
use lapin::BasicProperties;
use lapin::message::BasicGetMessage;
use lapin::options::{BasicGetOptions, BasicPublishOptions};
use lapin::types::ShortString;

use super::{Instrumentation, PublisherConfirm, Route, failure, message};
use crate::{ExtractFrom as _, PropertiesCarrier};

/// A lapin channel that starts a span for each message that it publishes or gets; in all else lapin's own.
///
/// [`Instrumentation::channel`] makes it.
#[derive(Debug, Clone)]
pub struct Channel {
    channel: lapin::Channel,
    instrumentation: Instrumentation,
}

impl Channel {
    pub(super) fn new(channel: lapin::Channel, instrumentation: Instrumentation) -> Self {
        Self { channel, instrumentation }
    }

    /// Publishes a message that carries the context of its own span.
    ///
    /// As [`lapin::Channel::basic_publish`]. The parent is the context that is current when the future is first polled. The
    /// span ends with the broker's confirmation where the channel is in confirm mode and somebody waits for it, and
    /// otherwise when this returns; it fails where the message is refused, comes back as unroutable, or cannot be
    /// published.
    ///
    /// lapin hands returned messages to other confirmations when many are under way: a return counts only where the message
    /// carries this span, so a few unroutable ones count as delivered.
    ///
    /// # Errors
    ///
    /// lapin's own.
    pub async fn basic_publish(
        &self,
        exchange: ShortString,
        routing_key: ShortString,
        options: BasicPublishOptions,
        payload: &[u8],
        mut properties: BasicProperties,
    ) -> lapin::Result<PublisherConfirm> {
        let amqp = &self.instrumentation;
        let route = Route::to(exchange.as_str(), routing_key.as_str());
        let (destination, carrier) = (|| amqp.destination(&route), &mut PropertiesCarrier(&mut properties));
        let sending = amqp.core().send_to(destination, carrier, |span| {
            message::routing_key(span, &routing_key);
            body_size(span, payload);
        });
        sending.details(|span| {
            message::ids(span, properties.message_id().as_ref(), properties.correlation_id().as_ref());
        });
        let is_confirmed = self.channel.status().confirm();
        let published = self.channel.basic_publish(exchange, routing_key, options, payload, properties).await;
        match published {
            Ok(confirm) if is_confirmed && sending.is_observed() => {
                Ok(PublisherConfirm::waiting(confirm, sending, amqp.clone()))
            }
            Ok(confirm) => {
                sending.succeeded();
                Ok(PublisherConfirm::answered(confirm))
            }
            Err(error) => {
                sending.failed(failure::of(&error));
                Err(error)
            }
        }
    }

    /// Asks for a message, with a span that links to the message's sender.
    ///
    /// As [`lapin::Channel::basic_get`]; give what it brings to [`Instrumentation::process`].
    ///
    /// # Errors
    ///
    /// lapin's own.
    pub async fn basic_get(
        &self,
        queue: ShortString,
        options: BasicGetOptions,
    ) -> lapin::Result<Option<BasicGetMessage>> {
        let (amqp, began) = (&self.instrumentation, Beginning::now());
        let got = self.channel.basic_get(queue.clone(), options).await;
        let message = got.as_ref().ok().and_then(Option::as_ref);
        let reader = message.map(|message| message.reader());
        let route = match message {
            Some(message) => message::route(message, queue.as_str()),
            None => Route::from("", "", queue.as_str()),
        };
        let result = got.as_ref().map(|_| reader.as_ref()).map_err(failure::of);
        amqp.core().received(began, amqp.destination(&route), result, |span| {
            if let Some(message) = message {
                message::details(span, message);
            }
        });
        got
    }

    /// lapin's channel.
    pub fn into_inner(self) -> lapin::Channel {
        self.channel
    }
}

impl Deref for Channel {
    type Target = lapin::Channel;

    fn deref(&self) -> &lapin::Channel {
        &self.channel
    }
}

fn body_size(span: &mut Details<'_>, body: &[u8]) {
    span.set(attribute::MESSAGING_MESSAGE_BODY_SIZE, i64::try_from(body.len()).unwrap_or(i64::MAX));
}
