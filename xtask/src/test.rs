//! `cargo xtask test`: every test, with and without optional features, and nothing left behind.

use std::time::Instant;

use crate::images::{self, Environment};
use crate::machine::{self, LIBRARIES, variable};
use crate::progress::{say, step};
use crate::{ranges, run};

/// Runs tests under memcheck, in the package's folder. An error or a lost block fails.
const MEMCHECK: &str = r#"target."cfg(all())".runner = ["valgrind", "--quiet", "--error-exitcode=9", "--leak-check=full",
    "--show-leak-kinds=definite", "--errors-for-leak-kinds=definite", "--suppressions=../tests/memcheck.supp"]"#;

/// Runs the tests; the exit code is 0 if all passed and no container was left.
pub(crate) fn test(arguments: &[String]) -> anyhow::Result<u8> {
    let began = Instant::now();
    machine::provide_compilers()?;
    images::with_brokers(|environment| {
        let all = all(arguments, environment)?;
        step(&format!("After {} s", began.elapsed().as_secs()));
        Ok(all.result("every test passed"))
    })
}

fn all(arguments: &[String], environment: &Environment) -> anyhow::Result<run::All> {
    let mut all = run::All::default();
    let cargo_test = |words: &[&str]| {
        let mut command = machine::cargo(&["test", "--no-fail-fast"]);
        command.args(words).args(arguments).envs(environment.iter().cloned());
        if variable("RUST_TEST_THREADS").is_none() {
            // They wait for brokers more than they compute.
            command.env("RUST_TEST_THREADS", "8");
        }
        command
    };
    step("Tests with every feature, against real brokers");
    // `cargo test -- -p one-package` is about that package alone.
    if arguments.iter().take_while(|word| *word != "--").any(|word| word == "-p" || word == "--package") {
        all.show(&mut cargo_test(&["--all-features"]))?;
        return Ok(all);
    }
    all.show(&mut cargo_test(&["--workspace", "--all-features"]))?;
    for library in LIBRARIES {
        step(&format!("Tests of {library} without its features"));
        all.show(&mut cargo_test(&["-p", library, "--no-default-features"]))?;
    }
    step("Tests on real brokers with the lowest versions that the manifests allow");
    let lower = ranges::lower_words()?;
    all.show(&mut cargo_test(&lower.iter().map(String::as_str).collect::<Vec<_>>()))?;
    step("The unit tests of carrier-kafka, which has the unsafe code, under Valgrind");
    // What nobody checked does not pass: this step and the next one fail without Valgrind.
    if let Err(error) = machine::provide("valgrind", &["valgrind"]) {
        say(&format!("{error:#}"));
    }
    let mut memory =
        machine::cargo(&["test", "-p", "carrier-kafka", "--all-features", "--lib", "--config", MEMCHECK]);
    // Twenty times slower, and random cases repeat the same accesses.
    all.show(memory.env("PROPTEST_CASES", "16"))?;
    step("Instructions under Valgrind, against the limits in tests/measure/limits.txt");
    for library in LIBRARIES {
        all.show(&mut machine::cargo(&[
            "bench",
            "-p",
            library,
            "--all-features",
            "--bench",
            "instructions",
        ]))?;
    }
    Ok(all)
}
