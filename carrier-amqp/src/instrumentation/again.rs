//! A received message that is published again: to be tried once more, or into a dead-letter queue.

use std::collections::BTreeMap;

use carrier_core::instrumentation::{ATTEMPTS_HEADER, MAX_ATTEMPTS};
use lapin::BasicProperties;
use lapin::message::Delivery;
use lapin::options::BasicPublishOptions;
use lapin::types::{AMQPValue, FieldTable, ShortString};

use super::{AsMessage, Channel, Processing, PublisherConfirm, Redelivery};

/// The broker's own headers: a copy of them would be counted or routed twice. Each is a whole name or, with a `-`, a prefix.
const BROKERS: [&str; 6] =
    ["CC", "x-acquired-count", "x-death", "x-delivery-count", "x-first-death-", "x-last-death-"];

impl Channel {
    /// Publishes a received message again whose processing failed: to a retry queue, or to a dead-letter queue.
    ///
    /// The message stays in its own trace, also if [`Relation::Link`](super::Relation::Link) put the failed attempt into
    /// another one: the parent of the send span is the context that the message carries. The span links to the failed attempt.
    ///
    /// Body, properties and headers are copied. The header [`ATTEMPTS_HEADER`](super::ATTEMPTS_HEADER) (`x-carrier-attempts`)
    /// gets the number of attempts so far: [`Redelivery::attempts`] adds it. Left out are RabbitMQ's own headers
    /// (`x-death`, `x-delivery-count` and their like, `CC`), and two properties: `expiration`, so that a dead letter does not
    /// expire, and `user-id`, which RabbitMQ accepts only from that user.
    ///
    /// This does not settle the message. Acknowledge it after the confirmation, so that it is delivered at least once.
    ///
    /// # Errors
    ///
    /// lapin's.
    ///
    /// # Examples
    ///
    /// ```no_run
    /// use carrier_amqp::instrumentation::{Channel, Instrumentation, Redelivery};
    /// use carrier_amqp::lapin::{self, message::Delivery};
    ///
    /// # async fn work(order: &[u8]) -> Result<(), String> { Ok(()) }
    /// async fn consume(amqp: &Instrumentation, channel: &Channel, delivery: Delivery) -> lapin::Result<()> {
    ///     let delivery = amqp.process("orders", delivery);
    ///     if delivery.run(work(&delivery.data)).await.is_err() {
    ///         let queue = if Redelivery::of(&delivery).attempts() < 2 { "retry" } else { "dead" };
    ///         channel.publish_again(&delivery, "".into(), queue.into(), Default::default()).await?.await?;
    ///     }
    ///     delivery.ack(Default::default()).await?;
    ///     Ok(())
    /// }
    /// ```
    pub async fn publish_again<M: AsMessage>(
        &self,
        failed: &Processing<M>,
        exchange: ShortString,
        routing_key: ShortString,
        options: BasicPublishOptions,
    ) -> lapin::Result<PublisherConfirm> {
        let delivery = failed.message.as_message();
        let properties = properties(delivery);
        self.publish(exchange, routing_key, options, &delivery.data, properties, Some(failed.context())).await
    }
}

/// The properties of a message that is published again.
fn properties(delivery: &Delivery) -> BasicProperties {
    let attempts = Redelivery::of(delivery).attempts().saturating_add(1).min(MAX_ATTEMPTS);
    let received = &delivery.properties;
    let kept =
        received.headers().iter().flat_map(FieldTable::inner).filter(|(name, _)| !is_brokers(name.as_str()));
    let kept: BTreeMap<_, _> = kept.map(|(name, value)| (name.clone(), value.clone())).collect();
    let mut headers = FieldTable::from(kept);
    let attempts = AMQPValue::LongLongInt(attempts.try_into().unwrap_or(i64::MAX));
    headers.insert(ATTEMPTS_HEADER.into(), attempts);
    let mut properties = BasicProperties::default().with_headers(headers);
    macro_rules! copy {
        ($($get:ident => $set:ident),*) => {$(
            if let Some(value) = received.$get() {
                properties = properties.$set(value.clone());
            }
        )*};
    }
    copy!(
        content_type => with_content_type, content_encoding => with_content_encoding,
        delivery_mode => with_delivery_mode, priority => with_priority, correlation_id => with_correlation_id,
        reply_to => with_reply_to, message_id => with_message_id, timestamp => with_timestamp,
        kind => with_type, app_id => with_app_id
    );
    properties
}

