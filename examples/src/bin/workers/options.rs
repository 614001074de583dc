//! What the command line asks for.

use std::env;
use std::process::ExitCode;

use carrier_examples::say;

use crate::job::JOBS;

const HELP: &str = "\
Hands five jobs to a pool of workers on RabbitMQ. Some fail and are tried again
after a pause, one fails always and ends in the dead-letter queue. Shows the
traces of each job.

Usage: workers [--workers N] [--forget JOB]

Options:
  --workers N    how many workers there are, 1 to 16 (3)
  --forget JOB   do not settle this job, 1 to 5, to see what it looks like
  --help         this text

Environment:
  AMQP_URL                      a RabbitMQ that runs, as amqp://user:password@host:port/vhost
                                (without it: a container, which needs Docker Engine)
  CARRIER_RABBITMQ_IMAGE        the image of that container (rabbitmq:4.2)
  OTEL_EXPORTER_OTLP_ENDPOINT   send the spans to a collector as well,
                                for instance http://localhost:4318
  NO_COLOR                      no colours

Exit code: 0 where every job ended where it should and every span ended once, 1
where one did not, 2 where RabbitMQ is not to be had.";

pub(crate) struct Options {
    pub(crate) workers: usize,
    pub(crate) forgets: Option<u32>,
}

impl Options {
    /// Reads the options; the code is what to end with at once.
    pub(crate) fn read() -> Result<Self, ExitCode> {
        let mut options = Self { workers: 3, forgets: None };
        // Not `args`, which panics where one is not Unicode.
        let mut arguments = env::args_os().skip(1).map(|argument| argument.to_string_lossy().into_owned());
        while let Some(argument) = arguments.next() {
            let mut number = |most: usize| {
                let number = arguments.next().and_then(|number| number.parse().ok());
                number
                    .filter(|number| (1..=most).contains(number))
                    .ok_or_else(|| refuse(&format!("{argument} takes a number from 1 to {most}")))
            };
            match argument.as_str() {
                "--help" | "-h" => {
                    say!("{HELP}");
                    return Err(ExitCode::SUCCESS);
                }
                "--workers" => options.workers = number(16)?,
                "--forget" => options.forgets = u32::try_from(number(JOBS.len())?).ok(),
                other => return Err(refuse(&format!("{other} is no option"))),
            }
        }
        Ok(options)
    }
}

fn refuse(why: &str) -> ExitCode {
    eprintln!("workers: {why}; see --help");
    ExitCode::from(crate::FAILED)
}
