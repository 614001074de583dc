//! What the command line asks for.

use std::env;
use std::process::ExitCode;

const HELP: &str = "\
Shows for each of the next messages what propagation sees in it: the fields of
W3C trace context and baggage, the status and its reason, age and size.

Usage: peek amqp QUEUE [-n N] [--json] [--yes]
       peek kafka TOPIC [-n N] [--from beginning|end|OFFSET] [--json]

Options:
  -n N          how many messages at most (10)
  --from WHERE  Kafka: the oldest messages, the newest (the default), or those
                from this offset on in every partition
  --yes         RabbitMQ: look into a queue that counts deliveries
  --json        one JSON object for each message, in one line
  --help        this text

On Kafka no group is joined and nothing is committed. On RabbitMQ every look is
a delivery: the messages are put back in their order and are marked as
redelivered. A quorum queue counts deliveries and removes a message that had too
many (20, unless it was told otherwise), so it takes --yes.

Environment:
  AMQP_URL       the RabbitMQ (amqp://127.0.0.1:5672/%2f)
  KAFKA_BROKERS  the Kafka (127.0.0.1:9092)

The keys of the JSON objects, null where there is nothing to say:
  transport        amqp or kafka
  queue, delivery_tag, redelivered, delivery_count           (amqp)
  topic, partition, offset                                   (kafka)
  status           absent, valid, malformed, conflicting, wrong_type, over_limit
  reason           the status as a sentence
  field            the field that is not valid
  trace_id, span_id, sampled    the context that is used
  links            contexts that are valid and not used, each with these three
  baggage_members  how many
  bytes            what the fields take in the message
  timestamp_ms, age_ms, clock_ahead_ms    since 1970; one of the other two
  fields           each copy: name; kind (text, binary, null, empty,
                   wrong_type); value (binary as hexadecimal digits); type
  unread           headers that look like a context and are not read

Exit code: 0, also for an empty queue or topic; 1 where the broker, the queue or
the topic is not to be had, or --yes is missing; 2 for a wrong command line.";

const WRONG: u8 = 2;

pub(crate) struct Options {
    pub(crate) source: Source,
    pub(crate) number: usize,
    pub(crate) json: bool,
}

pub(crate) enum Source {
    Amqp { queue: String, yes: bool },
    Kafka { topic: String, from: Start },
}

/// Where to begin in a topic.
#[derive(Clone, Copy)]
pub(crate) enum Start {
    Beginning,
    End,
    Offset(i64),
}

impl Options {
    /// Reads the options; the code is what to end with at once.
    pub(crate) fn read() -> Result<Self, ExitCode> {
        // Not `args`, which panics where one is not Unicode.
        let arguments = env::args_os().skip(1).map(|argument| argument.to_string_lossy().into_owned());
        match Self::parse(arguments) {
            Ok(Some(options)) => Ok(options),
            Ok(None) => {
                use std::io::Write as _;
                let _ = writeln!(std::io::stdout(), "{HELP}");
                Err(ExitCode::SUCCESS)
            }
            Err(why) => {
                eprintln!("peek: {}; see --help", crate::text::printable(&why));
                Err(ExitCode::from(WRONG))
            }
        }
    }

    fn parse(mut arguments: impl Iterator<Item = String>) -> Result<Option<Self>, String> {
        let mut names = Vec::new();
        let (mut number, mut json, mut yes, mut from) = (10, false, false, None);
        while let Some(argument) = arguments.next() {
            match argument.as_str() {
                "--help" | "-h" => return Ok(None),
                "--json" => json = true,
                "--yes" => yes = true,
                "-n" => {
                    let value = arguments.next().and_then(|value| value.parse().ok());
                    number = value.filter(|number| *number > 0).ok_or("-n takes a number from 1")?;
                }
                "--from" => from = Some(where_from(&arguments.next().unwrap_or_default())?),
                other if other.starts_with('-') => return Err(format!("{other} is no option")),
                _ => names.push(argument),
            }
        }
        let mut names = names.into_iter();
        let source = match (names.next().as_deref(), names.next(), names.next()) {
            (Some("amqp"), Some(_), None) if from.is_some() => {
                return Err("--from is for Kafka: a queue is read from its head".to_owned());
            }
            (Some("kafka"), Some(_), None) if yes => {
                return Err("--yes is for RabbitMQ: a look into a topic leaves nothing behind".to_owned());
            }
            (Some("amqp"), Some(queue), None) => Source::Amqp { queue, yes },
            (Some("kafka"), Some(topic), None) => Source::Kafka { topic, from: from.unwrap_or(Start::End) },
            _ => return Err("what is to be looked at? `amqp QUEUE` or `kafka TOPIC`".to_owned()),
        };
        Ok(Some(Self { source, number, json }))
    }
}

fn where_from(name: &str) -> Result<Start, String> {
    match name {
        "beginning" => Ok(Start::Beginning),
        "end" => Ok(Start::End),
        _ => match name.parse() {
            Ok(offset) if offset >= 0 => Ok(Start::Offset(offset)),
            _ => Err("--from takes beginning, end or an offset".to_owned()),
        },
    }
}
