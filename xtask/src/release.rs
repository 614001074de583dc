//! `cargo xtask release --dry-run`: the steps of RELEASING.md up to the one that publishes.

use std::fs;

use anyhow::Context as _;

use crate::libraries::Library;
use crate::machine::{self, cargo, root, target};
use crate::progress::{say, step};
use crate::{dependencies, documentation, interface, run, semver};

/// Checks the libraries whose version has no tag yet, and returns 0 if they can be published.
pub(crate) fn rehearse() -> anyhow::Result<u8> {
    machine::provide_compilers()?;
    let mut all = run::All::default();
    let libraries = Library::all()?;
    let (old, new): (Vec<_>, Vec<_>) =
        libraries.iter().partition(|library| library.releases().contains(&library.tag()));

    step("Versions");
    let changes = fs::read_to_string(root().join("CHANGELOG.md")).context("cannot read CHANGELOG.md")?;
    old.iter().for_each(|library| say(&format!("{} is released: git has its tag", library.tag())));
    for Library { name, version, .. } in &new {
        say(&format!("{name} {version} is new"));
        let is_named = |line: &&str| line.starts_with("## ") && line.contains(&format!("{name} {version}"));
        match changes.lines().find(is_named) {
            None => all.fail(&format!("CHANGELOG.md has no heading with `{name} {version}`")),
            Some(heading) if heading.ends_with("not released") => {
                say(&format!("CHANGELOG.md has `{heading}`: write the date there before you publish"));
            }
            Some(_) => {}
        }
    }
    if new.is_empty() {
        say("nothing to release: raise a version first");
        return Ok(0);
    }
    interface::check(&mut all)?;
    semver::check(&libraries, &mut all)?;
    dependencies::check(&mut all)?;
    documentation::check(&libraries, true, &mut all)?;

    step("Each library from its archive");
    let packages: Vec<&str> = new.iter().flat_map(|library| ["-p", library.name]).collect();
    // The workspace's profile is not in the archives; with the same one, dependencies are built once.
    let profile = ("CARGO_PROFILE_DEV_DEBUG", "line-tables-only");
    let mut publish = cargo(&["publish", "--dry-run", "--all-features"]);
    all.show(publish.args(&packages).env(profile.0, profile.1).env("CARGO_TARGET_DIR", target()))?;

    for library in &new {
        step(&format!("Tests of {} in its archive", library.name));
        let archive = |library: &Library| {
            target().join("package").join(format!("{}-{}", library.name, library.version))
        };
        let mut test = cargo(&["test", "--all-features"]);
        test.current_dir(archive(library)).env(profile.0, profile.1).env("CARGO_TARGET_DIR", target());
        // Not on crates.io yet.
        for other in new.iter().filter(|other| other.name == "carrier-core" && library.name != other.name) {
            let path = archive(other);
            test.arg("--config").arg(format!("patch.crates-io.{}.path={path:?}", other.name));
        }
        all.show(&mut test)?;
    }

    step("Result");
    let commands = new.iter().map(|library| format!("git tag {}", library.tag()));
    let publish = format!("cargo publish {}", packages.join(" "));
    let commands = [publish].into_iter().chain(commands).chain(["git push --tags".to_owned()]);
    let success =
        commands.fold("ready. What is left:".to_owned(), |text, command| format!("{text}\n       {command}"));
    Ok(all.result(&success))
}
