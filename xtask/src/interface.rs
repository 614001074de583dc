//! `cargo xtask interface`: the public items of each library, and the foreign types in them, as text next to its manifest.

use std::fs;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context as _, ensure};

use crate::machine::{self, LIBRARIES, cargo, program, root, target};
use crate::progress::{SILENCE, say, step};
use crate::{run, rustdoc};

/// The Rust whose rustdoc writes the JSON that `carrier-interface` reads. Another one has another format and other paths of
/// the standard library.
const RUST: &str = "1.95.0";

/// Lines of a difference that are shown.
const SHOWN: usize = 30;

/// Writes the files, or only compares them; the exit code is 0 if they are fresh now.
pub(crate) fn interface(only_compare: bool) -> anyhow::Result<u8> {
    machine::provide_compilers()?;
    if only_compare {
        let mut all = run::All::default();
        check(&mut all)?;
        return Ok(all.result("every file is fresh"));
    }
    step("The public interface");
    for library in LIBRARIES {
        let (file, text) = (file(library), generate(library)?);
        fs::write(&file, text).with_context(|| format!("cannot write {}", file.display()))?;
        say(&format!("{} is written", file.display()));
    }
    Ok(0)
}

/// Fails if a file is stale.
pub(crate) fn check(all: &mut run::All) -> anyhow::Result<()> {
    step("The public interface, against the files in the repository");
    for library in LIBRARIES {
        let now = match generate(library) {
            Ok(now) => now,
            Err(error) => {
                all.fail(&format!("the interface of {library}: {error:#}"));
                continue;
            }
        };
        let before = fs::read_to_string(file(library)).unwrap_or_default();
        if now != before {
            let only = |one: &str, other: &str, sign: &str| -> Vec<String> {
                let lines = one.lines().filter(|line| !other.lines().any(|also| also == *line));
                lines.map(|line| format!("{sign}{line}")).collect()
            };
            let changes = [only(&before, &now, "-"), only(&now, &before, "+")].concat();
            changes.iter().take(SHOWN).for_each(|line| say(line));
            all.fail(&format!("{library}/interface.txt is stale: `cargo xtask interface` writes it"));
        }
    }
    Ok(())
}

fn file(library: &str) -> PathBuf {
    root().join(library).join("interface.txt")
}

fn generate(library: &str) -> anyhow::Result<String> {
    let mut rustdoc = pinned()?;
    rustdoc.args(["rustdoc", "--lib", "--all-features", "-p", library]);
    rustdoc.args(["--", "-Z", "unstable-options", "--output-format=json"]);
    let log = machine::state().join("rustdoc.log");
    run::logged(&format!("reading {library}"), rustdoc::unstable(&mut rustdoc)?, &log)?;

    let log = machine::state().join("interface.log");
    run::logged("building the printer", &mut cargo(&["build", "-p", "carrier-interface"]), &log)?;
    let mut printer = Command::new(target().join("debug/carrier-interface"));
    printer.arg(target().join("doc").join(library.replace('-', "_")).with_extension("json"));
    let items = run::ask(&mut printer, Duration::from_secs(60))?;
    Ok(format!(
        "Public items of {library} with all features. `cargo xtask interface` writes this file.\n\n{items}"
    ))
}

/// Returns the cargo of the Rust that is named above.
fn pinned() -> anyhow::Result<Command> {
    let here = run::ask(Command::new("rustc").arg("--version"), SILENCE)?;
    if here.starts_with(&format!("rustc {RUST} ")) {
        return Ok(cargo(&[]));
    }
    ensure!(
        program("rustup").is_some(),
        "its file is written with Rust {RUST}, and this is {}. rustup would install {RUST}; it is not here",
        here.trim()
    );
    let mut rustup = Command::new("rustup");
    rustup.current_dir(root()).args(["run", "--install", RUST, "cargo"]);
    Ok(rustup)
}
