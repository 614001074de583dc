//! What type a queue has, asked without the management interface.
//!
//! A declaration of a queue that is there changes nothing: the broker compares it with the queue and answers with the
//! first difference. So this declares a quorum queue. Where that is all the same it is one; where the type differs the
//! answer names the queue's own; where another argument does, that is taken over and asked again.

use std::fmt;

use lapin::options::QueueDeclareOptions;
use lapin::types::{AMQPValue, FieldTable, ShortString};
use lapin::{Connection, ErrorKind};

const TYPE: &str = "x-queue-type";

/// An argument of streams. With it no quorum queue can be made, should the queue be deleted just before it is asked for,
/// and queues of other types are not compared by it.
const GUARD: (&str, &str) = ("x-max-age", "1D");

/// More than a queue can have.
const MAX_ARGUMENTS: usize = 24;

pub(super) enum QueueType {
    /// Or whatever else is not durable, which the other types always are.
    Classic,
    Quorum,
    Stream,
    /// It cannot be told, and this is why.
    Unknown(String),
}

impl fmt::Display for QueueType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Classic => "classic",
            Self::Quorum => "quorum",
            Self::Stream => "stream",
            Self::Unknown(_) => "type unknown",
        })
    }
}

pub(super) async fn find(connection: &Connection, queue: &ShortString) -> anyhow::Result<QueueType> {
    let mut arguments = FieldTable::default();
    for (name, value) in [(TYPE, "quorum"), GUARD] {
        arguments.insert(name.into(), AMQPValue::LongString(value.into()));
    }
    for _ in 0..MAX_ARGUMENTS {
        // A refused declaration closes its channel.
        let channel = connection.create_channel().await?;
        let durable = QueueDeclareOptions { durable: true, ..QueueDeclareOptions::default() };
        let error = match channel.queue_declare(queue.clone(), durable, arguments.clone()).await {
            Ok(_) => return Ok(QueueType::Quorum),
            Err(error) => error,
        };
        let ErrorKind::ProtocolError(refused) = error.kind() else {
            return Err(error.into());
        };
        match Difference::read(refused.get_message().as_str()) {
            Some(Difference::Type(queue_type)) => return Ok(queue_type),
            Some(Difference::Argument(name, value)) if !arguments.contains_key(&name) => {
                arguments.insert(name.into(), value);
            }
            _ => return Ok(QueueType::Unknown("RabbitMQ does not tell its type".to_owned())),
        }
    }
    Ok(QueueType::Unknown("it has too many arguments".to_owned()))
}

/// The first difference between a queue and its declaration.
enum Difference {
    Type(QueueType),
    Argument(String, AMQPValue),
}

impl Difference {
    /// Reads `… inequivalent arg 'x-queue-type' for queue 'orders' in vhost '/': received 'quorum' but current is 'classic'`.
    ///
    /// An argument that was not sent is answered with `received none but current is the value '10' of type 'signedint'`.
    fn read(answer: &str) -> Option<Self> {
        let (_, difference) = answer.split_once("inequivalent arg '")?;
        let (name, difference) = difference.split_once('\'')?;
        match name {
            // Of the types only the classic one need not be durable, and can delete itself.
            "durable" | "auto_delete" => Some(Self::Type(QueueType::Classic)),
            TYPE => {
                let current = ["classic", "stream"].into_iter().find(|name| {
                    difference.ends_with(&format!("received 'quorum' but current is '{name}'"))
                })?;
                Some(Self::Type(if current == "stream" { QueueType::Stream } else { QueueType::Classic }))
            }
            name => {
                let (_, value) = difference.split_once(": received none but current is the value '")?;
                let (value, kind) = value.strip_suffix('\'')?.rsplit_once("' of type '")?;
                let value = match kind {
                    "longstr" => AMQPValue::LongString(value.into()),
                    "bool" => AMQPValue::Boolean(value == "true"),
                    // The broker compares numbers of all widths.
                    _ => AMQPValue::LongLongInt(value.parse().ok()?),
                };
                Some(Self::Argument(name.to_owned(), value))
            }
        }
    }
}
