//! What is used instead of us.

use opentelemetry::propagation::Injector;
use rdkafka::message::{Header, Headers as _, OwnedHeaders};

/// A short injector of one's own: the headers are taken out, and put back with one more.
#[derive(Debug, Default)]
pub(crate) struct Short(pub(crate) OwnedHeaders);

impl Injector for Short {
    fn set(&mut self, key: &str, value: String) {
        self.0 = std::mem::take(&mut self.0).insert(Header { key, value: Some(&value) });
    }
}

/// What is copied from project to project: all headers anew for each key, each value as a string of its own, and the whole
/// cloned at the end.
#[derive(Debug, Default)]
pub(crate) struct Copied(pub(crate) OwnedHeaders);

impl Injector for Copied {
    fn set(&mut self, key: &str, value: String) {
        let mut anew = OwnedHeaders::new().insert(Header { key, value: Some(&value) });
        for header in self.0.iter() {
            let text = String::from_utf8_lossy(header.value.unwrap_or_default()).into_owned();
            anew = anew.insert(Header { key: header.key, value: Some(&text) });
        }
        self.0 = anew.clone();
    }
}
