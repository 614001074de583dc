//! What is used instead of us. The benchmarks of carrier-kafka include this file.

use opentelemetry::propagation::Injector;
use rdkafka::message::{Header, Headers as _, OwnedHeaders};

/// A short injector: the headers are taken out, and put back with one more.
pub(crate) struct Short<'a>(pub(crate) &'a mut OwnedHeaders);

impl Injector for Short<'_> {
    fn set(&mut self, key: &str, value: String) {
        *self.0 = std::mem::take(self.0).insert(Header { key, value: Some(&value) });
    }
}

/// The snippet that is copied from project to project: it builds all headers anew for each key, with each value as a new
/// string, and clones the whole at the end.
pub(crate) struct Copied<'a>(pub(crate) &'a mut OwnedHeaders);

impl Injector for Copied<'_> {
    fn set(&mut self, key: &str, value: String) {
        let mut anew = OwnedHeaders::new().insert(Header { key, value: Some(&value) });
        for header in self.0.iter() {
            let text = String::from_utf8_lossy(header.value.unwrap_or_default()).into_owned();
            anew = anew.insert(Header { key: header.key, value: Some(&text) });
        }
        *self.0 = anew.clone();
    }
}
