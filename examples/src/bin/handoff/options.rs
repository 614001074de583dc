//! What the command line and the environment ask for.

use std::env;
use std::process::ExitCode;

use carrier_examples::variable;

use crate::hops::{Hop, way};
use crate::screen::say;

const HELP: &str = "\
Hands one order through four services, over HTTP, Kafka and RabbitMQ, and shows
the one trace that it makes.

Usage: handoff [--break http|kafka|amqp] [--link kafka|amqp] [--fail]

Options:
  --break HOP   lose the headers on this hop, to see what a broken trace looks like
  --link HOP    have the consumer of this hop start a trace of its own, with a link
                to the sender
  --fail        have the last worker fail, to see what an error looks like
  --help        this text

Environment:
  KAFKA_BROKERS                 a Kafka that runs, as host:port
                                (without it: rdkafka's MockCluster, inside this program)
  AMQP_URL                      a RabbitMQ that runs, as amqp://user:password@host:port/vhost
                                (without it: a container, which needs Docker Engine)
  CARRIER_RABBITMQ_IMAGE        the image of that container (rabbitmq:4.2)
  CARRIER_DEMO_WITHOUT_AMQP=1   leave RabbitMQ out
  OTEL_EXPORTER_OTLP_ENDPOINT   send the spans and metrics to a collector as well,
                                for instance http://localhost:4318
  OTEL_EXPORTER_OTLP_TRACES_ENDPOINT, OTEL_EXPORTER_OTLP_METRICS_ENDPOINT
                                the same for one of the two, with its whole path
  NO_COLOR, COLUMNS             no colours; another width than the terminal's

Exit code: 0 for a whole trace, 1 for a broken one, 2 where a broker or the
collector is not to be had.";

pub(crate) struct Options {
    pub(crate) with_amqp: bool,
    pub(crate) lost: Option<&'static Hop>,
    pub(crate) linked: Option<&'static Hop>,
    pub(crate) fails: bool,
}

impl Options {
    /// Reads the options; the code is what to end with at once.
    pub(crate) fn read() -> Result<Self, ExitCode> {
        let mut options = Self {
            with_amqp: variable("CARRIER_DEMO_WITHOUT_AMQP").is_none_or(|value| value == "0"),
            lost: None,
            linked: None,
            fails: false,
        };
        let hops = way(options.with_amqp);
        // Not `args`, which panics where one is not Unicode.
        let mut arguments = env::args_os().skip(1).map(|argument| argument.to_string_lossy().into_owned());
        while let Some(argument) = arguments.next() {
            match argument.as_str() {
                "--help" | "-h" => {
                    say!("{HELP}");
                    return Err(ExitCode::SUCCESS);
                }
                "--break" => options.lost = Some(one_of(hops, "--break", arguments.next())?),
                // HTTP has no queue, and its spans are made by hand.
                "--link" => options.linked = Some(one_of(&hops[1..], "--link", arguments.next())?),
                "--fail" => options.fails = true,
                other => return Err(refuse(&format!("{other} is no option"))),
            }
        }
        Ok(options)
    }
}

fn one_of(hops: &[&'static Hop], option: &str, name: Option<String>) -> Result<&'static Hop, ExitCode> {
    let name = name.unwrap_or_default();
    let named = hops.iter().copied().find(|hop| hop.name.eq_ignore_ascii_case(&name));
    named.ok_or_else(|| {
        let names: Vec<_> = hops.iter().map(|hop| hop.name.to_lowercase()).collect();
        refuse(&format!("{option} takes one of {}", names.join(", ")))
    })
}

fn refuse(why: &str) -> ExitCode {
    eprintln!("handoff: {why}; see --help");
    ExitCode::from(crate::FAILED)
}
