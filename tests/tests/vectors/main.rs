//! The test vectors of `tests/vectors`, through every path of the libraries. No broker is needed.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod amqp;
mod check;
mod file;
mod kafka;
#[path = "../kafka/raw.rs"]
mod raw;

use std::collections::BTreeSet;
use std::thread;

use crate::file::{Conflict, Transport, Vector};

/// Room for a header that is nested a thousand deep: lapin decodes by recursion.
const STACK: usize = 64 << 20;

/// Checks every vector of a transport, and fails with the list of the problems.
fn check_all(transport: Transport, check: fn(&Vector, &mut Vec<String>)) {
    let run = move || {
        let mut problems = Vec::new();
        let files = file::all().into_iter().filter(|file| file.transport == transport);
        let vectors: Vec<Vector> = files.flat_map(|file| file.vectors).collect();
        assert!(vectors.len() > 200, "{} vectors", vectors.len());
        for vector in &vectors {
            let mut found = Vec::new();
            check(vector, &mut found);
            problems.extend(found.into_iter().map(|problem| format!("{}: {problem}", vector.id)));
        }
        problems
    };
    let thread = thread::Builder::new().stack_size(STACK).spawn(run).unwrap();
    let problems = thread.join().unwrap();
    assert!(problems.is_empty(), "\n{}\n", problems.join("\n"));
}

#[test]
fn field_tables_are_read_and_forwarded_as_their_vectors_say() {
    check_all(Transport::Amqp, amqp::check);
}

#[test]
fn record_headers_are_read_and_forwarded_as_their_vectors_say() {
    check_all(Transport::Kafka, kafka::check);
}

#[test]
fn every_vector_has_its_own_id_and_one_outcome_for_each_rule() {
    let mut ids = BTreeSet::new();
    for file in file::all() {
        assert_eq!(file.schema, "../schema.json");
        assert!(file.about.ends_with('.'));
        for vector in &file.vectors {
            assert!(vector.id.starts_with(&format!("{}/", file.path)), "{} is in {}", vector.id, file.path);
            assert!(ids.insert(vector.id.clone()), "{} is not unique", vector.id);
            assert!(vector.why.ends_with('.') && !vector.source.is_empty(), "{}", vector.id);
            let rules: Vec<Conflict> =
                vector.outcomes.iter().flat_map(|outcome| outcome.conflict.clone()).collect();
            assert_eq!(rules, [Conflict::Restart, Conflict::Last], "{}", vector.id);
        }
    }
}
