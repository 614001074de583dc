//! The project's own commands: `cargo xtask --help`.
#![cfg_attr(test, allow(clippy::unwrap_used))]
#![allow(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a command-line program talks to the person who runs it"
)]

mod bench;
mod brokers;
mod build;
mod check;
mod containers;
mod demo;
mod engine;
mod image;
mod images;
mod load;
mod machine;
mod progress;
mod pull;
mod run;
mod screen;
mod signals;
mod statistics;
mod test;

use std::process::ExitCode;

const HELP: &str = "\
The project's own commands.

Usage: cargo xtask <command> [-- arguments]

Commands:
  demo     Run the example `handoff`: one trace through HTTP, RabbitMQ and Kafka.
           Arguments after `--` go to the example.
  test     Run every test, with and without optional features, against real brokers,
           and check that no container is left and that nothing takes more instructions
           than its limit. Arguments after `--` go to `cargo test`.
  check    Check the formatting, lints, documentation and every feature on its own.
  bench    Measure everything against its floor and write BENCHMARKS.md and tests/measure/benchmarks.svg.
           With --quick it only tries, and writes below target/xtask.
  load     Measure throughput, CPU time and memory of clients of real brokers, with us and without,
           on a quiet machine; the tables go to target/load.md, for BENCHMARKS.md. It takes
           about a quarter of an hour; with --quick it only tries, for a minute. Arguments after `--`
           choose parts of it: kafka, kafka-awaited, rabbitmq, soak.
  brokers  Run RabbitMQ at 127.0.0.1:5672 and Kafka at 127.0.0.1:9092 until Ctrl-C.
  help     Print this text, as `--help` and `-h` do.

What is missing is provided, and each step is announced before it is taken: compilers for librdkafka
and Valgrind are installed; Docker Engine is started, or installed first (Debian and Ubuntu, as root); each broker's
image is pulled, or built from Debian's and Maven's packages where it cannot be pulled. Run again,
nothing is done twice.

Environment:
  AMQP_URL               a RabbitMQ that already runs, such as amqp://guest:guest@127.0.0.1:5672/%2f
  KAFKA_BROKERS          a Kafka that already runs, such as 127.0.0.1:9092
  CARRIER_RABBITMQ_IMAGE the image to use instead of rabbitmq:4.2
  CARRIER_KAFKA_IMAGE    the image to use instead of apache/kafka:4.1.1
  DOCKER_HOST            where Docker Engine is, as for the `docker` command

Examples:
  cargo xtask demo
  cargo xtask test
  cargo xtask test -- -p carrier-tests --test smoke
  cargo xtask test -- rabbitmq -- --nocapture
  cargo xtask load --quick
  cargo xtask load -- kafka
  cargo xtask brokers
";

/// The exit code for a command line that cannot be understood.
const USAGE: u8 = 2;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let mut words = arguments.iter().map(String::as_str);
    let command = words.next();
    let (options, rest) = match arguments.iter().position(|word| word == "--") {
        Some(end) => (arguments.get(1..end), arguments.get(end + 1..)),
        None => (arguments.get(1..), None),
    };
    let (options, rest) = (options.unwrap_or_default(), rest.unwrap_or_default());

    if matches!(command, Some("help" | "--help" | "-h"))
        || options.iter().any(|word| word == "--help" || word == "-h")
    {
        print!("{HELP}");
        return ExitCode::SUCCESS;
    }
    let has_quick = matches!(command, Some("bench" | "load"));
    let is_quick = options.iter().any(|word| word == "--quick");
    let takes_rest = match command {
        Some("demo" | "test" | "load") => true,
        Some("bench" | "check" | "brokers") => false,
        Some(other) => return usage(&format!("there is no command `{other}`")),
        None => return usage("no command"),
    };
    let unknown = options.iter().find(|word| !(has_quick && *word == "--quick"));
    if let Some(word) = unknown.or(rest.first().filter(|_| !takes_rest)) {
        let place = if takes_rest { "; arguments to pass on come after `--`" } else { "" };
        return usage(&format!("unexpected argument `{word}`{place}"));
    }

    if let Err(error) = signals::catch() {
        eprintln!("error: {error:#}");
        return ExitCode::FAILURE;
    }
    let result = match command {
        Some("demo") => demo::demo(rest),
        Some("test") => test::test(rest),
        Some("bench") => bench::bench(is_quick),
        Some("load") => load::load(is_quick, rest),
        Some("check") => check::check(),
        _ => brokers::brokers(),
    };
    match result {
        Ok(code) => ExitCode::from(code),
        Err(error) => {
            eprintln!("\nerror: {error:#}");
            ExitCode::from(if signals::interrupted() { signals::EXIT_CODE } else { 1 })
        }
    }
}

fn usage(problem: &str) -> ExitCode {
    eprintln!("error: {problem}\n`cargo xtask --help` lists the commands.");
    ExitCode::from(USAGE)
}
