//! A producer and a consumer, each with its own configuration.

use rdkafka::producer::DefaultProducerContext;

use super::*;

fn config(settings: &[(&str, &str)]) -> ClientConfig {
    let mut config = ClientConfig::new();
    settings.iter().for_each(|(key, value)| {
        config.set(*key, *value);
    });
    config
}

fn producers() -> ClientConfig {
    config(&[("bootstrap.servers", "a:1"), ("client.id", "producer-1"), ("message.timeout.ms", "10")])
}

fn consumers() -> ClientConfig {
    config(&[("bootstrap.servers", "b:2"), ("client.id", "consumer-1"), ("group.id", "billing")])
}

/// The broker, the client and the group of a span.
type Client = [Option<String>; 4];

fn client_of(span: &SpanData) -> Client {
    ["server.address", "server.port", "messaging.client.id", "messaging.consumer.group.name"]
        .map(|key| attribute_of(span, key).map(|value| value.to_string()))
}

fn client(values: [&str; 4]) -> Client {
    values.map(|value| Some(value.to_owned()).filter(|value| !value.is_empty()))
}

fn of_producer(recorded: &Recorded, config: &ClientConfig) -> Client {
    let producer = recorded.kafka.base_producer(config).unwrap();
    producer.send(BaseRecord::<(), str>::to("t").payload("p")).unwrap();
    drop(producer);
    let span = recorded.one();
    recorded.exporter.reset();
    client_of(&span)
}

fn of_consumer(recorded: &Recorded) -> Client {
    drop(recorded.kafka.process(message(&Context::new(), "t", b"p")));
    let span = recorded.one();
    recorded.exporter.reset();
    client_of(&span)
}

#[test]
fn a_producer_and_a_consumer_have_their_own_client_and_broker_in_any_order() {
    for configs in [[producers(), consumers()], [consumers(), producers()]] {
        let recorded = recorded(|builder| configs.iter().fold(builder, KafkaInstrumentationBuilder::config));
        assert_eq!(of_producer(&recorded, &producers()), client(["a", "1", "producer-1", ""]));
        let [_, _, id, group] = of_consumer(&recorded);
        assert_eq!((id.as_deref(), group.as_deref()), (Some("consumer-1"), Some("billing")));
    }
    let recorded = recorded(|builder| builder.config(&consumers()));
    assert_eq!(of_consumer(&recorded), client(["b", "2", "consumer-1", "billing"]));
}

#[test]
fn two_producers_of_one_instrumentation_have_their_own_client_and_broker() {
    let recorded = recorded(|builder| builder.config(&producers()));
    let other = config(&[("bootstrap.servers", "c:3"), ("client.id", "producer-2")]);
    assert_eq!(of_producer(&recorded, &other), client(["c", "3", "producer-2", ""]));
    assert_eq!(of_producer(&recorded, &producers()), client(["a", "1", "producer-1", ""]));
    // One of several brokers: which one is not known. A producer without an id has none.
    let several = config(&[("bootstrap.servers", "c:3,d:4")]);
    assert_eq!(of_producer(&recorded, &several), client(["", "", "", ""]));
    assert_eq!(of_producer(&recorded, &ClientConfig::new()), client(["a", "1", "", ""]));
}

#[test]
fn a_consumer_without_a_group_has_the_id_of_its_configuration() {
    let recorded = recorded(|builder| builder.config(&config(&[("client.id", " consumer-2")])));
    assert_eq!(of_consumer(&recorded), client(["", "", "consumer-2", ""]));
}

#[test]
fn an_id_of_a_producer_is_not_that_of_a_consumer_without_one() {
    for configs in [[producers(), config(&[("group.id", "g")])], [config(&[("group.id", "g")]), producers()]]
    {
        let recorded = recorded(|builder| configs.iter().fold(builder, KafkaInstrumentationBuilder::config));
        assert_eq!(of_consumer(&recorded)[2], None);
    }
}

