//! Rules about the repository that no compiler checks.

#![allow(clippy::panic, reason = "a test fails by panicking")]

mod archive;
mod arrows;
mod contract;
mod graph;
mod imports;
mod names;
mod pages;
mod size;
mod source;
mod twins;

use std::fs;
use std::path::{Path, PathBuf};

const LIBRARIES: [&str; 3] = ["carrier-core", "carrier-amqp", "carrier-kafka"];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

fn read(path: &str) -> String {
    fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// All files of a folder and its subfolders, as paths from the root of the repository, in order.
fn files(folder: &str) -> Vec<String> {
    let entries = fs::read_dir(root().join(folder)).unwrap_or_else(|error| panic!("{folder}: {error}"));
    let mut paths: Vec<String> = entries
        .filter_map(Result::ok)
        .flat_map(|entry| {
            let path = format!("{folder}/{}", entry.file_name().to_string_lossy());
            if entry.path().is_dir() { files(&path) } else { vec![path] }
        })
        .collect();
    paths.sort();
    paths
}

/// Panics with the list of what is wrong, unless the list is empty.
fn assert_none(problems: &[String]) {
    assert!(problems.is_empty(), "\n{}\n", problems.join("\n"));
}
