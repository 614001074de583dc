//! What is written in two places is the same in both.

#![allow(clippy::panic, reason = "a test fails by panicking")]

use std::fs;
use std::path::Path;

const LIBRARIES: [&str; 3] = ["carrier-core", "carrier-amqp", "carrier-kafka"];

fn read(path: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(path);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// The value of `key = "…"`, or of `version = "…"` in `key = { … }`, the first in a manifest.
fn value(manifest: &str, key: &str) -> String {
    let line = read(manifest)
        .lines()
        .find(|line| line.split([' ', '.']).next() == Some(key) && line.contains('"'))
        .map(str::to_owned)
        .unwrap_or_else(|| panic!("{manifest} has no {key}"));
    let from = line.find("version = \"").map_or(0, |at| at + "version = ".len());
    line[from..].split('"').nth(1).map(str::to_owned).unwrap_or_else(|| panic!("{line}"))
}

/// The cells of the README's version table, by its headings.
fn version_table() -> Vec<(String, String)> {
    let readme = read("README.md");
    let mut rows = readme.lines().skip_while(|line| !line.starts_with("| carrier |"));
    let mut cells = || -> Vec<String> {
        let row = rows.next().unwrap_or_default();
        row.trim_matches('|').split('|').map(|cell| cell.trim().to_owned()).collect()
    };
    let (headings, _, versions) = (cells(), cells(), cells());
    headings.into_iter().zip(versions).collect()
}

fn in_readme(heading: &str) -> String {
    let table = version_table();
    let cell = table.into_iter().find(|(name, _)| name == heading);
    cell.unwrap_or_else(|| panic!("the README's table has no {heading}")).1
}

#[test]
fn the_readme_names_the_versions_of_the_manifest() {
    let names = [
        "opentelemetry",
        "opentelemetry_sdk",
        "opentelemetry-otlp",
        "tracing-opentelemetry",
        "lapin",
        "rdkafka",
    ];
    for name in names {
        assert_eq!(in_readme(name), lines_of(&value("Cargo.toml", name)), "{name}");
    }
    for library in LIBRARIES {
        assert!(version_of(library).starts_with(&(in_readme("carrier") + ".")), "{library}");
    }
}

/// The release lines of a requirement: `0.32, 0.33` of `>=0.32, <0.34`.
fn lines_of(requirement: &str) -> String {
    let Some((from, to)) = requirement.strip_prefix(">=0.").and_then(|rest| rest.split_once(", <0.")) else {
        return requirement.to_owned();
    };
    let number = |text: &str| text.parse::<u32>().unwrap_or_else(|error| panic!("{requirement}: {error}"));
    (number(from)..number(to)).map(|line| format!("0.{line}")).collect::<Vec<_>>().join(", ")
}

fn version_of(library: &str) -> String {
    value(&format!("{library}/Cargo.toml"), "version")
}

#[test]
fn the_readme_names_the_minimum_rust_versions_of_the_crates() {
    let versions = ["carrier-amqp", "carrier-core", "carrier-kafka"]
        .map(|name| value(&format!("{name}/Cargo.toml"), "rust-version"));
    let [amqp, core, kafka] = versions;
    assert_eq!(core, kafka);
    assert_eq!(in_readme("Rust"), format!("{amqp} (core and Kafka: {core})"));
}

#[test]
fn a_compatible_release_of_a_library_fits_the_others() {
    for name in LIBRARIES {
        let (required, version) = (value("Cargo.toml", name), version_of(name));
        // A caret requirement of the same 0.x line, which is not newer than the library.
        let numbers = |text: &str| text.split('.').map(str::parse).collect::<Result<Vec<u32>, _>>();
        let (Ok(required), Ok(version)) = (numbers(&required), numbers(&version)) else {
            panic!("{name}: {required} is no caret requirement");
        };
        assert!(required[..2] == version[..2] && required <= version, "{name}: {required:?}, {version:?}");
    }
}

#[test]
fn the_changelog_has_each_librarys_version() {
    let page = read("CHANGELOG.md");
    for library in LIBRARIES {
        let release = format!("{library} {}", version_of(library));
        let mut headings = page.lines().filter(|line| line.starts_with("## "));
        assert!(headings.any(|line| line.contains(&release)), "{release}");
    }
}

#[test]
fn the_changelog_names_the_clients_of_the_readme() {
    let line =
        ["opentelemetry", "lapin", "rdkafka"].map(|name| format!("{name} {}", in_readme(name))).join("; ");
    assert!(read("CHANGELOG.md").contains(&line), "{line}");
}

/// All Rust source of a folder of the workspace, as one text.
fn source(folder: &Path) -> String {
    let entries = fs::read_dir(folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    entries.filter_map(Result::ok).map(|entry| entry.path()).fold(String::new(), |text, path| {
        if path.is_dir() {
            text + &source(&path)
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            text + &fs::read_to_string(&path).unwrap_or_default()
        } else {
            text
        }
    })
}

/// The names of tests in the last cells of a page's tables.
fn named_tests(page: &str) -> Vec<String> {
    let page = read(page);
    let cells = page.lines().filter_map(|line| line.strip_suffix(" |")?.rsplit(" | ").next());
    let names = cells.flat_map(|cell| cell.split('`').skip(1).step_by(2));
    let is_test = |name: &&str| name.matches('_').count() > 2 && !name.contains(char::is_uppercase);
    names.filter(is_test).map(str::to_owned).collect()
}

#[test]
fn every_test_that_a_page_names_exists() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let folders = ["carrier-core", "carrier-amqp", "carrier-kafka", "tests"];
    let code: String = folders.iter().map(|folder| source(&root.join(folder))).collect();
    let pages = [
        ("carrier-core/CONFORMANCE.md", 50),
        ("carrier-amqp/INSTRUMENTATION.md", 20),
        ("carrier-kafka/INSTRUMENTATION.md", 12),
    ];
    for (page, at_least) in pages {
        let names = named_tests(page);
        assert!(names.len() > at_least, "{page} names {} tests", names.len());
        for name in names {
            assert!(code.contains(&format!("fn {name}(")), "{page}: there is no test {name}");
        }
    }
}
