//! `cargo xtask demo`: the example `handoff`, with what it needs.

use std::os::unix::process::ExitStatusExt as _;

use crate::containers::{self, Run};
use crate::images::{self, RABBITMQ};
use crate::machine::variable;
use crate::{engine, machine, run, signals};

/// Tells the example to leave out its RabbitMQ part.
const WITHOUT_AMQP: &str = "CARRIER_DEMO_WITHOUT_AMQP";

/// Runs the example; its exit code is ours. Kafka is in the example's own process.
pub(crate) fn demo(arguments: &[String]) -> anyhow::Result<u8> {
    machine::provide_compilers()?;
    let run_id = Run::new();
    let mut example = machine::cargo();
    example.args(["run", "-p", "carrier-examples", "--bin", "handoff", "--"]).args(arguments);
    example.env(containers::VARIABLE, run_id.id());

    let mut engine_used = false;
    if variable(RABBITMQ.address).is_some() {
        run::step("RabbitMQ");
        // Not the address itself: it holds a password.
        run::say(&format!("the one that {} names", RABBITMQ.address));
    } else {
        match engine::ensure().and_then(|()| images::ensure(&RABBITMQ)) {
            Ok(image) => {
                example.env(RABBITMQ.variable, image);
                engine_used = true;
            }
            Err(error) if signals::interrupted() => return Err(error),
            Err(error) => {
                run::step("The RabbitMQ part is left out");
                run::say(&format!("There is no RabbitMQ for it: {error:#}"));
                run::say("Or set AMQP_URL to a RabbitMQ that already runs. The Kafka part needs nothing.");
                example.env(WITHOUT_AMQP, "1");
            }
        }
    }

    run::step("The example");
    let status = run::status(&mut example)?;
    if engine_used {
        run_id.must_be_gone()?;
    }
    // Shells say it so where a signal ended it.
    let code = status.code().or_else(|| status.signal().map(|signal| 128 + signal));
    Ok(code.and_then(|code| u8::try_from(code).ok()).unwrap_or(1))
}
