//! A database that goes away once, half-way through a batch.

use std::collections::BTreeMap;
use std::fmt;

use opentelemetry::Context;
use opentelemetry::baggage::BaggageExt as _;
use rdkafka::Message as _;
use rdkafka::error::KafkaError;
use rdkafka::message::BorrowedMessage;

/// The batch that fails, counted from 1.
const FAILS: usize = 2;

/// A record's partition and offset: what no other record of the topic has.
pub(crate) type Place = (i32, i64);

/// Why a batch was not done; its type is what spans and metrics have as `error.type`.
#[derive(Debug)]
pub(crate) enum NotStored {
    Away,
    /// Stored, and to be read again all the same.
    NotCommitted(KafkaError),
}

impl std::error::Error for NotStored {}

impl fmt::Display for NotStored {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Away => f.write_str("the database is away"),
            Self::NotCommitted(error) => write!(f, "Kafka did not take the commit: {error}"),
        }
    }
}

impl From<KafkaError> for NotStored {
    fn from(error: KafkaError) -> Self {
        Self::NotCommitted(error)
    }
}

pub(crate) struct Store {
    /// By place, so that what is read again is not there twice.
    pub(crate) rows: BTreeMap<Place, Row>,
    calls: usize,
}

pub(crate) struct Row {
    /// From the record's baggage.
    pub(crate) tenant: Option<String>,
    pub(crate) times: usize,
}

impl Store {
    pub(crate) fn new() -> Self {
        Self { rows: BTreeMap::new(), calls: 0 }
    }

    /// The handler. Its span is a child of the batch's; the contexts are the records' own, in the same order, where the
    /// baggage is, and the parent for whatever belongs into a record's own trace.
    #[tracing::instrument(name = "store", skip_all)]
    pub(crate) async fn add(
        &mut self,
        messages: &[BorrowedMessage<'_>],
        contexts: &[Context],
    ) -> Result<(), NotStored> {
        self.calls += 1;
        for (number, (message, cx)) in messages.iter().zip(contexts).enumerate() {
            if self.calls == FAILS && number == messages.len() / 2 {
                return Err(NotStored::Away);
            }
            let tenant = cx.baggage().get("tenant").map(ToString::to_string);
            let place = (message.partition(), message.offset());
            self.rows.entry(place).or_insert(Row { tenant, times: 0 }).times += 1;
        }
        Ok(())
    }
}
