//! `cargo xtask check`: formatting, lints, documentation, and every feature on its own.

use std::process::Command;
use std::time::Duration;

use anyhow::Context as _;
use serde_json::Value;

use crate::machine::{self, LIBRARIES, cargo};
use crate::progress::{say, step};
use crate::run;

/// Runs every check, and returns 0 if all passed.
pub(crate) fn check() -> anyhow::Result<u8> {
    machine::provide_compilers()?;
    let mut all = run::All::default();
    let mut one = |command: &mut Command| all.show(command);

    step("Formatting");
    one(&mut cargo(&["fmt", "--all", "--check"]))?;

    step("Lints of everything");
    one(&mut cargo(&["clippy", "--workspace", "--all-targets", "--all-features", "--", "-D", "warnings"]))?;

    step("Documentation");
    let mut documentation = cargo(&["doc", "--no-deps", "--all-features"]);
    documentation.args(LIBRARIES.iter().flat_map(|library| ["-p", library]));
    one(documentation.env("RUSTDOCFLAGS", "-D warnings"))?;

    let metadata =
        run::ask(&mut cargo(&["metadata", "--no-deps", "--format-version=1"]), Duration::from_secs(60))?;
    let metadata: Value = serde_json::from_str(&metadata).context("cannot read what cargo says of itself")?;
    for library in LIBRARIES {
        step(&format!("{library} without features, with each, and with all"));
        let packages = metadata["packages"].as_array().into_iter().flatten();
        let features = packages.filter(|package| package["name"] == library);
        let features =
            features.filter_map(|package| package["features"].as_object()).flat_map(|map| map.keys());
        let each = features.filter(|name| *name != "default").map(|name| format!("--features={name}"));
        let alone = ["--features=".to_owned()].into_iter().chain(each);
        for choice in alone.chain(["--all-features".to_owned()]) {
            let words = ["clippy", "-p", library, "--no-default-features", &choice, "--", "-D", "warnings"];
            one(&mut cargo(&words))?;
        }
    }

    step("Licences and advisories of the dependencies");
    if machine::program("cargo-deny").is_some() {
        one(&mut cargo(&["deny", "check"]))?;
    } else {
        say("left out: cargo-deny is not installed (`cargo install cargo-deny` installs it)");
    }

    step("Result");
    Ok(all.result("every check passed"))
}
