//! What librdkafka's configuration says of a client.

use rdkafka::ClientConfig;

/// librdkafka's own, where an address has none (`RD_KAFKA_PORT`).
const DEFAULT_PORT: u16 = 9092;

/// The value of a setting that has one.
pub(super) fn setting<'a>(config: &'a ClientConfig, name: &str) -> Option<&'a str> {
    config.get(name).filter(|value| !value.is_empty())
}

/// The one broker that the configuration names; `None` where it names several, or none.
pub(super) fn server(config: &ClientConfig) -> Option<(String, u16)> {
    let list = setting(config, "bootstrap.servers").or_else(|| setting(config, "metadata.broker.list"))?;
    let mut brokers = list.split(',').map(str::trim).filter(|broker| !broker.is_empty());
    let (first, second) = (brokers.next()?, brokers.next());
    if second.is_some() { None } else { address(first) }
}

/// `[protocol://]host[:port]`, as librdkafka reads it.
fn address(broker: &str) -> Option<(String, u16)> {
    let broker = match broker.split_once("://") {
        Some((_, rest)) => rest.split('/').next().unwrap_or(rest),
        None => broker,
    };
    // An IPv6 address has colons of its own: the last one is before a port only behind a bracket.
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
    fn of_several_brokers_none_is_the_server() {
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
}
