//! `cargo xtask bench`: what everything costs, as BENCHMARKS.md and a picture.

mod curves;
mod facts;
mod found;
mod notes;
mod plot;
mod report;
mod targets;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::Context as _;

use self::facts::Facts;
use self::found::Found;
use crate::test::LIBRARIES;
use crate::{machine, run};

/// How often a program is started, since where its memory lies has a part in how quick it is, and how many rounds it makes.
const STARTS: usize = 3;
const ROUNDS: &str = "7";

/// Measures, and writes the report; a quick run writes it below `target` instead.
pub(crate) fn bench(is_quick: bool) -> anyhow::Result<u8> {
    machine::provide_compilers()?;
    machine::provide("valgrind", &["valgrind"])?;
    let mut found = Found::default();

    run::step("Building what measures");
    read(&mut found, "building", bench_of("ratios").arg("--no-run"))?;
    let others = read(&mut found, "building the peers", &mut peers("build"));
    if let Err(error) = &others {
        run::say(&format!("published crates are left out: {error:#}"));
    }

    run::step("Time, each case in turn with its floor");
    let before = facts::load().unwrap_or_default();
    let (starts, rounds) = if is_quick { (1, "1") } else { (STARTS, ROUNDS) };
    for _ in 0..starts {
        read(&mut found, "measuring time", bench_of("ratios").args(["--", "--rounds", rounds]))?;
        if others.is_ok() {
            read(&mut found, "measuring the peers", peers("run").args(["--", "--rounds", rounds]))?;
        }
    }
    let after = facts::load().unwrap_or_default();

    run::step("Allocations");
    let mut allocations = cargo_for("test");
    allocations.args([
        "--test",
        "allocations",
        "--test",
        "limits",
        "nothing_allocates_more",
        "--",
        "--nocapture",
    ]);
    read(&mut found, "counting allocations", &mut allocations)?;
    run::step("Instructions under Valgrind");
    read(&mut found, "counting instructions", &mut bench_of("instructions"))?;

    run::step("Result");
    let end_to_end = fs::read_to_string(machine::root().join("target/load.md")).ok();
    let report = report::report(&found, &Facts::here(), (before, after), end_to_end.as_deref());
    let place = if is_quick { machine::state().join("bench") } else { machine::root() };
    write(&place.join("BENCHMARKS.md"), &report)?;
    write(&place.join("tests/measure/benchmarks.svg"), &plot::svg(&curves::panels(&found)))?;
    Ok(0)
}

/// The cases of all libraries at once, so that cargo chooses the features of what they share once.
fn cargo_for(command: &str) -> Command {
    let mut cargo = machine::cargo();
    cargo.arg(command).args(LIBRARIES.iter().flat_map(|library| ["-p", library])).arg("--all-features");
    cargo
}

fn bench_of(target: &str) -> Command {
    let mut cargo = cargo_for("bench");
    cargo.args(["--bench", target]);
    cargo
}

/// The package that depends on published crates, one of which asks for a newer compiler than it needs.
fn peers(command: &str) -> Command {
    let mut cargo = machine::cargo();
    cargo.current_dir(machine::root().join("tests/peers"));
    cargo.args([command, "--release", "--ignore-rust-version", "--target-dir", "../../target/peers"]);
    cargo
}

/// Runs one program, and reads what it printed.
fn read(found: &mut Found, what: &str, command: &mut Command) -> anyhow::Result<()> {
    let log: PathBuf = machine::state().join(format!("bench-{}.log", what.replace(' ', "-")));
    run::logged(what, command, &log)?;
    let output = fs::read_to_string(&log).with_context(|| format!("cannot read {}", log.display()))?;
    found.read(&output);
    Ok(())
}

fn write(path: &Path, text: &str) -> anyhow::Result<()> {
    let folder = path.parent().unwrap_or(path);
    fs::create_dir_all(folder).with_context(|| format!("cannot create {}", folder.display()))?;
    fs::write(path, text).with_context(|| format!("cannot write {}", path.display()))?;
    run::say(&format!("wrote {}", path.display()));
    Ok(())
}
