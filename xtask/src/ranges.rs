//! The version ranges of the manifests: both ends are built and tested, and so are the declared Rust versions.
//!
//! The upper end is `Cargo.lock`. The lower end is `tests/lower/Cargo.lock`: each direct dependency of each package has the
//! lowest version that its manifest allows. It is used in a workspace of links to this one.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::os::unix::fs::symlink;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use anyhow::Context as _;
use serde_json::Value;

use crate::machine::{self, LIBRARIES};
use crate::progress::{say, step};
use crate::run::{self, All};

/// Transitive dependencies of the lower end that are not the newest: carrier-kafka reads librdkafka's structures.
const PINNED: [(&str, &str); 1] = [("rdkafka-sys", "4.9.0+2.10.0")];

/// Packages whose tests need no broker.
const TESTED: [&str; 4] = [LIBRARIES[0], LIBRARIES[1], LIBRARIES[2], "carrier-adapter-test"];

/// The steps of `cargo xtask check`.
pub(crate) fn check(all: &mut All) -> anyhow::Result<()> {
    let lower = Lower::new()?;
    for (words, lock) in [(lower.words(), "tests/lower/Cargo.lock"), (vec![], "Cargo.lock")] {
        let packages = Packages::of(&words)?;
        step(&format!("Tests that need no broker, with the versions of {lock}"));
        for (name, minimum) in LIBRARIES.iter().flat_map(|library| packages.newer_rust(library)) {
            all.fail(&format!("{name} of {lock} needs a newer Rust than {minimum}"));
        }
        if !words.is_empty() {
            for difference in packages.not_lowest() {
                all.fail(&format!("{difference} (`cargo xtask lower` resolves the lowest versions again)"));
            }
        }
        let mut test = machine::cargo(&["test", "--locked", "--all-features", "--no-fail-fast"]);
        test.args(&words).args(TESTED.iter().flat_map(|package| ["-p", package]));
        all.show(&mut test)?;
        if words.is_empty() {
            rust_versions(&packages, all)?;
        }
    }
    Ok(())
}

/// Arguments for the tests on real brokers with the lowest versions. `cargo xtask test` runs them, since it has brokers.
pub(crate) fn lower_words() -> anyhow::Result<Vec<String>> {
    let mut words = Lower::new()?.words();
    words.extend(["--locked", "-p", "carrier-tests", "--all-features"].map(str::to_owned));
    Ok(words)
}

/// `cargo xtask lower`: writes `tests/lower/Cargo.lock` again.
pub(crate) fn resolve() -> anyhow::Result<u8> {
    step("The lowest versions that the manifests allow");
    let lower = Lower::new()?;
    let mut all = All::default();
    // The option is not stable, and the variable lets a stable cargo have it.
    let mut generate = machine::cargo(&["-Z", "direct-minimal-versions", "generate-lockfile"]);
    all.show(generate.args(lower.manifest()).env("RUSTC_BOOTSTRAP", "1"))?;
    for (name, version) in PINNED {
        let mut pin = machine::cargo(&["update", name, "--precise", version]);
        all.show(pin.args(lower.manifest()))?;
    }
    let code = all.result("tests/lower/Cargo.lock has the lowest versions");
    if code == 0 {
        fs::copy(lower.0.join("Cargo.lock"), lock_of_lower())
            .context("cannot write tests/lower/Cargo.lock")?;
    }
    Ok(code)
}

fn lock_of_lower() -> PathBuf {
    machine::root().join("tests/lower/Cargo.lock")
}

/// A workspace with the same manifests and sources, and another lock file.
struct Lower(PathBuf);

impl Lower {
    fn new() -> anyhow::Result<Self> {
        let folder = machine::state().with_file_name("lower");
        let made = || -> std::io::Result<()> {
            if folder.exists() {
                fs::remove_dir_all(&folder)?;
            }
            fs::create_dir_all(&folder)?;
            for entry in fs::read_dir(machine::root())? {
                let name = entry?.file_name();
                let text = name.to_string_lossy();
                if !text.starts_with('.') && text != "target" && text != "Cargo.lock" {
                    symlink(machine::root().join(&name), folder.join(&name))?;
                }
            }
            // `resolve` can write the first one.
            if lock_of_lower().exists() {
                fs::copy(lock_of_lower(), folder.join("Cargo.lock"))?;
            }
            Ok(())
        };
        made().with_context(|| format!("cannot make the workspace {}", folder.display()))?;
        Ok(Self(folder))
    }

    fn manifest(&self) -> [String; 2] {
        ["--manifest-path".to_owned(), self.0.join("Cargo.toml").display().to_string()]
    }

    /// Arguments for cargo. Both ends have one target folder, so that they share what is the same in both.
    fn words(&self) -> Vec<String> {
        let target = self.0.with_file_name("");
        let target = ["--target-dir".to_owned(), target.display().to_string()];
        self.manifest().into_iter().chain(target).collect()
    }
}

/// What cargo says of the packages of a lock file.
struct Packages {
    packages: BTreeMap<String, Value>,
    /// The dependencies of each package: the id of the package, and whether it is only for tests.
    resolved: BTreeMap<String, Vec<(String, bool)>>,
    members: Vec<String>,
}