#[test]
fn an_id_that_is_set_for_all_clients_is_that_of_all_clients() {
    let recorded = recorded(|builder| builder.client_id("all").config(&consumers()));
    assert_eq!(of_producer(&recorded, &producers()), client(["a", "1", "all", ""]));
    assert_eq!(of_consumer(&recorded), client(["b", "2", "all", "billing"]));
}

#[test]
fn a_broker_and_a_cluster_that_are_set_are_those_of_all_clients() {
    let several = config(&[("bootstrap.servers", "c:3,d:4"), ("group.id", "billing")]);
    let unset = recorded(|builder| builder.config(&several));
    assert_eq!(of_consumer(&unset), client(["", "", "", "billing"]));
    for port in [Some(9), None] {
        let set =
            recorded(|builder| builder.server("kafka.example", port).config(&several).config(&producers()));
        let port = port.map(|port| port.to_string()).unwrap_or_default();
        assert_eq!(of_consumer(&set), client(["kafka.example", &port, "", "billing"]));
        for config in [several.clone(), producers()] {
            let [address, found, ..] = of_producer(&set, &config);
            assert_eq!(
                (address.as_deref(), found.unwrap_or_default()),
                (Some("kafka.example"), port.clone())
            );
        }
    }
    let set = recorded(|builder| builder.cluster_id("old").config(&several).cluster_id("c-1"));
    drop(set.kafka.process(message(&Context::new(), "t", b"p")));
    drop(set.kafka.base_producer(&several).unwrap().send(BaseRecord::<(), str>::to("a\0b")));
    let spans = set.exporter.get_finished_spans().unwrap();
    let ids: Vec<_> = spans.iter().map(|span| attribute_of(span, "messaging.kafka.cluster.id")).collect();
    assert_eq!(ids, [Some("c-1".into()), Some("c-1".into())]);
}

/// A cluster, and the configuration of a producer with transactions.
fn transactional() -> (MockCluster<'static, DefaultProducerContext>, ClientConfig) {
    let cluster = MockCluster::new(1).unwrap();
    cluster.create_topic("orders", 1, 1).unwrap();
    let servers = cluster.bootstrap_servers();
    (cluster, config(&[("bootstrap.servers", &servers), ("transactional.id", "billing-tx")]))
}

#[test]
fn a_message_in_a_transaction_says_so_and_the_end_of_the_transaction_has_a_span_if_chosen() {
    const LIMIT: Duration = Duration::from_secs(10);
    for has_spans in [true, false] {
        let (_cluster, config) = transactional();
        let recorded = recorded(|builder| builder.config(&consumers()).settle_spans(has_spans));
        let producer = recorded.kafka.threaded_producer(&config).unwrap();
        producer.init_transactions(LIMIT).unwrap();
        for is_aborted in [true, false] {
            producer.begin_transaction().unwrap();
            producer.send(BaseRecord::<(), str>::to("orders").payload("p")).unwrap();
            producer.flush(LIMIT).unwrap();
            let (operation, result) = match is_aborted {
                true => ("abort_transaction", producer.abort_transaction(LIMIT)),
                false => ("commit_transaction", producer.commit_transaction(LIMIT)),
            };
            result.unwrap();
            let spans = recorded.exporter.get_finished_spans().unwrap();
            recorded.exporter.reset();
            assert_eq!(spans.len(), 1 + usize::from(has_spans), "{spans:?}");
            for span in &spans {
                assert_eq!(attribute_of(span, attribute::TRANSACTIONAL_ID), Some("billing-tx".into()));
                assert_eq!((client_of(span)[3].as_deref(), error_type(span)), (None, None));
            }
            if has_spans {
                assert_eq!(attribute_of(&spans[1], "messaging.operation.name"), Some(operation.into()));
                assert_eq!(attribute_of(&spans[1], "messaging.operation.type"), Some("settle".into()));
            }
        }
        let no_transaction = producer.commit_transaction(LIMIT).unwrap_err();
        if has_spans {
            assert_eq!(error_type(&recorded.one()).as_deref(), Some("_STATE"), "{no_transaction}");
        }
    }
}
