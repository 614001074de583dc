//! What the command line asks for.

use std::process::ExitCode;

use clap::error::ErrorKind;
use clap::{Args, CommandFactory as _, Parser, Subcommand, ValueEnum};
use clap_complete::Shell;

use crate::text::printable;

/// A wrong command line.
const WRONG: u8 = 2;

const MORE: &str = "\
Examples:
  carrier-peek amqp orders -n 3
  carrier-peek amqp orders --yes        a quorum queue, which counts deliveries
  carrier-peek kafka orders -n 3 --from beginning
  carrier-peek move amqp --from orders.dead --to orders --dry-run
  carrier-peek move kafka --from orders.dead --to orders
  carrier-peek completions bash > ~/.local/share/bash-completion/completions/carrier-peek

Environment:
  AMQP_URL       the RabbitMQ (amqp://127.0.0.1:5672/%2f)
  KAFKA_BROKERS  the Kafka (127.0.0.1:9092)

Exit codes:
  0    done; also if the queue or topic is empty
  1    the broker, the queue or the topic is not available, --yes is missing, or
       a message could not be moved
  2    the command line is wrong
  130  Ctrl-C ended the program; all messages are in a queue or topic

Keys of the JSON objects that --json prints, null if there is no value:
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
  unread           headers that look like a context and are not read";

const AMQP: &str = "\
Body, properties and headers stay as they are, so the next handler continues the
sender's trace. Left out are x-death, x-first-death-*, x-last-death-* (unless
--keep-deaths), x-delivery-count, x-acquired-count, CC, BCC, and the user id of
another user.

A dead letter is acknowledged after RabbitMQ has confirmed its copy. If the
program is killed, no message is lost; one can be in both queues. A letter that
cannot be moved stays, and the exit code is 1.";

const KAFKA: &str = "\
Key, value, headers and timestamp stay as they are, so the next handler
continues the sender's trace. The records stay in the topic of the dead letters.

Offsets are committed after Kafka has confirmed the copies. If the program is
killed, no record is left out; up to 100 can be there twice. Do not run it twice
at the same time with one group.";

/// Shows the W3C trace context and baggage in the next messages of a queue or topic, and moves dead letters back in their
/// trace.
#[derive(Debug, Parser)]
#[command(name = "carrier-peek", version, after_help = MORE, arg_required_else_help = false)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Show messages of a RabbitMQ queue; each look is a delivery, and the messages are put back in their order
    Amqp(PeekAmqp),
    /// Show messages of a Kafka topic; no group is joined and nothing is committed
    Kafka(PeekKafka),
    /// Move dead letters back, with their headers, so that they stay in their trace
    #[command(subcommand, arg_required_else_help = false)]
    Move(Move),
    /// Print the completions of a shell
    Completions { shell: Shell },
}

#[derive(Args, Debug)]
pub(crate) struct Shown {
    /// How many messages at most
    #[arg(short = 'n', value_name = "N", default_value = "10", value_parser = from_1)]
    pub(crate) number: usize,
    /// Print one JSON object for each message, in one line
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Args, Debug)]
pub(crate) struct PeekAmqp {
    pub(crate) queue: String,
    #[command(flatten)]
    pub(crate) shown: Shown,
    /// Look into a queue that counts deliveries, or whose type is not known
    #[arg(long)]
    pub(crate) yes: bool,
}

#[derive(Args, Debug)]
pub(crate) struct PeekKafka {
    pub(crate) topic: String,
    #[command(flatten)]
    pub(crate) shown: Shown,
    /// The oldest messages, the newest, or those from this offset on in every partition
    #[arg(long, value_name = "beginning|end|OFFSET", default_value = "end", value_parser = start)]
    pub(crate) from: Start,
}

/// Where to begin in a topic.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Start {
    Beginning,
    End,
    Offset(i64),
}

