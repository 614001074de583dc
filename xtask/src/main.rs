//! The project's own commands: `cargo xtask --help`.
#![allow(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a command-line program talks to the person who runs it"
)]

mod bench;
mod check;
mod containers;
mod demo;
mod dependencies;
mod documentation;
mod engine;
mod faults;
mod fuzz;
mod images;
mod interface;
mod libraries;
mod load;
mod machine;
mod progress;
mod ranges;
mod release;
mod run;
mod rustdoc;
mod semver;
mod test;

use std::process::ExitCode;

const HELP: &str = "\
The project's own commands.

Usage: cargo xtask <command> [-- arguments]

Commands:
  demo     Run the example `handoff`: one trace through HTTP, Kafka and RabbitMQ. If RabbitMQ's image
           is not here yet, it is run without RabbitMQ first, and again when the image is prepared.
           Arguments after `--` go to the example.
  test     Run every test, with and without optional features, against real brokers,
           and those on brokers also with the lowest versions of the ranges; check that no container
           is left and that nothing takes more instructions than its limit. Arguments after `--` go to `cargo test`.
  check    Check the formatting, lints, documentation, public interface, every set of features and
           the dependencies; test both ends of the version ranges without brokers, and compile with
           the declared Rust versions.
  lower    Resolve the lowest versions of the ranges again, into tests/lower/Cargo.lock.
  interface
           Write the public items of each library to its `interface.txt`. With --check it
           only compares.
  release  With --dry-run, take every step of RELEASING.md up to the one that publishes: the
           checks of a release, and each library built and tested from its archive.
  bench    Measure everything against its floors and write the tables of BENCHMARKS.md.
           With --quick it only tries, and prints the tables.
  fuzz     Run the coverage-guided tests of tests/fuzz, for one minute or with --minutes N.
           An input that fails is kept, and the exit code is 1.
  load     Measure throughput, CPU time and memory of clients of real brokers, with us and without,
           on a quiet machine, and write the tables of BENCHMARKS.md. It takes about a quarter
           of an hour; with --quick it only tries, for a minute. Arguments after `--` choose
           parts, whose tables are only printed: kafka-level1, kafka, rabbitmq, soak.
  faults   Kill, freeze and restart the nodes of two clusters while messages pass, check that none is lost or in a
           wrong trace and that each span ends once, and write tests/faults/RESULTS.md. It takes at most
           20 minutes. Arguments after `--` choose parts, whose tables are only printed: rabbitmq, kafka.
  help     Print this text, as `--help` and `-h` do.

What is missing is provided, and each step is announced before it is taken: compilers for librdkafka
and Valgrind are installed; cargo-deny and, for a release, cargo-semver-checks are built;
Docker Engine is started, or installed first (Debian and Ubuntu, as root); each broker's image is
pulled, or built from Debian's and Maven's packages if it cannot be pulled. Run again, nothing is done
twice.

Environment:
  AMQP_URL               a RabbitMQ that already runs, such as amqp://guest:guest@127.0.0.1:5672/%2f
  KAFKA_BROKERS          a Kafka that already runs, such as 127.0.0.1:9092
  CARRIER_RABBITMQ_IMAGE the image to use instead of rabbitmq:4.2
  CARRIER_KAFKA_IMAGE    the image to use instead of apache/kafka:4.1.1
  DOCKER_HOST            where Docker Engine is, as for the `docker` command

Examples:
  cargo xtask test -- -p carrier-tests --test smoke
  cargo xtask test -- rabbitmq -- --nocapture
  cargo xtask load -- kafka
";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let end = arguments.iter().position(|word| word == "--").unwrap_or(arguments.len());
    let (words, rest) = arguments.split_at(end);
    let rest = rest.get(1..).unwrap_or_default();
    let (command, options) = words.split_first().map_or(("", words), |(first, rest)| (first.as_str(), rest));

    let is_help = |word: &str| word == "--help" || word == "-h";
    if command == "help" || words.iter().any(|word| is_help(word)) {
        print!("{HELP}");
        return ExitCode::SUCCESS;
    }
    if let ("fuzz", Some(minutes)) = (command, minutes(options, rest)) {
        return finish(|| fuzz::fuzz(minutes));
    }
    let (takes_rest, option) = match command {
        "demo" | "test" | "faults" => (true, None),
        "load" => (true, Some("--quick")),
        "bench" => (false, Some("--quick")),
        "release" => (false, Some("--dry-run")),
        "interface" => (false, Some("--check")),
        "check" | "lower" | "fuzz" => (false, None),
        "" => return usage("no command"),
        other => return usage(&format!("there is no command `{other}`")),
    };
    let unknown = options.iter().find(|word| Some(word.as_str()) != option);
    if let Some(word) = unknown.or(rest.first().filter(|_| !takes_rest)) {
        let place = if takes_rest { "; arguments to pass on come after `--`" } else { "" };
        return usage(&format!("unexpected argument `{word}`{place}"));
    }

    let has_option = !options.is_empty();
    if command == "release" && !has_option {
        return usage("only `release --dry-run` is a command; RELEASING.md says how to publish");
    }
    finish(|| match command {
        "demo" => demo::demo(rest),
        "test" => test::test(rest),
        "bench" => bench::bench(has_option),
        "load" => load::load(has_option, rest),
        "interface" => interface::interface(has_option),
        "release" => release::rehearse(),
        "lower" => ranges::resolve(),
        "faults" => faults::faults(rest),
        _ => check::check(),
    })
}

/// The arguments of `fuzz`; `None` if they are others.
fn minutes(options: &[String], rest: &[String]) -> Option<u64> {
    match options {
        [] if rest.is_empty() => Some(1),
        [option, minutes] if option == "--minutes" && rest.is_empty() => minutes.parse().ok(),
        _ => None,
    }
}

fn finish(run: impl FnOnce() -> anyhow::Result<u8>) -> ExitCode {
    let result = progress::catch_signals().and_then(|()| run());
    let code = result.unwrap_or_else(|error| {
        eprintln!("\nerror: {error:#}");
        1
    });
    ExitCode::from(if progress::interrupted() { progress::INTERRUPTED } else { code })
}

fn usage(problem: &str) -> ExitCode {
    eprintln!("error: {problem}\n`cargo xtask --help` lists the commands.");
    ExitCode::from(2)
}
