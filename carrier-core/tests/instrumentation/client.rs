//! Several clients of one program.

use std::collections::HashMap;

use carrier_core::Budget;

use crate::seen::Seen;
use crate::support::{from_orders, headers, orders};
use crate::telemetry::{TRACE, Telemetry};

#[test]
fn copies_for_other_clients_share_the_providers() {
    let telemetry = Telemetry::new();
    let builder = telemetry.builder().server("a", Some(1)).client_id("one").consumer_group("group");
    let one = builder.build();
    let two = one.with_server(Some(("b".into(), None))).with_client_id(Some("two".into()));
    let none =
        two.with_consumer_group(None).with_server(None).with_client_id(None).with_budget(Budget::message(10));
    for instrumentation in [&one, &two, &none] {
        drop(instrumentation.process(from_orders(), &headers(&[]), |_| {}));
        instrumentation.send(orders, &mut HashMap::new(), |_| {}).ended(Ok(()));
    }
    let process = |id: u64| Seen::process("orders").id(TRACE + u128::from(id) - 1, id);
    let send = |id: u64| Seen::send("orders").id(TRACE + u128::from(id) - 1, id);
    let group = |span: Seen| span.with("messaging.consumer.group.name", "group");
    let of_one = |span: Seen| {
        span.with("server.address", "a").with("server.port", 1).with("messaging.client.id", "one")
    };
    let of_two = |span: Seen| span.with("server.address", "b").with("messaging.client.id", "two");
    let expected = [
        group(of_one(process(1))),
        of_one(send(2)),
        group(of_two(process(3))),
        of_two(send(4)),
        process(5),
        send(6).with("carrier.context.left_out", true),
    ];
    assert_eq!(telemetry.seen(), expected);
    let sent = telemetry.measured_by("messaging.client.sent.messages");
    let servers =
        sent.iter().flat_map(|point| point.attributes.iter().filter(|(key, _)| key == "server.address"));
    assert_eq!((sent.len(), servers.count()), (3, 2));
}