fn is_brokers(header: &str) -> bool {
    BROKERS.iter().any(|name| if name.ends_with('-') { header.starts_with(name) } else { header == *name })
}

#[cfg(test)]
mod tests {
    use lapin::types::FieldArray;

    use super::*;

    fn delivery(headers: impl IntoIterator<Item = (&'static str, AMQPValue)>) -> Delivery {
        let headers: BTreeMap<ShortString, _> =
            headers.into_iter().map(|(name, value)| (name.into(), value)).collect();
        let mut delivery = Delivery::mock(1, "".into(), "orders".into(), false, b"17".to_vec());
        delivery.properties = BasicProperties::default().with_headers(headers.into());
        delivery
    }

    /// The number of attempts in a message that is published again.
    fn written(headers: impl IntoIterator<Item = (&'static str, AMQPValue)>) -> Option<AMQPValue> {
        let headers = properties(&delivery(headers)).headers().clone().unwrap_or_default();
        headers.inner().get(ATTEMPTS_HEADER).cloned()
    }

    #[test]
    fn each_copy_counts_one_attempt_more_and_what_the_broker_counted_since_the_last() {
        let earlier = |count| (ATTEMPTS_HEADER, AMQPValue::LongLongInt(count));
        assert_eq!(written([]), Some(AMQPValue::LongLongInt(1)));
        assert_eq!(written([earlier(1)]), Some(AMQPValue::LongLongInt(2)));
        let requeued = ("x-delivery-count", AMQPValue::LongLongInt(3));
        assert_eq!(written([requeued.clone()]), Some(AMQPValue::LongLongInt(4)));
        assert_eq!(written([earlier(2), requeued]), Some(AMQPValue::LongLongInt(6)));
    }

    #[test]
    fn a_number_of_attempts_that_is_not_ours_counts_as_absent() {
        let text = AMQPValue::LongString("3".into());
        let hostile = [AMQPValue::LongLongInt(-1), AMQPValue::LongLongInt(i64::MAX), text, AMQPValue::Void];
        for value in hostile {
            let delivery = delivery([(ATTEMPTS_HEADER, value.clone())]);
            assert_eq!(Redelivery::of(&delivery), Redelivery::default(), "{value:?}");
            assert_eq!(written([(ATTEMPTS_HEADER, value)]), Some(AMQPValue::LongLongInt(1)));
        }
        let most = i64::from(u32::MAX);
        assert_eq!(
            written([(ATTEMPTS_HEADER, AMQPValue::LongLongInt(most))]),
            Some(AMQPValue::LongLongInt(most))
        );
    }

    #[test]
    fn the_brokers_headers_are_left_out_and_all_others_kept() {
        let text = |text: &str| AMQPValue::LongString(text.into());
        let brokers = [
            ("CC", AMQPValue::FieldArray(FieldArray::default())),
            ("x-acquired-count", AMQPValue::LongLongInt(1)),
            ("x-death", AMQPValue::FieldArray(FieldArray::default())),
            ("x-delivery-count", AMQPValue::LongLongInt(1)),
            ("x-first-death-queue", text("work")),
            ("x-last-death-reason", text("rejected")),
        ];
        let users = [("user", text("kept")), ("x-deaths", text("kept")), ("null", AMQPValue::Void)];
        let again = properties(&delivery(brokers.into_iter().chain(users.clone())));
        let mut kept: Vec<_> = again.headers().as_ref().unwrap().inner().clone().into_iter().collect();
        kept.retain(|(name, _)| name.as_str() != ATTEMPTS_HEADER);
        let mut expected = users.map(|(name, value)| (ShortString::from(name), value));
        expected.sort_by(|one, other| one.0.cmp(&other.0));
        assert_eq!(kept, expected);
    }

    #[test]
    fn all_properties_are_kept_except_the_user_that_the_broker_checks_and_the_expiration() {
        let kept = BasicProperties::default()
            .with_content_type("text/plain".into())
            .with_content_encoding("gzip".into())
            .with_delivery_mode(2)
            .with_priority(3)
            .with_correlation_id("17".into())
            .with_reply_to("replies".into())
            .with_message_id("18".into())
            .with_timestamp(19)
            .with_type("order".into())
            .with_app_id("shop".into());
        let mut received = delivery([]);
        received.properties = kept.clone().with_user_id("shop".into()).with_expiration("60000".into());
        let again = properties(&received);
        let headers = again.headers().clone().unwrap();
        assert_eq!(again, kept.with_headers(headers));
    }
}
