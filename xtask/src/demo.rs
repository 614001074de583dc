//! `cargo xtask demo`: the example `handoff`, with what it needs.

use std::os::unix::process::ExitStatusExt as _;
use std::process::Command;

use crate::images::{self, RABBITMQ};
use crate::machine::variable;
use crate::progress::{go_on, say, step};
use crate::{containers, engine, machine, run};

/// Tells the example to leave out its RabbitMQ part.
const WITHOUT_AMQP: &str = "CARRIER_DEMO_WITHOUT_AMQP";

/// Whether a collector is to get the spans: only then the example needs OTLP.
const ENDPOINTS: [&str; 3] = [
    "OTEL_EXPORTER_OTLP_ENDPOINT",
    "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT",
    "OTEL_EXPORTER_OTLP_METRICS_ENDPOINT",
];

/// Runs the example; its exit code is ours. Kafka is in the example's own process, so a machine without RabbitMQ's image
/// shows that part before it prepares the image.
pub(crate) fn demo(arguments: &[String]) -> anyhow::Result<u8> {
    machine::provide_compilers()?;
    if arguments.iter().any(|word| word == "--help" || word == "-h") {
        return run_it(&mut example(arguments));
    }
    if variable(RABBITMQ.address).is_some() {
        step("RabbitMQ");
        // Not the address itself: it holds a password.
        say(&format!("the one that {} names", RABBITMQ.address));
        return run_it(&mut example(arguments));
    }
    let mut shown = None;
    // `--break amqp` and `--link amqp` are about the other part.
    if !images::is_prepared(&RABBITMQ) && !arguments.iter().any(|word| word == "amqp") {
        step("First without RabbitMQ");
        say("RabbitMQ needs Docker Engine and an image, which this command prepares afterwards.");
        say("Then it shows the whole way: HTTP, Kafka and RabbitMQ.");
        let code = run_it(example(arguments).env(WITHOUT_AMQP, "1"))?;
        // A broken trace is worth showing on the whole way too; what could not run will not run there either.
        if code > 1 {
            return Ok(code);
        }
        shown = Some(code);
    }
    match engine::ensure().and_then(|()| images::ensure(&RABBITMQ)) {
        Ok(image) => containers::supervised(|id| {
            run_it(example(arguments).env(RABBITMQ.variable, image).env(containers::VARIABLE, id))
        }),
        Err(error) => {
            go_on()?;
            step("The RabbitMQ part is left out");
            say(&format!("There is no RabbitMQ for it: {error:#}"));
            say("Or set AMQP_URL to a RabbitMQ that already runs. The Kafka part needs nothing.");
            shown.map_or_else(|| run_it(example(arguments).env(WITHOUT_AMQP, "1")), Ok)
        }
    }
}

/// Returns the command that builds the example without what this run does not use, and runs it.
fn example(arguments: &[String]) -> Command {
    let features: &[&str] = match ENDPOINTS.into_iter().find_map(variable) {
        Some(_) => &["--features", "otlp"],
        None => &[],
    };
    let mut example =
        machine::cargo(&["run", "-p", "carrier-examples", "--bin", "handoff", "--no-default-features"]);
    example.args(features).arg("--").args(arguments);
    // librdkafka is a quarter of what is compiled, and one order needs no optimised client.
    for flags in ["CFLAGS", "CXXFLAGS"].into_iter().filter(|flags| variable(flags).is_none()) {
        example.env(flags, "-O0 -g0");
    }
    example
}

fn run_it(example: &mut Command) -> anyhow::Result<u8> {
    step("The example");
    let status = run::status(example)?;
    // Shells report the end by a signal so.
    let code = status.code().or_else(|| status.signal().map(|signal| 128 + signal));
    Ok(code.and_then(|code| u8::try_from(code).ok()).unwrap_or(1))
}
