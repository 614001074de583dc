//! OpenTelemetry's extractors as readers.

use std::collections::HashSet;
use std::fmt;

use opentelemetry::propagation::Extractor;

use crate::carrier::{FieldNames, FieldValue, TextMapReader};

/// An OpenTelemetry [`Extractor`] as a [`TextMapReader`], for headers that another crate made readable.
///
/// Fields are read by name; [`entries`](TextMapReader::entries) needs an extractor whose `keys` are complete.
pub struct FromExtractor<'a>(pub &'a dyn Extractor);

impl fmt::Debug for FromExtractor<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("FromExtractor").field(&self.0.keys()).finish()
    }
}

impl FromExtractor<'_> {
    fn values(&self, name: &str) -> impl Iterator<Item = FieldValue<'_>> + use<'_> {
        self.0.get_all(name).into_iter().flatten().map(FieldValue::Text)
    }
}

impl TextMapReader for FromExtractor<'_> {
    fn entries(&self) -> impl Iterator<Item = (&str, FieldValue<'_>)> {
        // A repeated name is listed several times, and its values with its first place.
        let mut names = self.0.keys();
        let mut seen = HashSet::new();
        names.retain(|name| seen.insert(*name));
        names.into_iter().flat_map(|name| self.values(name).map(move |value| (name, value)))
    }

    fn find<'a>(&'a self, names: &FieldNames<'_>) -> impl Iterator<Item = (usize, FieldValue<'a>)> {
        names.iter().enumerate().flat_map(|(index, name)| self.values(name).map(move |value| (index, value)))
    }
}
