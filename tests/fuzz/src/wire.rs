//! Field tables as bytes: what lapin decodes is read and forwarded.

use carrier_core::Propagation;
use lapin::types::FieldTable;
use lapin::types::parsing::parse_field_table;
use opentelemetry::trace::TraceContextExt as _;

use crate::compare::carried;
use crate::input::{FIELDS, Plain, is_one_of};
use crate::message::Message as _;

pub(crate) fn run(bytes: &[u8]) {
    let Ok((_, mut table)) = parse_field_table(bytes) else { return };
    table.assert_consistent();
    let (plain, cx) = (Plain(table.list()), carrier_amqp::extract(&table));
    assert_eq!(carried(&cx), carried(&Propagation::w3c().extract(&plain)), "{plain:?}");
    let user = user_headers(&table);
    carrier_amqp::inject(&cx, &mut table);
    assert_eq!(user_headers(&table), user);
    // What is sent matches the grammars, so from here on nothing changes.
    let (sent, forwarded) = (table.list(), carrier_amqp::extract(&table));
    assert_eq!(forwarded.span().span_context(), cx.span().span_context());
    carrier_amqp::inject(&forwarded, &mut table);
    assert_eq!(table.list(), sent);
}

/// All headers but the fields, with their types; NaN is equal to itself here.
fn user_headers(table: &FieldTable) -> Vec<String> {
    let headers = table.inner().iter().filter(|(name, _)| !is_one_of(&FIELDS[..3], name.as_str().as_bytes()));
    headers.map(|(name, value)| format!("{name} {value:?}")).collect()
}
