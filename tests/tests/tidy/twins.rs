//! The two adapters have the same files.

use std::collections::BTreeSet;

/// The files of the two adapters start with these.
const TWINS: [[&str; 2]; 2] =
    [["carrier-amqp/src/", "carrier-kafka/src/"], ["tests/tests/amqp", "tests/tests/kafka"]];

/// Files without a twin, each with the difference between the brokers or clients that is its reason.
const EXCEPTIONS: &[(&str, &str)] = &[
    ("carrier-amqp/src/instrumentation/generated.rs", "only queue names are generated"),
    ("carrier-kafka/src/instrumentation/clients.rs", "only librdkafka has statistics"),
    ("carrier-kafka/src/instrumentation/key.rs", "only a record has a message key"),
    ("carrier-kafka/src/instrumentation/snapshot.rs", "only librdkafka has statistics"),
    ("carrier-kafka/src/instrumentation/statistics.rs", "only librdkafka has statistics"),
    ("carrier-kafka/src/instrumentation/undo.rs", "rdkafka returns a record that it could not queue"),
    ("carrier-kafka/src/native.rs", "rdkafka's safe interface cannot look up or remove a header"),
    ("tests/tests/amqp/budget.rs", "only AMQP has a frame; Kafka's limit is tested without a broker"),
    ("tests/tests/amqp/foreign.rs", "the bytes of other AMQP clients; Kafka headers have one form"),
    ("tests/tests/amqp/instrumentation/broker_stops.rs", "lapin loses a channel, librdkafka reconnects"),
    ("tests/tests/amqp/instrumentation/frame.rs", "only AMQP has a frame"),
    ("tests/tests/amqp/instrumentation/receive.rs", "basic.get receives without a consumer"),
    ("tests/tests/amqp/instrumentation/redelivery.rs", "RabbitMQ reports earlier deliveries, Kafka does not"),
    ("tests/tests/amqp/io_loop.rs", "lapin has an own `tracing` span, librdkafka has none"),
    ("tests/tests/amqp/load.rs", "tasks share one channel"),
    ("tests/tests/amqp/nesting.rs", "only AMQP headers nest"),
    ("tests/tests/amqp/pitfalls.rs", "needs no broker, so it is tested once"),
    ("tests/tests/amqp/redelivery.rs", "only a queue delivers a message again or dead-letters it"),
    ("tests/tests/amqp/restart.rs", "a queue keeps a message over a restart"),
    ("tests/tests/amqp/round_trip.rs", "lapin has one way to publish and to consume"),
    ("tests/tests/amqp/routing.rs", "only AMQP has exchanges"),
    ("tests/tests/amqp/sizes.rs", "only AMQP has a frame"),
    ("tests/tests/kafka/bad_lists.rs", "only Kafka headers repeat"),
    ("tests/tests/kafka/choices.rs", "only Kafka headers repeat, so the choices differ"),
    ("tests/tests/kafka/codecs.rs", "only Kafka compresses messages"),
    ("tests/tests/kafka/consumers.rs", "rdkafka has several consumers"),
    ("tests/tests/kafka/groups.rs", "only Kafka has partitions and consumer groups"),
    ("tests/tests/kafka/instrumentation/rebalance.rs", "only Kafka has consumer groups"),
    ("tests/tests/kafka/instrumentation/statistics.rs", "only librdkafka has statistics"),
    ("tests/tests/kafka/instrumentation/transactions.rs", "only a Kafka transaction has an id"),
    ("tests/tests/kafka/producers.rs", "rdkafka has several producers"),
    ("tests/tests/kafka/transactions.rs", "only a Kafka transaction hides messages that it has sent"),
];

/// The files that start with one of two prefixes and have no twin that starts with the other.
fn alone(files: &[String], twins: [&str; 2]) -> Vec<String> {
    let rests = twins.map(|prefix| files.iter().filter_map(|file| file.strip_prefix(prefix)).collect());
    let [one, other]: [BTreeSet<&str>; 2] = rests;
    let without = |prefix: &str, these: &BTreeSet<&str>, those: &BTreeSet<&str>| -> Vec<String> {
        these.difference(those).map(|rest| format!("{prefix}{rest}")).collect()
    };
    [without(twins[0], &one, &other), without(twins[1], &other, &one)].concat()
}

/// Compares the files without a twin with the exceptions.
fn problems(alone: &[String], exceptions: &[(&str, &str)]) -> Vec<String> {
    let is_allowed = |file: &&String| exceptions.iter().any(|(exception, _)| file == exception);
    let unexpected = alone.iter().filter(|file| !is_allowed(file)).map(|file| format!("{file} has no twin"));
    let unneeded = exceptions.iter().filter(|(exception, _)| !alone.iter().any(|file| file == exception));
    unexpected.chain(unneeded.map(|(file, _)| format!("{file} needs no exception"))).collect()
}

#[test]
fn the_adapters_have_the_same_files() {
    let folders = ["carrier-amqp/src", "carrier-kafka/src", "tests/tests"];
    let is_unit_test = |file: &String| file.contains("/src/") && file.contains("/tests");
    let files: Vec<String> =
        folders.into_iter().flat_map(crate::files).filter(|file| !is_unit_test(file)).collect();
    let alone: Vec<String> = TWINS.into_iter().flat_map(|twins| alone(&files, twins)).collect();
    crate::assert_none(&problems(&alone, EXCEPTIONS));
}

#[test]
fn a_file_without_twin_and_an_exception_without_need_are_found() {
    let files = ["a/x.rs", "a/y.rs", "b/y.rs", "b/z.rs", "c/v.rs"].map(str::to_owned);
    let alone = alone(&files, ["a/", "b/"]);
    assert_eq!(alone, ["a/x.rs", "b/z.rs"]);
    let found = problems(&alone, &[("b/z.rs", "reason"), ("a/y.rs", "reason")]);
    assert_eq!(found, ["a/x.rs has no twin", "a/y.rs needs no exception"]);
}
