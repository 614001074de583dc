//! `cargo xtask fuzz`: coverage-guided tests of the libraries, for a bounded time.

use std::fs;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context as _, ensure};

use crate::progress::{go_on, say, step};
use crate::{machine, run};

/// The longest input: no limit of the libraries needs a longer one, since inputs can repeat bytes.
const MAX_BYTES: &str = "-max_len=1024";

/// Runs each target for its share of the time; the exit code is 1 if one fails.
pub(crate) fn fuzz(minutes: u64) -> anyhow::Result<u8> {
    machine::provide_compilers()?;
    step("Building with coverage of our crates");
    let rustc = run::ask(Command::new("rustc").arg("-vV"), Duration::from_secs(60))?;
    let host = rustc.lines().find_map(|line| line.strip_prefix("host: "));
    let host = host.context("rustc does not name its host")?;
    let (folder, state) = (machine::root().join("tests/fuzz"), machine::state().join("fuzz"));
    // With `--target`, build scripts and macros are built without these flags.
    let mut build = machine::cargo(&["build", "-p", "carrier-fuzz", "--profile=fuzz", "--target", host]);
    build.env("RUSTFLAGS", "--cfg=fuzzing").env("RUSTC_WORKSPACE_WRAPPER", folder.join("rustc.sh"));
    ensure!(run::status(build.arg("--target-dir").arg(&state))?.success(), "the targets cannot be built");

    let mut corpus = fs::read_dir(folder.join("corpus"))?.collect::<Result<Vec<_>, _>>()?;
    corpus.sort_by_key(fs::DirEntry::file_name);
    let seconds = (minutes * 60 / corpus.len().max(1) as u64).max(1);
    let (mut lines, mut failed, mut total) = (Vec::new(), false, 0);
    for target in corpus {
        let name = target.file_name().to_string_lossy().into_owned();
        let found = state.join("corpus").join(&name);
        fs::create_dir_all(&found)?;
        let mut run = Command::new(state.join(host).join("fuzz/carrier-fuzz"));
        run.env("CARRIER_FUZZ_TARGET", &name).args([MAX_BYTES, "-timeout=20", "-print_final_stats=1"]);
        run.arg(format!("-max_total_time={seconds}"));
        run.arg(format!("-artifact_prefix={}/{name}-", state.display()));
        let log = state.join(format!("{name}.log"));
        step(&format!("{name}, for {seconds} s"));
        // New inputs are kept in the first folder.
        let result = run::logged(&name, run.arg(found).arg(target.path()), &log);
        go_on()?;
        if let Err(error) = result {
            failed = true;
            say(&format!(
                "{error:#}\nTo repeat it: CARRIER_FUZZ_TARGET={name} cargo run -p carrier-fuzz -- <file>"
            ));
        }
        let text = fs::read(&log).map(|text| String::from_utf8_lossy(&text).into_owned())?;
        let count = text.lines().find_map(|line| line.strip_prefix("stat::number_of_executed_units:"));
        let count: u64 = count.and_then(|count| count.trim().parse().ok()).unwrap_or_default();
        lines.push(format!("{name:<12} {count:>12} executions"));
        total += count;
    }
    step("Result");
    lines.iter().for_each(|line| say(line));
    say(&format!("{:<12} {total:>12} executions", "all"));
    Ok(u8::from(failed))
}
