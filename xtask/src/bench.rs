//! `cargo xtask bench`: the cost of everything, as the tables of BENCHMARKS.md.

use std::path::PathBuf;
use std::process::Command;

use crate::machine::{self, LIBRARIES};
use crate::progress::step;
use crate::run;

/// How often a program is started, since the place of its memory influences its speed, and how many rounds it makes.
const STARTS: usize = 3;
const ROUNDS: &str = "7";

/// Measures, and writes the tables; a quick run only prints them.
pub(crate) fn bench(is_quick: bool) -> anyhow::Result<u8> {
    machine::provide_compilers()?;
    machine::provide("valgrind", &["valgrind"])?;
    let mut logs = Vec::new();
    let mut log = |what: &str, command: &mut Command| -> anyhow::Result<()> {
        let log: PathBuf =
            machine::state().join(format!("bench-{}-{}.log", logs.len(), what.replace(' ', "-")));
        run::logged(what, command, &log)?;
        logs.push(log);
        Ok(())
    };

    step("Building what measures");
    log("building", bench_of("ratios").arg("--no-run"))?;
    step("Time, each case in turn with its floors");
    let (starts, rounds) = if is_quick { (1, "1") } else { (STARTS, ROUNDS) };
    for _ in 0..starts {
        log("measuring time", bench_of("ratios").args(["--", "--rounds", rounds]))?;
    }
    step("Allocations");
    let mut allocations = of_all("test");
    allocations.args(["--test", "allocations", "--test", "limits", "nothing_allocates_more"]);
    log("counting allocations", allocations.args(["--", "--nocapture"]))?;
    step("Instructions under Valgrind");
    log("counting instructions", &mut bench_of("instructions"))?;

    step("Result");
    let mut tables = machine::cargo(&["run", "--quiet", "-p", "carrier-measure", "--"]);
    Ok(u8::from(!run::status(tables.args(is_quick.then_some("--quick")).args(logs))?.success()))
}

/// The cases of all libraries at once, so that cargo chooses the features of their shared dependencies once.
fn of_all(command: &str) -> Command {
    let mut cargo = machine::cargo(&[command, "--all-features"]);
    cargo.args(LIBRARIES.iter().flat_map(|library| ["-p", library]));
    cargo
}

fn bench_of(target: &str) -> Command {
    let mut cargo = of_all("bench");
    cargo.args(["--bench", target]);
    cargo
}
