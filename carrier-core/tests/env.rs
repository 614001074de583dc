//! A context from one process to another, in environment variables.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::process::Command;

use carrier_core::env::{self, Environment};
use carrier_core::{Existing, InjectionOutcome, Propagation, testing};
use opentelemetry::Context;
use opentelemetry::trace::TraceContextExt;

const INHERITED: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

/// Runs a test of this program in a process of its own, which inherits an old context.
fn in_process(test: &str, run: impl FnOnce()) {
    const CHILD: &str = "CARRIER_TEST_CHILD";
    if std::env::var_os(CHILD).is_some() {
        return run();
    }
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", test]).env(CHILD, "1").env("TRACEPARENT", INHERITED).env("TRACESTATE", "old=1");
    let output = command.output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && text.contains("1 passed"), "{text}");
}

/// The variables that a child process of this one really gets.
fn variables(command: &mut Command) -> Vec<String> {
    let output = command.output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let is_field = |line: &&str| ["TRACEPARENT=", "TRACESTATE="].iter().any(|name| line.starts_with(name));
    text.lines().filter(is_field).map(str::to_owned).collect()
}

#[test]
fn a_started_process_gets_one_context_or_none() {
    in_process("a_started_process_gets_one_context_or_none", one_context_or_none);
}

fn one_context_or_none() {
    let cx = testing::remote_context();
    assert_eq!(env::extract().span().span_context().trace_state().header(), "old=1");
    let mut command = Command::new("env");
    let report = env::inject(&cx, &mut command);
    assert_eq!(report.existing().map(|span| span.span_id().to_string()), Some("b7ad6b7169203331".to_owned()));
    let sent = variables(&mut command);
    let span = cx.span().span_context().clone();
    assert_eq!(sent, [format!("TRACEPARENT=00-{}-{}-01", span.trace_id(), span.span_id())]);
    let mut nothing = Command::new("env");
    assert_eq!(env::inject(&Context::new(), &mut nothing).outcome(), InjectionOutcome::Removed);
    assert!(variables(&mut nothing).is_empty());
    // The variables of this process do not change.
    assert_eq!(std::env::var("TRACEPARENT").as_deref(), Ok(INHERITED));
}

#[test]
fn an_inherited_context_can_be_kept() {
    in_process("an_inherited_context_can_be_kept", keep_inherited);
}

fn keep_inherited() {
    let keep = Propagation::builder().existing(Existing::Keep).build();
    let mut command = Command::new("env");
    let report = env::inject_with(&keep, &testing::remote_context(), &mut command);
    assert_eq!(report.outcome(), InjectionOutcome::Kept);
    assert_eq!(variables(&mut command).len(), 2);
}

#[test]
fn what_a_command_sets_or_removes_comes_before_what_it_inherits() {
    let cx = testing::remote_context();
    let mut command = Command::new("env");
    command.env("TRACEPARENT", INHERITED).env("USER_VARIABLE", "1").env_remove("LANG");
    testing::assert_consistent(&Environment::of(&command));
    env::inject(&cx, &mut command);
    testing::assert_carries(&Environment::of(&command), &cx);
    let set: Vec<_> = command.get_envs().filter(|(_, value)| value.is_some()).map(|(name, _)| name).collect();
    assert_eq!(set, ["TRACEPARENT", "USER_VARIABLE"]);
    command.env_remove("TRACEPARENT");
    testing::assert_carries_nothing(&Environment::of(&command));
}

#[test]
fn pairs_of_another_environment_are_read() {
    let pairs = std::collections::HashMap::from([("TRACEPARENT".to_owned(), INHERITED.to_owned())]);
    let cx = carrier_core::extract(&Environment::from_iter(pairs));
    assert_eq!(cx.span().span_context().span_id().to_string(), "b7ad6b7169203331");
}
