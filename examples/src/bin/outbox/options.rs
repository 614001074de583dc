//! What the command line asks for.

use std::env;
use std::path::PathBuf;
use std::process::ExitCode;

use crate::relay::{Job, KILL_AFTER, RELAY};
use crate::screen::say;
use crate::shop::ORDERS;

const HELP: &str = "\
Writes orders and their contexts into a database, publishes them to Kafka from
there by another process, and shows that each order arrives in its own trace.

Usage: outbox [--kill-after N] [--forget]

Options:
  --kill-after N   the relay dies when it has sent N orders, before it has marked
                   the last of them as sent; then it is started again
  --forget         store no context, to see what becomes of the traces
  --help           this text

Environment:
  KAFKA_BROKERS                 a Kafka that runs, as host:port
                                (without it: rdkafka's MockCluster, inside this program)
  OTEL_EXPORTER_OTLP_ENDPOINT   send the spans to a collector,
                                for instance http://localhost:4318; a relay that
                                is killed takes those with it that are not sent yet
  NO_COLOR                      no colours

Exit code: 0 where every order arrived in its own trace, 1 where one did not, 2
where the database or Kafka is not to be had.";

pub(crate) enum Options {
    Demo(Demo),
    Relay(Job),
}

pub(crate) struct Demo {
    pub(crate) kill_after: Option<usize>,
    pub(crate) forgets: bool,
}

impl Options {
    /// Reads the options; the code is what to end with at once.
    pub(crate) fn read() -> Result<Self, ExitCode> {
        // Not `args`, which panics where one is not Unicode.
        let mut arguments = env::args_os().skip(1).map(|argument| argument.to_string_lossy().into_owned());
        let mut demo = Demo { kill_after: None, forgets: false };
        let mut relay = None;
        while let Some(argument) = arguments.next() {
            match argument.as_str() {
                "--help" | "-h" => {
                    say!("{HELP}");
                    return Err(ExitCode::SUCCESS);
                }
                "--forget" => demo.forgets = true,
                KILL_AFTER => {
                    let number = arguments.next().and_then(|number| number.parse().ok());
                    demo.kill_after = number.filter(|number| (1..=ORDERS.len()).contains(number));
                    if demo.kill_after.is_none() {
                        return Err(refuse(&format!(
                            "{KILL_AFTER} takes a number from 1 to {}",
                            ORDERS.len()
                        )));
                    }
                }
                RELAY => {
                    let mut next = || arguments.next().unwrap_or_default();
                    relay = Some((PathBuf::from(next()), next(), next()));
                }
                other => return Err(refuse(&format!("{other} is no option"))),
            }
        }
        Ok(match relay {
            Some((database, brokers, topic)) => {
                Self::Relay(Job { database, brokers, topic, kill_after: demo.kill_after })
            }
            None => Self::Demo(demo),
        })
    }
}

fn refuse(why: &str) -> ExitCode {
    eprintln!("outbox: {why}; see --help");
    ExitCode::from(crate::FAILED)
}