#[derive(Debug, Subcommand)]
pub(crate) enum Move {
    /// From a RabbitMQ queue to another, or to an exchange
    #[command(after_help = AMQP)]
    Amqp(MoveAmqp),
    /// Copy from a Kafka topic to another; a group's offsets say what is copied already
    #[command(after_help = KAFKA)]
    Kafka(MoveKafka),
}

#[derive(Args, Debug)]
pub(crate) struct Moved {
    /// How many messages at most; without it all that are there when the program starts
    #[arg(short = 'n', value_name = "N", value_parser = from_1)]
    pub(crate) number: Option<usize>,
    /// Only say how many messages there are
    #[arg(long)]
    pub(crate) dry_run: bool,
}

#[derive(Args, Debug)]
pub(crate) struct MoveAmqp {
    /// The queue of the dead letters
    #[arg(long, value_name = "QUEUE")]
    pub(crate) from: String,
    #[command(flatten)]
    pub(crate) to: Target,
    #[command(flatten)]
    pub(crate) moved: Moved,
    /// Keep the headers in which RabbitMQ records deaths (x-death and others)
    #[arg(long)]
    pub(crate) keep_deaths: bool,
}

#[derive(Args, Debug)]
#[group(required = true, multiple = false)]
pub(crate) struct Target {
    /// The queue to move to
    #[arg(long, value_name = "QUEUE")]
    pub(crate) to: Option<String>,
    /// The exchange to move to, with the routing key that each message had when it died first
    #[arg(long, value_name = "EXCHANGE")]
    pub(crate) to_exchange: Option<String>,
}

#[derive(Args, Debug)]
pub(crate) struct MoveKafka {
    /// The topic of the dead letters
    #[arg(long, value_name = "TOPIC")]
    pub(crate) from: String,
    /// The topic to copy to
    #[arg(long, value_name = "TOPIC")]
    pub(crate) to: String,
    #[command(flatten)]
    pub(crate) moved: Moved,
    /// The group whose offsets say what is copied already [default: carrier-peek.FROM.TO]
    #[arg(long)]
    pub(crate) group: Option<String>,
    /// How a key chooses the partition: as librdkafka's clients do, or as Java's
    #[arg(long, value_enum, default_value = "librdkafka")]
    pub(crate) partitioner: Partitioner,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum Partitioner {
    Librdkafka,
    Java,
}

impl Cli {
    /// Reads the command line; the code is what to end with at once.
    pub(crate) fn read() -> Result<Self, ExitCode> {
        Self::try_parse().and_then(Self::checked).map_err(|error| {
            if let ErrorKind::DisplayHelp | ErrorKind::DisplayVersion = error.kind() {
                let _ = error.print();
                return ExitCode::SUCCESS;
            }
            // The rest is about how to use the program.
            let text = error.to_string();
            let why = text.split("\n\n").next().unwrap_or_default();
            let why: Vec<_> = why.lines().map(str::trim).collect();
            let why = why.join(" ");
            let why = why.strip_prefix("error: ").unwrap_or(&why);
            eprintln!("carrier-peek: {}; see --help", printable(why));
            ExitCode::from(WRONG)
        })
    }
}

impl Cli {
    fn checked(self) -> Result<Self, clap::Error> {
        let same = match &self.command {
            Command::Move(Move::Amqp(options)) => options.to.to.as_ref() == Some(&options.from),
            Command::Move(Move::Kafka(options)) => options.to == options.from,
            _ => false,
        };
        let error = || Self::command().error(ErrorKind::ArgumentConflict, "--from and --to are the same");
        if same { Err(error()) } else { Ok(self) }
    }
}

fn from_1(text: &str) -> Result<usize, &'static str> {
    text.parse().ok().filter(|number| *number > 0).ok_or("it is not a number from 1")
}

fn start(text: &str) -> Result<Start, &'static str> {
    match text {
        "beginning" => Ok(Start::Beginning),
        "end" => Ok(Start::End),
        _ => match text.parse() {
            Ok(offset) if offset >= 0 => Ok(Start::Offset(offset)),
            _ => Err("it is not beginning, end or an offset"),
        },
    }
}
