//! How a program is instrumented: built once, cheap to clone.

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;

use carrier_core::Propagation;
use carrier_core::instrumentation::{self as core, Destination, Relation};
use opentelemetry::StringValue;
use rdkafka::ClientConfig;

use super::{MessageKey, config};

/// What many topics have in common, by their names.
type Template = Arc<dyn Fn(&str) -> Option<Cow<'static, str>> + Send + Sync>;

/// Starts spans and records metrics for rdkafka's producers, and for messages that are processed.
///
/// It is cheap to clone, and every clone does the same.
///
/// # Examples
///
/// ```
/// use carrier_kafka::Instrumentation;
/// use carrier_kafka::rdkafka::ClientConfig;
///
/// let mut config = ClientConfig::new();
/// config.set("bootstrap.servers", "kafka:9092").set("group.id", "billing");
/// let kafka = Instrumentation::builder().config(&config).build();
/// ```
#[derive(Clone)]
pub struct Instrumentation {
    pub(super) common: core::Instrumentation,
    pub(super) key: MessageKey,
    template: Option<Template>,
}

impl fmt::Debug for Instrumentation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Instrumentation")
            .field("common", &self.common)
            .field("message_key", &self.key)
            .field("destination_template", &self.template.is_some())
            .finish()
    }
}

impl Instrumentation {
    /// An instrumentation that is built with the choices that are made, and follows the application otherwise.
    pub fn builder() -> Builder {
        let common = core::Instrumentation::builder("kafka");
        Builder {
            common: common.scope(env!("CARGO_PKG_NAME"), env!("CARGO_PKG_VERSION")),
            key: MessageKey::default(),
            template: None,
        }
    }

    /// The same with another [`Propagation`], for a topic that is not like the others.
    pub fn with_propagation(&self, propagation: Propagation) -> Self {
        Self { common: self.common.with_propagation(propagation), ..self.clone() }
    }

    /// The same with another [`Relation`], for a consumer that is not like the others.
    pub fn with_relation(&self, relation: Relation) -> Self {
        Self { common: self.common.with_relation(relation), ..self.clone() }
    }

    /// A topic, and a partition of it where that is known.
    pub(super) fn destination(&self, topic: &str, partition: Option<i32>) -> Destination {
        // Shared: it goes onto the span and onto up to four metrics.
        let mut destination = Destination::new(Arc::<str>::from(topic));
        if let Some(template) = self.template.as_ref().and_then(|template| template(topic)) {
            destination = destination.template(template);
        }
        match partition.and_then(partition_id) {
            Some(id) => destination.partition(id),
            None => destination,
        }
    }
}

/// `messaging.destination.partition.id`; `None` where no partition was chosen yet.
pub(super) fn partition_id(partition: i32) -> Option<StringValue> {
    // The usual ones cost no allocation per message.
    const FIRST: [&str; 16] =
        ["0", "1", "2", "3", "4", "5", "6", "7", "8", "9", "10", "11", "12", "13", "14", "15"];
    let index = usize::try_from(partition).ok()?;
    Some(FIRST.get(index).map_or_else(|| partition.to_string().into(), |id| (*id).into()))
}

/// Builds an [`Instrumentation`].
#[must_use = "a builder does nothing until `build`"]
pub struct Builder {
    common: core::Builder,
    key: MessageKey,
    template: Option<Template>,
}

impl fmt::Debug for Builder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Builder").field("message_key", &self.key).finish_non_exhaustive()
    }
}

impl Builder {
    carrier_core::__instrumentation_choices!();

    /// What a client's configuration says of it, as far as it does: the broker, the consumer group, the client's id.
    ///
    /// | setting | attribute |
    /// | --- | --- |
    /// | `bootstrap.servers` (`metadata.broker.list`), where it names one broker | `server.address`, `server.port` |
    /// | `group.id` | `messaging.consumer.group.name` of what consumers do |
    /// | `client.id` | `messaging.client.id` of spans |
    ///
    /// Of several bootstrap servers none is the one that a message goes to, and librdkafka does not say which is. What one
    /// call found stays where a later one finds nothing, so a producer's and a consumer's configuration can both be given.
    pub fn config(self, config: &ClientConfig) -> Self {
        let mut common = self.common;
        if let Some((address, port)) = config::server(config) {
            common = common.server(address, Some(port));
        }
        if let Some(group) = config::setting(config, "group.id") {
            common = common.consumer_group(group.to_owned());
        }
        if let Some(id) = config::setting(config, "client.id") {
            common = common.client_id(id.to_owned());
        }
        Self { common, ..self }
    }

    /// What spans have of a message's key; the default is nothing.
    pub fn message_key(self, key: MessageKey) -> Self {
        Self { key, ..self }
    }

    /// What a topic's name was made from, where there are many of a kind: `messaging.destination.template`.
    ///
    /// The template is in the name of spans, and on metrics it stands for the topic's name. `None` is a topic that stands
    /// for itself. The function is asked for every message, so a borrowed answer is the cheaper one.
    ///
    /// # Examples
    ///
    /// ```
    /// let kafka = carrier_kafka::Instrumentation::builder()
    ///     .destination_template(|topic| topic.starts_with("tenant-").then(|| "tenant-{id}".into()))
    ///     .build();
    /// ```
    pub fn destination_template(
        self,
        template: impl Fn(&str) -> Option<Cow<'static, str>> + Send + Sync + 'static,
    ) -> Self {
        Self { template: Some(Arc::new(template)), ..self }
    }

    /// The instrumentation, ready to be shared; the global providers are taken now, where none was given.
    pub fn build(self) -> Instrumentation {
        Instrumentation { common: self.common.build(), key: self.key, template: self.template }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_partition_is_its_number_and_one_that_is_not_chosen_is_none() {
        for partition in [0, 9, 15, 16, 1_000, i32::MAX] {
            assert_eq!(partition_id(partition).unwrap().as_str(), partition.to_string());
        }
        assert_eq!(partition_id(-1), None);
    }
}
