//! What the command line asks for.

use std::env;
use std::process::ExitCode;

use carrier_examples::say;

const HELP: &str = "\
Produces ten records from several traces to Kafka, and consumes them in batches
with commits by hand. One batch fails half-way, is not committed and is read
again. Shows the span of each batch and its links.

Usage: batches [--go-on]

Options:
  --go-on   read no batch again: the commit of the next one is for the failed one
            as well, and its records are lost
  --help    this text

Environment:
  KAFKA_BROKERS                 a Kafka that runs, as host:port
                                (without it: rdkafka's MockCluster, inside this program)
  OTEL_EXPORTER_OTLP_ENDPOINT   send the spans to a collector as well,
                                for instance http://localhost:4318
  NO_COLOR                      no colours

Exit code: 0 where every record is stored and committed and every span ended once,
1 where one is or did not, 2 where Kafka is not to be had.";

pub(crate) struct Options {
    pub(crate) goes_on: bool,
}

impl Options {
    /// Reads the options; the code is what to end with at once.
    pub(crate) fn read() -> Result<Self, ExitCode> {
        let mut options = Self { goes_on: false };
        // Not `args`, which panics where one is not Unicode.
        for argument in env::args_os().skip(1).map(|argument| argument.to_string_lossy().into_owned()) {
            match argument.as_str() {
                "--help" | "-h" => {
                    say!("{HELP}");
                    return Err(ExitCode::SUCCESS);
                }
                "--go-on" => options.goes_on = true,
                other => {
                    eprintln!("batches: {other} is no option; see --help");
                    return Err(ExitCode::from(crate::FAILED));
                }
            }
        }
        Ok(options)
    }
}
