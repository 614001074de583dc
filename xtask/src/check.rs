//! `cargo xtask check`: formatting, lints, documentation, and every feature on its own.

use std::fs;
use std::process::Command;

use anyhow::Context as _;

use crate::test::LIBRARIES;
use crate::{machine, run, signals};

/// Runs every check, and returns 0 where all passed.
pub(crate) fn check() -> anyhow::Result<u8> {
    machine::provide_compilers()?;
    let mut failed = Vec::new();
    let mut one = |command: &mut Command| -> anyhow::Result<()> {
        let shown = run::name(command);
        if !run::show(command)? {
            anyhow::ensure!(!signals::interrupted(), "interrupted");
            failed.push(shown);
        }
        Ok(())
    };

    run::step("Formatting");
    one(&mut cargo(&["fmt", "--all", "--check"]))?;

    run::step("Lints of everything");
    one(&mut cargo(&["clippy", "--workspace", "--all-targets", "--all-features", "--", "-D", "warnings"]))?;

    run::step("Documentation");
    let mut documentation = cargo(&["doc", "--no-deps", "--all-features"]);
    documentation.args(LIBRARIES.iter().flat_map(|library| ["-p", library]));
    one(documentation.env("RUSTDOCFLAGS", "-D warnings"))?;

    for library in LIBRARIES {
        run::step(&format!("{library} without features, with each, and with all"));
        let features = features(library)?;
        let mut choices = vec![Vec::new()];
        choices.extend(features.iter().map(|feature| vec!["--features", feature]));
        if features.len() > 1 {
            choices.push(vec!["--all-features"]);
        }
        for choice in choices {
            let mut clippy = cargo(&["clippy", "-p", library, "--no-default-features"]);
            one(clippy.args(choice).args(["--", "-D", "warnings"]))?;
        }
    }

    run::step("Licences and advisories of the dependencies");
    if machine::program("cargo-deny").is_some() {
        one(&mut cargo(&["deny", "check"]))?;
    } else {
        run::say("left out: cargo-deny is not installed (`cargo install cargo-deny` installs it)");
    }

    run::step("Result");
    if failed.is_empty() {
        run::say("every check passed");
        return Ok(0);
    }
    for command in failed {
        run::say(&format!("FAILED: {command}"));
    }
    Ok(1)
}

fn cargo(words: &[&str]) -> Command {
    let mut cargo = machine::cargo();
    cargo.args(words);
    cargo
}

fn features(library: &str) -> anyhow::Result<Vec<String>> {
    let path = machine::root().join(library).join("Cargo.toml");
    let manifest = fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
    Ok(named_features(&manifest))
}

/// Returns the keys of `[features]` but `default`. An optional dependency is reached through a named feature
/// (`dep:`) in these manifests, so there are no others.
fn named_features(manifest: &str) -> Vec<String> {
    let table = manifest
        .lines()
        .skip_while(|line| line.trim() != "[features]")
        .skip(1)
        .take_while(|line| !line.starts_with('['));
    let keys = table.filter_map(|line| {
        let key = line.split_once('=')?.0.trim().trim_matches('"');
        let name = !key.is_empty() && key.chars().all(|c| c.is_ascii_alphanumeric() || "-_".contains(c));
        (name && key != "default").then(|| key.to_owned())
    });
    keys.collect()
}

#[cfg(test)]
mod tests {
    use super::named_features;

    #[test]
    fn features_are_the_keys_of_their_table() {
        let manifest = "\
[package]
name = \"a\"

[features]
# Not a = feature.
default = []
http = [\"dep:http\"]
long = [
    \"http\",
]
[dependencies]
other = \"1\"
";
        assert_eq!(named_features(manifest), ["http", "long"]);
        assert!(named_features("[dependencies]\na = \"1\"\n").is_empty());
    }
}
