//! Which curves there are.

use super::found::Found;
use super::plot::{Curve, FLOOR, Look, OTHER_PEER, OWN, PEER, Panel, REGISTERED};

/// The panels of the picture.
pub(crate) fn panels(found: &Found) -> Vec<Panel> {
    let grown = |names: &[(f64, &'static str)], who: &[(&'static str, &str, Look)]| -> Vec<Curve> {
        let curve = |(name, who, look): &(&'static str, &str, Look)| {
            let time = |row| if *who == "floor" { found.floor_time(row) } else { found.time(row, who) };
            let points = names.iter().filter_map(|(x, row)| Some((*x, time(row)?)));
            Curve { name, look: *look, points: points.collect() }
        };
        who.iter().map(curve).collect()
    };
    let (floor, own, registered) =
        (("floor", "floor", FLOOR), ("ours", "own", OWN), ("ours, registered", "registered", REGISTERED));
    let stock = ("stock propagator", "stock", PEER);
    let map = ("through a HashMap", "hash map", OTHER_PEER);
    let snippet = ("copied snippet", "copied snippet", PEER);
    let headers = "headers in the message";
    vec![
        Panel {
            title: "AMQP: inject into a table",
            x: headers,
            curves: grown(&AMQP_INJECT, &[floor, own, registered, stock]),
        },
        Panel {
            title: "AMQP: extract",
            x: headers,
            curves: grown(&AMQP_EXTRACT, &[floor, own, registered, stock, map]),
        },
        Panel {
            title: "Kafka: inject into a record",
            x: headers,
            curves: grown(&KAFKA_INJECT, &[floor, own, registered, snippet]),
        },
        Panel {
            title: "Kafka: extract",
            x: headers,
            curves: grown(&KAFKA_EXTRACT, &[floor, own, registered, stock, map]),
        },
        Panel {
            title: "Extract, with a tracestate",
            x: "members of tracestate",
            curves: grown(&TRACESTATE, &[floor, own]),
        },
        Panel {
            title: "On several threads, AMQP",
            x: "threads, each as fast as it can",
            curves: threads(found),
        },
    ]
}

const AMQP_INJECT: [(f64, &str); 3] = [
    (5.0, "amqp: inject, table of 5"),
    (20.0, "amqp: inject, table of 20"),
    (100.0, "amqp: inject, table of 100"),
];

const AMQP_EXTRACT: [(f64, &str); 4] = [
    (1.0, "amqp: extract, 1 header"),
    (10.0, "amqp: extract, 10 headers"),
    (21.0, "amqp: extract, 21 headers"),
    (101.0, "amqp: extract, 101 headers"),
];

const KAFKA_INJECT: [(f64, &str); 3] = [
    (5.0, "kafka: inject, 5 headers"),
    (20.0, "kafka: inject, 20 headers"),
    (100.0, "kafka: inject, 100 headers"),
];

const KAFKA_EXTRACT: [(f64, &str); 4] = [
    (1.0, "kafka: extract, 1 header"),
    (20.0, "kafka: extract, 20 headers"),
    (100.0, "kafka: extract, 100 headers"),
    (1_000.0, "kafka: extract, 1000 headers"),
];

const TRACESTATE: [(f64, &str); 3] = [
    (1.0, "core: extract, tracestate of 1"),
    (8.0, "core: extract, tracestate of 8"),
    (32.0, "core: extract, tracestate of 32"),
];

/// The global path has a lock of OpenTelemetry's; a `Propagation` of one's own has none.
#[allow(clippy::cast_precision_loss, reason = "a few threads")]
fn threads(found: &Found) -> Vec<Curve> {
    let curve = |name, row: &str, who: &str, look| {
        let time = |threads| Some((threads as f64, found.on_threads(row, who, threads)?));
        Curve { name, look, points: [1, 2, 4, 8].into_iter().filter_map(time).collect() }
    };
    let (inject, extract) = ("amqp: inject, threads", "amqp: extract, threads");
    vec![
        curve("inject", inject, "own", OWN),
        curve("inject, registered", inject, "registered", REGISTERED),
        curve("extract", extract, "own", PEER),
        curve("extract, registered", extract, "registered", OTHER_PEER),
    ]
}
