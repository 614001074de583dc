//! Setting attributes that are known to be recorded.

use std::fmt;

use opentelemetry::{Key, KeyValue, Value};

/// Sets attributes on a span or link that is known to be recorded.
///
/// Attributes that a sampler may read are set at the start. All others are set here, and cost nothing if the span is not
/// recorded.
pub struct Details<'a>(pub(super) &'a mut dyn FnMut(KeyValue));

impl Details<'_> {
    /// Sets an attribute.
    pub fn set(&mut self, key: impl Into<Key>, value: impl Into<Value>) {
        (self.0)(KeyValue::new(key, value));
    }

    /// The attributes as a list, for a link.
    pub(super) fn collect(details: impl FnOnce(&mut Details<'_>)) -> Vec<KeyValue> {
        let mut attributes = Vec::new();
        details(&mut Details(&mut |attribute| attributes.push(attribute)));
        attributes
    }
}

impl fmt::Debug for Details<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Details").finish_non_exhaustive()
    }
}
