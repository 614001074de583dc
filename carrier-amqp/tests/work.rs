//! The work is linear in the headers, whatever they hold: allocations are counted, not time.
#![cfg(feature = "testing")]

use carrier_amqp::lapin::BasicProperties;
use carrier_amqp::lapin::types::{AMQPValue, FieldArray, FieldTable};
use carrier_amqp::testing::{assert_carries, remote_context};
use carrier_measure::Counting;

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// Empty copies of `traceparent` between as many other headers. A table holds a name once, so the copies differ in case.
fn empty_copies(count: usize) -> FieldTable {
    let mut table = FieldTable::default();
    for n in 0..count {
        let in_case = |(place, letter): (usize, char)| match n >> place & 1 {
            0 => letter,
            _ => letter.to_ascii_uppercase(),
        };
        let name: String = "traceparent".char_indices().map(in_case).collect();
        table.insert(name.into(), AMQPValue::LongString("".into()));
        table.insert(format!("user-{n}").into(), AMQPValue::LongString("v".into()));
    }
    table
}

/// A table in a table, and so on; each has lists of some thousand values.
fn nested(depth: usize) -> FieldTable {
    (0..depth).fold(FieldTable::default(), |inner, n| {
        let mut array = FieldArray::default();
        (0..1_000).for_each(|n| array.push(AMQPValue::LongInt(n)));
        let mut table = FieldTable::default();
        table.insert("inner".into(), AMQPValue::FieldTable(inner));
        table.insert(format!("array-{n}").into(), AMQPValue::FieldArray(array));
        table
    })
}

/// How often an injection allocates, compared with a clone of the table.
fn cost(table: FieldTable) -> (usize, usize) {
    let clone = Counting::during(|| table.clone()).0;
    let (cx, mut properties) = (remote_context(), BasicProperties::default().with_headers(table));
    let inject = Counting::during(|| carrier_amqp::inject(&cx, &mut properties)).0;
    assert_carries(&properties, &cx);
    (inject, clone)
}

#[test]
fn an_injection_costs_at_most_two_clones_of_the_headers() {
    // Old copies are left out of a new table, which the map sorts: a second allocation for each kept header at most.
    for table in [empty_copies(1_000), empty_copies(2_000), nested(20), nested(40)] {
        let (inject, clone) = cost(table);
        assert!(inject <= 2 * clone + 20, "{inject} allocations, {clone} for a clone");
    }
}

#[test]
fn an_extraction_of_any_table_allocates_the_context_alone() {
    for table in [empty_copies(1_000), empty_copies(2_000), nested(20), nested(40)] {
        let mut properties = BasicProperties::default().with_headers(table);
        carrier_amqp::inject(&remote_context(), &mut properties);
        let (allocations, _) = Counting::during(|| carrier_amqp::extract(&properties));
        assert_eq!(allocations, 1);
    }
}
