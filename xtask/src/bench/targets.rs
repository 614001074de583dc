//! What is aimed at, row by row.

/// One row of the table.
#[derive(Debug)]
pub(crate) struct Target {
    /// As the benchmarks call it.
    pub(crate) row: &'static str,
    /// What the floor does.
    pub(crate) floor: &'static str,
    /// Times the floor's time; `None` where it is there to be seen.
    pub(crate) times: Option<f64>,
}

const fn target(row: &'static str, floor: &'static str, times: f64) -> Target {
    Target { row, floor, times: Some(times) }
}

/// Level 1: a context into a message and out of it.
pub(crate) const PROPAGATION: [Target; 17] = [
    target(
        "amqp: inject, empty properties",
        "a ready `LongString` into a new `FieldTable`, and that into the properties",
        1.5,
    ),
    target("amqp: inject, table of 5", "the same insert into the same table", 1.5),
    target("amqp: inject, properties with 5", "one clone of the table, the insert, `with_headers`", 1.3),
    target("amqp: inject, tracestate and baggage", "the three ready strings", 2.0),
    target("amqp: extract, 1 header", "`get`, a hand-written parse, one `Context`", 1.3),
    target("amqp: extract, 10 headers", "the same", 1.3),
    target("amqp: extract, tracestate and baggage", "three `get`s, cut at the commas, nothing checked", 2.0),
    target("kafka: inject, no headers", "one `OwnedHeaders::insert` of a ready string", 1.5),
    target("kafka: inject, 5 headers", "these five and one more, by hand", 1.3),
    target("kafka: inject, tracestate and baggage", "three `insert`s of ready strings", 2.0),
    target(
        "kafka: extract, 1 header",
        "librdkafka's look-up by name, a hand-written parse, one `Context`",
        1.3,
    ),
    target("kafka: extract, 20 headers", "the same", 1.3),
    target(
        "kafka: extract, tracestate and baggage",
        "three look-ups, cut at the commas, nothing checked",
        2.0,
    ),
    target("core: http inject", "a ready `HeaderValue`", 2.0),
    target("core: http inject, tracestate and baggage", "three ready `HeaderValue`s", 2.0),
    target("core: http extract", "`get`, a hand-written parse, one `Context`", 2.0),
    target(
        "core: http extract, tracestate and baggage",
        "three `get`s, cut at the commas, nothing checked",
        2.0,
    ),
];

/// The target says "the same span", not whether its context goes anywhere: both are there.
const SPAN_ALONE: Target = target(
    "core: send, recorded, without level 1",
    "the span alone, whose context goes into no message",
    1.2,
);

/// Level 2: a span around it.
pub(crate) const INSTRUMENTATION: [Target; 16] = [
    target("core: send, not recorded", "the same span by hand, and level 1", 1.2),
    target("kafka: send, not recorded", "the same, through rdkafka's producer", 1.2),
    target("core: process, not recorded", "the same", 1.2),
    target("amqp: process, not recorded", "the same", 1.2),
    target("kafka: process, not recorded", "the same", 1.2),
    target("core: send, skipped", "level 1", 2.0),
    target("core: process, skipped", "level 1", 2.0),
    target("amqp: process, skipped", "level 1", 2.0),
    target("kafka: process, skipped", "level 1", 2.0),
    target("core: send, recorded", "the same span with the same attributes by hand, and level 1", 1.2),
    target("kafka: send, recorded", "the same, through rdkafka's producer", 1.2),
    target("core: process, recorded", "the same", 1.2),
    target("amqp: process, recorded", "the same", 1.2),
    target("kafka: process, recorded", "the same", 1.2),
    SPAN_ALONE,
    Target {
        row: "core: process, recorded, without level 1",
        floor: "the same, below a ready context",
        ..SPAN_ALONE
    },
];

/// What others take for the same work, against ours: the row, who, and how many times quicker we mean to be.
pub(crate) const PEERS: [(&str, &str, Option<f64>); 19] = [
    ("amqp: inject, empty properties", "stock", Some(3.0)),
    ("amqp: inject, empty properties", "hash map", None),
    ("amqp: inject, table of 5", "stock", Some(3.0)),
    ("amqp: inject, properties with 5", "stock", None),
    ("amqp: inject, properties with 5", "hash map", None),
    ("amqp: extract, 1 header", "stock", Some(3.0)),
    ("amqp: extract, 1 header", "hash map", None),
    ("amqp: extract, 10 headers", "stock", Some(3.0)),
    ("amqp: extract, 10 headers", "hash map", None),
    ("kafka: inject, no headers", "copied snippet", None),
    ("kafka: inject, no headers", "mem::take", None),
    ("kafka: inject, no headers", "hash map", None),
    ("kafka: inject, 5 headers", "copied snippet", Some(8.0)),
    ("kafka: inject, 5 headers", "mem::take", None),
    ("kafka: extract, 1 header", "stock", None),
    ("kafka: extract, 20 headers", "stock", None),
    ("kafka: extract, 20 headers", "hash map", None),
    ("core: http inject", "stock", None),
    ("core: http extract", "stock", None),
];

/// The rows of `tests/peers`, whose floor is ours.
pub(crate) const PUBLISHED: [&str; 4] = [
    "peers: amqp inject, table of 5",
    "peers: amqp extract, 10 headers",
    "peers: kafka inject, pairs",
    "peers: kafka extract, 10 headers",
];
