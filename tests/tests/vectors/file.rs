//! The files, as `tests/vectors/schema.json` describes them. A field that the schema does not know is an error.

use std::fs;
use std::path::Path;

use serde::Deserialize;
use serde_json::Value;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct File {
    #[serde(rename = "$schema")]
    pub(crate) schema: String,
    pub(crate) transport: Transport,
    pub(crate) about: String,
    pub(crate) vectors: Vec<Vector>,
    /// The path in the folder, without its extension.
    #[serde(skip)]
    pub(crate) path: String,
}

#[derive(Deserialize, Clone, Copy, PartialEq)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Transport {
    Amqp,
    Kafka,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Vector {
    pub(crate) id: String,
    pub(crate) why: String,
    pub(crate) source: String,
    /// The clients that cannot decode the wire bytes.
    #[serde(default)]
    pub(crate) refused_by: Vec<String>,
    pub(crate) wire: Pieces,
    pub(crate) headers: Vec<Header>,
    pub(crate) outcomes: Vec<Outcome>,
}

/// A header, or an element of an AMQP array, which has no key.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Header {
    pub(crate) key: Option<Pieces>,
    pub(crate) key_hex: Option<Pieces>,
    /// The letter of an AMQP type.
    #[serde(rename = "type")]
    pub(crate) kind: Option<char>,
    /// Text of Kafka, or a value of the AMQP type; null is Kafka's null.
    #[serde(default)]
    pub(crate) value: Value,
    pub(crate) value_hex: Option<Pieces>,
    #[serde(default = "once")]
    pub(crate) times: usize,
    /// How deep an AMQP table or array is nested in its own kind.
    #[serde(default = "once")]
    pub(crate) depth: usize,
}

fn once() -> usize {
    1
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Outcome {
    pub(crate) conflict: Vec<Conflict>,
    pub(crate) status: String,
    pub(crate) field: Option<String>,
    pub(crate) context: Option<ExpectedSpan>,
    pub(crate) baggage: Vec<Member>,
    pub(crate) links: Vec<Ids>,
    pub(crate) forward: Vec<Header>,
}

#[derive(Deserialize, Clone, Copy, Debug, PartialEq)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Conflict {
    Restart,
    Last,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ExpectedSpan {
    pub(crate) trace_id: String,
    pub(crate) span_id: String,
    pub(crate) flags: String,
    pub(crate) tracestate: Pieces,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Ids {
    pub(crate) trace_id: String,
    pub(crate) span_id: String,
    pub(crate) flags: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Member {
    pub(crate) key: String,
    pub(crate) value: Pieces,
    pub(crate) properties: String,
}

/// Text, or bytes as hexadecimal digits: a string, or strings of which some are repeated.
#[derive(Deserialize)]
#[serde(untagged)]
pub(crate) enum Pieces {
    One(String),
    Many(Vec<Piece>),
}

#[derive(Deserialize)]
#[serde(untagged, deny_unknown_fields)]
pub(crate) enum Piece {
    Once(String),
    Repeated { repeat: String, times: usize },
}

impl Pieces {
    pub(crate) fn text(&self) -> String {
        match self {
            Self::One(text) => text.clone(),
            Self::Many(pieces) => pieces
                .iter()
                .map(|piece| match piece {
                    Piece::Once(text) => text.clone(),
                    Piece::Repeated { repeat, times } => repeat.repeat(*times),
                })
                .collect(),
        }
    }

    pub(crate) fn bytes(&self) -> Vec<u8> {
        let digits = self.text();
        assert!(digits.len().is_multiple_of(2), "{digits} is not whole bytes");
        let pairs = digits.as_bytes().chunks(2);
        pairs.map(|pair| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap()).collect()
    }
}

impl Header {
    pub(crate) fn key(&self) -> Vec<u8> {
        match (&self.key, &self.key_hex) {
            (Some(text), None) => text.text().into_bytes(),
            (None, Some(digits)) => digits.bytes(),
            _ => panic!("a header has either `key` or `key_hex`"),
        }
    }

    /// The bytes of a value that is text or null.
    pub(crate) fn content(&self) -> Option<Vec<u8>> {
        match (&self.value, &self.value_hex) {
            (Value::Null, None) => None,
            (Value::Null, Some(digits)) => Some(digits.bytes()),
            (text, None) => Some(Pieces::deserialize(text).unwrap().text().into_bytes()),
            (text, Some(_)) => panic!("a header has either `value` or `value_hex`: {text}"),
        }
    }
}

/// All files of the folder, in order.
pub(crate) fn all() -> Vec<File> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("vectors");
    let mut files = Vec::new();
    for transport in ["amqp", "kafka"] {
        for entry in fs::read_dir(folder.join(transport)).unwrap() {
            let path = entry.unwrap().path();
            let text = fs::read_to_string(&path).unwrap();
            let mut file: File =
                serde_json::from_str(&text).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
            let relative = path.strip_prefix(&folder).unwrap().with_extension("");
            file.path = relative.to_str().unwrap().replace('\\', "/");
            files.push(file);
        }
    }
    files.sort_by(|one, other| one.path.cmp(&other.path));
    files
}
