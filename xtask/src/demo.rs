//! `cargo xtask demo`: the example `handoff`, with what it needs.

use std::os::unix::process::ExitStatusExt as _;
use std::process::Command;

use crate::images::{self, RABBITMQ};
use crate::machine::variable;
use crate::progress::{go_on, say, step};
use crate::{containers, engine, machine, run};

/// Tells the example to leave out its RabbitMQ part.
const WITHOUT_AMQP: &str = "CARRIER_DEMO_WITHOUT_AMQP";

/// Runs the example; its exit code is ours. Kafka is in the example's own process.
pub(crate) fn demo(arguments: &[String]) -> anyhow::Result<u8> {
    machine::provide_compilers()?;
    let mut example = machine::cargo(&["run", "-p", "carrier-examples", "--bin", "handoff", "--"]);
    example.args(arguments);
    if variable(RABBITMQ.address).is_some() {
        step("RabbitMQ");
        // Not the address itself: it holds a password.
        say(&format!("the one that {} names", RABBITMQ.address));
        return run_it(&mut example);
    }
    match engine::ensure().and_then(|()| images::ensure(&RABBITMQ)) {
        Ok(image) => containers::supervised(|id| {
            run_it(example.env(RABBITMQ.variable, image).env(containers::VARIABLE, id))
        }),
        Err(error) => {
            go_on()?;
            step("The RabbitMQ part is left out");
            say(&format!("There is no RabbitMQ for it: {error:#}"));
            say("Or set AMQP_URL to a RabbitMQ that already runs. The Kafka part needs nothing.");
            run_it(example.env(WITHOUT_AMQP, "1"))
        }
    }
}

fn run_it(example: &mut Command) -> anyhow::Result<u8> {
    step("The example");
    let status = run::status(example)?;
    // Shells report the end by a signal so.
    let code = status.code().or_else(|| status.signal().map(|signal| 128 + signal));
    Ok(code.and_then(|code| u8::try_from(code).ok()).unwrap_or(1))
}
