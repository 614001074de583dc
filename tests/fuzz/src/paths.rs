//! The fast path, the full read, and the paths through OpenTelemetry's interfaces read the same.

use crate::compare::{Raw, assert_same};
use crate::input::{Input, Value};

pub(crate) fn run(bytes: &[u8]) {
    let headers = Input(bytes).headers().into_iter().filter_map(|(name, value)| match value {
        Value::Bytes(value) => Some((String::from_utf8(name).ok()?, value)),
        _ => None,
    });
    assert_same(&Raw(headers.collect()));
}
