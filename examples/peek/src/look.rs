//! One message as propagation sees it.

use std::time::{SystemTime, UNIX_EPOCH};

use carrier_core::{Extraction, FieldNames, FieldValue, Propagation, TextMapCarrier, W3c};
use opentelemetry::propagation::TextMapPropagator as _;

/// How many headers are searched for names that only look like a field.
const MAX_HEADERS: usize = 1_024;

/// Where other formats keep their contexts, in lower case.
const OTHER_FORMATS: [&str; 9] = [
    "b3",
    "x-b3-traceid",
    "x-b3-spanid",
    "uber-trace-id",
    "x-datadog-trace-id",
    "x-amzn-trace-id",
    "sw8",
    "sentry-trace",
    "newrelic",
];

/// What was looked at, and what there is to say about it.
pub(crate) struct Seen {
    /// What was looked at and how much there was, in one line.
    pub(crate) summary: String,
    pub(crate) looks: Vec<Look>,
    pub(crate) interrupted: bool,
}

pub(crate) struct Look {
    pub(crate) place: Place,
    pub(crate) found: Extraction,
    /// Every copy of every field, in the order of the fields.
    pub(crate) fields: Vec<(String, Value)>,
    /// Names of headers that look like a context and are not read.
    pub(crate) unread: Vec<String>,
    /// What the fields take in the message, all copies.
    pub(crate) bytes: usize,
    /// Milliseconds since 1970.
    pub(crate) timestamp: Option<i128>,
    /// Milliseconds; negative where the sender's clock is ahead.
    pub(crate) age: Option<i128>,
}

/// Where the message is.
pub(crate) enum Place {
    Queue { queue: String, delivery_tag: u64, redelivered: bool, delivery_count: Option<i64> },
    Topic { topic: String, partition: i32, offset: i64 },
}

/// The value of one header: a [`FieldValue`] that outlives its message.
pub(crate) enum Value {
    Text(String),
    Binary(Vec<u8>),
    Null,
    Empty,
    WrongType(&'static str),
}

/// When a message was made, as its transport tells it.
pub(crate) enum Timestamp {
    None,
    Seconds(u64),
    Milliseconds(i64),
}

/// Looks into messages with a propagation of its own: W3C trace context and baggage, whatever the environment says.
pub(crate) struct Inspector {
    propagator: W3c,
    propagation: Propagation,
}

impl Inspector {
    pub(crate) fn new() -> Self {
        let propagator = carrier_core::w3c();
        let propagation = Propagation::builder().propagator(propagator.clone()).build();
        Self { propagator, propagation }
    }

    pub(crate) fn look(&self, place: Place, headers: &impl TextMapCarrier, timestamp: Timestamp) -> Look {
        let names: Vec<&str> = self.propagator.fields().collect();
        let wanted = FieldNames::new(&names);
        let mut found: Vec<_> = headers.find(&wanted).collect();
        found.sort_by_key(|(index, _)| *index);
        let fields = found.into_iter().map(|(index, value)| (names[index].to_owned(), Value::of(value)));
        let (whole, rest) =
            (headers.measure(&FieldNames::new(&[])).bytes(), headers.measure(&wanted).bytes());
        let (timestamp, age) = timestamp.and_age();
        Look {
            place,
            found: self.propagation.inspect(headers),
            fields: fields.collect(),
            unread: self.unread(headers),
            bytes: whole.saturating_sub(rest),
            timestamp,
            age,
        }
    }

    fn unread(&self, headers: &impl TextMapCarrier) -> Vec<String> {
        let is_field = |key: &str| self.propagator.fields().any(|name| name.eq_ignore_ascii_case(key));
        let resembles = |key: &str| {
            let key = key.trim().to_ascii_lowercase();
            is_field(&key) || OTHER_FORMATS.contains(&key.as_str())
        };
        let keys = headers.entries().map(|(key, _)| key).take(MAX_HEADERS);
        keys.filter(|key| !is_field(key) && resembles(key)).map(str::to_owned).collect()
    }
}

impl Value {
    fn of(value: FieldValue<'_>) -> Self {
        match value {
            FieldValue::Null => Self::Null,
            FieldValue::Other(name) => Self::WrongType(name),
            value if value.is_empty() => Self::Empty,
            value => match value.as_str() {
                Some(text) => Self::Text(text.to_owned()),
                None => Self::Binary(value.as_bytes().unwrap_or_default().to_owned()),
            },
        }
    }
}

impl Timestamp {
    /// Both in milliseconds. Wide enough for whatever a stranger wrote.
    fn and_age(self) -> (Option<i128>, Option<i128>) {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        match self {
            Self::None => (None, None),
            // A message of this second is not half a second old.
            Self::Seconds(made) => {
                let made = i128::from(made);
                (Some(made * 1_000), Some((i128::from(now.as_secs()) - made) * 1_000))
            }
            Self::Milliseconds(made) => {
                let made = i128::from(made);
                (Some(made), Some(i128::try_from(now.as_millis()).unwrap_or(i128::MAX) - made))
            }
        }
    }
}