impl Packages {
    /// Fails if the lock file does not fit the manifests.
    fn of(words: &[String]) -> anyhow::Result<Self> {
        let mut command = machine::cargo(&["metadata", "--locked", "--all-features", "--format-version=1"]);
        command.args(words.iter().take(2));
        let text = run::ask(&mut command, Duration::from_secs(300))?;
        let metadata: Value = serde_json::from_str(&text).context("cannot read what cargo says of itself")?;
        let resolved = array(&metadata["resolve"]["nodes"]).map(|node| {
            let dependencies = array(&node["deps"]).map(|dependency| {
                let is_for_tests = array(&dependency["dep_kinds"]).all(|kind| kind["kind"] == "dev");
                (text_of(&dependency["pkg"]), is_for_tests)
            });
            (text_of(&node["id"]), dependencies.collect())
        });
        Ok(Self {
            packages: array(&metadata["packages"]).map(|one| (text_of(&one["id"]), one.clone())).collect(),
            resolved: resolved.collect(),
            members: array(&metadata["workspace_members"]).map(text_of).collect(),
        })
    }

    fn named(&self, name: &str) -> Option<(&String, &Value)> {
        self.packages.iter().find(|(id, package)| package["name"] == name && self.members.contains(id))
    }

    fn dependencies(&self, id: &str) -> impl Iterator<Item = &(String, bool)> {
        self.resolved.get(id).into_iter().flatten()
    }

    /// The direct dependencies that have another version than the lowest of their requirement.
    fn not_lowest(&self) -> Vec<String> {
        let mut differences = Vec::new();
        for id in &self.members {
            let package = &self.packages[id];
            for wanted in array(&package["dependencies"]).filter(|wanted| !wanted["source"].is_null()) {
                let lowest = lowest(&text_of(&wanted["req"]));
                let found = self.dependencies(id).filter_map(|(id, _)| self.packages.get(id));
                let mut versions =
                    found.filter(|found| found["name"] == wanted["name"]).map(|found| &found["version"]);
                if !versions.any(|version| text_of(version) == lowest) {
                    differences.push(format!(
                        "{} has {} not in {lowest}, the lowest version of its manifest",
                        text_of(&package["name"]),
                        text_of(&wanted["name"])
                    ));
                }
            }
        }
        differences
    }

    /// The dependencies of a library that declare a newer Rust version than the library does, and what it declares.
    fn newer_rust(&self, library: &str) -> Vec<(String, String)> {
        let Some((id, package)) = self.named(library) else { return Vec::new() };
        let declared = text_of(&package["rust_version"]);
        let (mut seen, mut open) = (BTreeSet::new(), vec![id]);
        while let Some(id) = open.pop() {
            if seen.insert(id) {
                open.extend(
                    self.dependencies(id).filter(|(_, is_for_tests)| !is_for_tests).map(|(id, _)| id),
                );
            }
        }
        let dependencies = seen.into_iter().filter_map(|id| self.packages.get(id));
        dependencies
            .filter(|one| numbers(&text_of(&one["rust_version"])) > numbers(&declared))
            .map(|one| (format!("{} {}", text_of(&one["name"]), text_of(&one["version"])), declared.clone()))
            .collect()
    }
}

fn array(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}

fn text_of(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

/// The lowest version of a requirement as cargo writes it, such as `>=0.32, <0.34`.
fn lowest(requirement: &str) -> String {
    let first = requirement.split(',').next().unwrap_or_default();
    let mut version = first.trim_start_matches(|c: char| !c.is_ascii_digit()).to_owned();
    while version.split('.').count() < 3 {
        version.push_str(".0");
    }
    version
}

/// A Rust version with three numbers; nothing is lower than all of them.
fn numbers(version: &str) -> Vec<u32> {
    let mut numbers: Vec<u32> = version.split('.').filter_map(|part| part.parse().ok()).collect();
    numbers.resize(3, 0);
    numbers
}

/// Compiles each library with the Rust version that it declares.
fn rust_versions(packages: &Packages, all: &mut All) -> anyhow::Result<()> {
    let mut declared = BTreeMap::<String, Vec<&str>>::new();
    for library in LIBRARIES {
        let version = packages.named(library).map(|(_, package)| lowest(&text_of(&package["rust_version"])));
        declared.entry(version.unwrap_or_default()).or_default().push(library);
    }
    for (version, libraries) in declared {
        step(&format!("Rust {version}, which {} declare", libraries.join(" and ")));
        let mut install = Command::new("rustup");
        install.args(["toolchain", "install", &version, "--profile", "minimal", "--no-self-update"]);
        let log = machine::state().join("rustup.log");
        if let Err(error) = run::logged(&format!("installing Rust {version}"), &mut install, &log) {
            say(&format!("{error:#}\nleft out; only what the dependencies declare was compared"));
            continue;
        }
        let mut check = machine::without_package(Command::new("rustup"));
        check.args(["run", &version, "cargo", "check", "--locked", "--all-features"]);
        // Nothing is linked, so librdkafka is not built.
        let skipped =
            format!("target.{}-unknown-linux-gnu.rdkafka.rustc-link-lib=['rdkafka']", std::env::consts::ARCH);
        check.args(["--config", &skipped]);
        all.show(check.args(libraries.iter().flat_map(|library| ["-p", library])))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_lowest_version_of_a_requirement_has_three_numbers() {
        for (requirement, version) in
            [("^1.0.219", "1.0.219"), (">=0.32, <0.34", "0.32.0"), ("^4", "4.0.0"), ("=3.0.10", "3.0.10")]
        {
            assert_eq!(lowest(requirement), version);
        }
    }

    #[test]
    fn rust_versions_are_compared_by_number() {
        assert!(numbers("1.100") > numbers("1.88.0"));
        assert_eq!(numbers("1.85"), numbers("1.85.0"));
        assert!(numbers("") < numbers("1.31"));
    }
}
