//! `cargo xtask test`: every test, with and without optional features, and nothing left behind.

use std::process::Command;
use std::time::Instant;

use anyhow::Context as _;

use crate::containers::{self, Run};
use crate::images::{self, Image, KAFKA, RABBITMQ};
use crate::machine::variable;
use crate::{engine, machine, run, signals};

/// The libraries whose features are switched off in turn.
pub(crate) const LIBRARIES: [&str; 3] = ["carrier-core", "carrier-amqp", "carrier-kafka"];

/// Runs the tests; the exit code is 0 where all passed and no container was left.
pub(crate) fn test(arguments: &[String]) -> anyhow::Result<u8> {
    let began = Instant::now();
    machine::provide_compilers()?;
    let run_id = Run::new();
    let mut environment = vec![(containers::VARIABLE, run_id.id().to_owned())];
    let engine_used = provide(&mut environment).context(
        "the tests need real brokers, and there are none (AMQP_URL and KAFKA_BROKERS can name ones that already run)",
    )?;
    // For the end of this process before its own; the harness has one for each test binary's end.
    let _reaper = if engine_used { Some(run_id.reaper()?) } else { None };

    let result = all(arguments, &environment);
    // Also after a failure and after Ctrl-C.
    let gone = if engine_used { run_id.must_be_gone() } else { Ok(()) };
    let mut failed = result.unwrap_or_else(|error| vec![format!("{error:#}")]);
    if let Err(error) = gone {
        failed.push(format!("{error:#}"));
    }
    run::step(&format!("After {} s", began.elapsed().as_secs()));
    if failed.is_empty() {
        run::say("every test passed");
        return Ok(0);
    }
    for command in failed {
        run::say(&format!("FAILED: {command}"));
    }
    Ok(if signals::interrupted() { signals::EXIT_CODE } else { 1 })
}

/// Provides the brokers, and returns whether Docker Engine is used for any.
fn provide(environment: &mut Vec<(&'static str, String)>) -> anyhow::Result<bool> {
    let named: Vec<&Image> =
        [&RABBITMQ, &KAFKA].into_iter().filter(|image| variable(image.address).is_some()).collect();
    if named.len() == 2 {
        run::step("Brokers");
        run::say("the ones that AMQP_URL and KAFKA_BROKERS name");
        run::say("Tests that stop or restart a broker start one of their own and need Docker Engine for it.");
        if engine::version().is_err() {
            run::say("No engine answers: those tests will fail. Unset the variables to have one provided.");
            return Ok(false);
        }
    }
    engine::ensure()?;
    for image in [&RABBITMQ, &KAFKA] {
        environment.push((image.variable, images::ensure(image)?));
    }
    Ok(true)
}

/// Runs all test commands, and returns the ones that failed.
fn all(arguments: &[String], environment: &[(&'static str, String)]) -> anyhow::Result<Vec<String>> {
    let mut failed = Vec::new();
    // `cargo test -- -p one-package` is about that package alone.
    let chosen =
        arguments.iter().take_while(|word| *word != "--").any(|word| word == "-p" || word == "--package");
    let mut everything = cargo_test(environment);
    if !chosen {
        everything.arg("--workspace");
    }
    everything.args(["--all-features", "--no-fail-fast"]).args(arguments);
    run::step("Tests with every feature, against real brokers");
    test_one(&mut everything, &mut failed)?;
    if chosen {
        return Ok(failed);
    }
    for library in LIBRARIES {
        run::step(&format!("Tests of {library} without its features"));
        let mut alone = cargo_test(environment);
        alone.args(["-p", library, "--no-default-features", "--no-fail-fast"]).args(arguments);
        test_one(&mut alone, &mut failed)?;
    }
    run::step("Instructions under Valgrind, against the limits in tests/measure/limits.txt");
    if let Err(error) = machine::provide("valgrind", &["valgrind"]) {
        // A limit that nobody measured is not kept.
        failed.push(format!("the instructions were not counted: {error:#}"));
        return Ok(failed);
    }
    for library in LIBRARIES {
        let mut bench = machine::cargo();
        test_one(
            bench.args(["bench", "-p", library, "--all-features", "--bench", "instructions"]),
            &mut failed,
        )?;
    }
    Ok(failed)
}

fn cargo_test(environment: &[(&'static str, String)]) -> Command {
    let mut command = machine::cargo();
    command.arg("test");
    for (name, value) in environment {
        command.env(name, value);
    }
    if variable("RUST_TEST_THREADS").is_none() {
        // They wait for brokers more than they compute.
        command.env("RUST_TEST_THREADS", "8");
    }
    command
}

fn test_one(command: &mut Command, failed: &mut Vec<String>) -> anyhow::Result<()> {
    let shown = run::name(command);
    if !run::show(command)? {
        anyhow::ensure!(!signals::interrupted(), "interrupted");
        failed.push(shown);
    }
    Ok(())
}
