//! Names of Kafka's topics, partitions and brokers on spans and metrics.

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;

use carrier_core::instrumentation::Destination;
use opentelemetry::StringValue;
use rdkafka::ClientConfig;

/// The function given to `destination_template`.
type Template = Arc<dyn Fn(&str) -> Option<Cow<'static, str>> + Send + Sync>;

/// Names destinations.
#[derive(Clone, Default)]
pub(super) struct Destinations {
    pub(super) template: Option<Template>,
}

impl fmt::Debug for Destinations {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Destinations").field("template", &self.template.is_some()).finish_non_exhaustive()
    }
}

impl Destinations {
    /// A topic, and its partition if it is known.
    pub(super) fn of(&self, topic: &str, partition: Option<i32>) -> Destination {
        // Shared, because the span and several metrics have it.
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

/// `messaging.destination.partition.id`. `None` if no partition is chosen yet.
pub(super) fn partition_id(partition: i32) -> Option<StringValue> {
    // The usual ones need no allocation.
    const FIRST: [&str; 16] =
        ["0", "1", "2", "3", "4", "5", "6", "7", "8", "9", "10", "11", "12", "13", "14", "15"];
    let index = usize::try_from(partition).ok()?;
    Some(FIRST.get(index).map_or_else(|| partition.to_string().into(), |id| (*id).into()))
}

/// librdkafka's default port (`RD_KAFKA_PORT`).
const DEFAULT_PORT: u16 = 9092;

/// The value of a setting without leading white space, as librdkafka reads it, unless it is empty.
pub(super) fn setting<'a>(config: &'a ClientConfig, name: &str) -> Option<&'a str> {
    config.get(name).map(str::trim_start).filter(|value| !value.is_empty())
}

/// Whether librdkafka emits statistics.
pub(super) fn emits_statistics(config: &ClientConfig) -> bool {
    setting(config, "statistics.interval.ms").is_some_and(|interval| interval.trim_end() != "0")
}

/// Whether the configuration names brokers.
pub(super) fn has_brokers(config: &ClientConfig) -> bool {
    brokers(config).is_some()
}

fn brokers(config: &ClientConfig) -> Option<&str> {
    setting(config, "bootstrap.servers").or_else(|| setting(config, "metadata.broker.list"))
}

/// The broker, if the configuration names exactly one.
pub(super) fn server(config: &ClientConfig) -> Option<(String, u16)> {
    let list = brokers(config)?;
    let mut brokers = list.split(',').map(str::trim).filter(|broker| !broker.is_empty());
    let (first, second) = (brokers.next()?, brokers.next());
    if second.is_some() { None } else { address(first) }
}

/// Parses `[protocol://]host[:port]` as librdkafka does.
fn address(broker: &str) -> Option<(String, u16)> {
    let broker = match broker.split_once("://") {
        Some((_, rest)) => rest.split('/').next().unwrap_or(rest),
        None => broker,
    };
    // An IPv6 address contains colons: the last one precedes a port only after a bracket.
    let parts = broker.rsplit_once(':').filter(|(host, _)| !host.contains(':') || host.ends_with(']'));
    let (host, port) = match parts {
        Some((host, port)) => (host, port.parse().ok()?),
        None => (broker, DEFAULT_PORT),
    };
    let host = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
    (!host.is_empty()).then(|| (host.to_owned(), port))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn server_of(brokers: &str) -> Option<(String, u16)> {
        server(ClientConfig::new().set("bootstrap.servers", brokers))
    }

    #[test]
    fn one_broker_is_the_server() {
        for (brokers, host, port) in [
            ("kafka:9093", "kafka", 9093),
            ("kafka", "kafka", 9092),
            (" kafka:1 ,", "kafka", 1),
            ("10.0.0.1:9092", "10.0.0.1", 9092),
            ("[::1]:19092", "::1", 19092),
            ("[2001:db8::7]", "2001:db8::7", 9092),
            ("2001:db8::7", "2001:db8::7", 9092),
            ("SASL_SSL://kafka.example:9094/path", "kafka.example", 9094),
        ] {
            assert_eq!(server_of(brokers), Some((host.to_owned(), port)), "{brokers}");
        }
    }

    #[test]
    fn several_brokers_or_a_bad_address_are_no_server() {
        for brokers in ["a:9092,b:9092", "a,b", "", ",", ":9092", "kafka:port", "kafka:99999"] {
            assert_eq!(server_of(brokers), None, "{brokers}");
        }
    }

    #[test]
    fn the_older_name_of_the_list_is_read_as_well() {
        let mut config = ClientConfig::new();
        config.set("metadata.broker.list", "kafka:9092");
        assert_eq!(server(&config), Some(("kafka".to_owned(), 9092)));
        assert_eq!(server(&ClientConfig::new()), None);
    }

    #[test]
    fn a_partition_is_its_number_and_none_if_it_is_not_chosen_yet() {
        for partition in [0, 9, 15, 16, 1_000, i32::MAX] {
            assert_eq!(partition_id(partition).unwrap().as_str(), partition.to_string());
        }
        assert_eq!(partition_id(-1), None);
    }
}
