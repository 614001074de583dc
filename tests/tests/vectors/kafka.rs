//! Record headers of Kafka: decoded here, read and written by carrier-kafka.

use carrier_core::{FieldValue, Propagation};
use carrier_kafka::{ExtractFrom as _, inject_with};
use rdkafka::message::OwnedHeaders;

use crate::check::{Plain, compare, propagations, read};
use crate::file::{Conflict, Header, Vector};
use crate::raw;

type List = Vec<(Vec<u8>, Option<Vec<u8>>)>;

pub(crate) fn check(vector: &Vector, problems: &mut Vec<String>) {
    let wire = vector.wire.bytes();
    let decoded = decode(&mut &wire[..]);
    compare("wire and headers", &decoded, &to_list(&vector.headers), problems);
    let headers = raw::headers(decoded.iter().map(|(key, value)| (&**key, value.as_deref())));
    let plain = Plain {
        headers: shown(&headers),
        value: |value| value.as_ref().map_or(FieldValue::Null, FieldValue::from),
        text: Some,
    };
    for outcome in &vector.outcomes {
        let forward = to_list(&outcome.forward);
        for rule in &outcome.conflict {
            for (path, propagation) in propagations(*rule) {
                let what = format!("{rule:?}, {path}");
                read(&what, &propagation, &headers.reader(), outcome, problems);
                read(&format!("{what}, generic carrier"), &propagation, &plain, outcome, problems);
                let cx = propagation.extract(&headers.reader());
                let (mut forwarded, mut generic) = (headers.clone(), plain.clone());
                inject_with(&propagation, &cx, &mut forwarded);
                propagation.inject(&cx, &mut generic);
                compare(&format!("{what}, forward"), &shown(&forwarded), &forward, problems);
                compare(&format!("{what}, generic forward"), &generic.headers, &forward, problems);
            }
        }
        if outcome.conflict.contains(&Conflict::Last) {
            read("default rule", &Propagation::w3c(), &headers.reader(), outcome, problems);
        }
    }
}

/// The headers as librdkafka shows them: a key ends at its first NUL.
fn shown(headers: &OwnedHeaders) -> List {
    let list = raw::list(Some(headers.as_borrowed())).into_iter();
    list.map(|(key, value)| (key.to_vec(), value.map(<[u8]>::to_vec))).collect()
}

fn to_list(headers: &[Header]) -> List {
    let copies = |header: &Header| vec![(header.key(), header.content()); header.times];
    headers.iter().flat_map(copies).collect()
}

/// Decodes the headers of a record (Kafka protocol guide, "Record Header"), which must be all of the bytes.
fn decode(wire: &mut &[u8]) -> List {
    let count = varint(wire);
    let headers = (0..count).map(|_| (bytes(wire).unwrap(), bytes(wire))).collect();
    assert!(wire.is_empty(), "bytes after the last header");
    headers
}

/// Bytes after their length; a negative length is null.
fn bytes(wire: &mut &[u8]) -> Option<Vec<u8>> {
    let length = usize::try_from(varint(wire)).ok()?;
    let (bytes, rest) = wire.split_at(length);
    *wire = rest;
    Some(bytes.to_vec())
}

/// A zig-zag variable-length integer.
fn varint(wire: &mut &[u8]) -> i32 {
    let (mut number, mut shift) = (0_u32, 0);
    loop {
        let (first, rest) = wire.split_first().unwrap();
        *wire = rest;
        number |= u32::from(first & 0x7f) << shift;
        shift += 7;
        if first & 0x80 == 0 {
            break;
        }
    }
    (number >> 1) as i32 ^ -((number & 1) as i32)
}
