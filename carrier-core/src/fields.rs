//! What one injection does to a carrier, gathered before the carrier is touched.

use std::borrow::Cow;

use opentelemetry::propagation::{Injector, TextMapPropagator};
use smallvec::SmallVec;

use crate::names::is_ours;

/// The fields that one injection replaces: the names that go, and the entries that come.
///
/// The propagator writes here first and the carrier is changed once, so that nothing half-written is published.
/// Names are the propagator's [`fields()`](TextMapPropagator::fields) and whatever else it sets. An entry is left
/// out where its value is empty, or where OpenTelemetry's TextMap rules forbid it: a key must be a token and a value
/// visible ASCII, spaces and tabs (OpenTelemetry specification, Propagators API, "TextMap Propagator"). A line break
/// in a baggage value therefore never reaches a header.
#[derive(Debug, Default)]
pub struct Fields<'p> {
    names: SmallVec<[&'p str; 4]>,
    // In line: three fields are all that nearly anybody sends, and an allocation is what an injection would cost most.
    entries: SmallVec<[(Cow<'p, str>, String); 3]>,
    /// Whether something was set that no header may hold.
    refused: bool,
}

impl<'p> Fields<'p> {
    /// What `propagator` writes for a context: nothing yet, and all its fields to be removed.
    pub(crate) fn of(propagator: &'p dyn TextMapPropagator) -> Self {
        Self {
            names: propagator.fields().filter(|name| is_writable(name)).collect(),
            entries: SmallVec::new(),
            refused: false,
        }
    }

    /// Whether there is nothing to remove and nothing to add.
    pub fn is_empty(&self) -> bool {
        self.names.is_empty() && self.entries.is_empty()
    }

    /// Whether a header of this exact key goes, because it is an old copy of a field.
    pub fn replaces(&self, key: &str) -> bool {
        self.names().any(|name| name == key)
    }

    /// Whether a header of this exact key goes and no new one comes.
    pub fn removes(&self, key: &str) -> bool {
        self.names.contains(&key) && !self.sets(key)
    }

    /// The keys whose old headers go, each once.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        let beyond = self.entries.iter().map(|(key, _)| &**key);
        let names = self.names.iter().copied();
        names.chain(beyond.filter(|key| !self.names.contains(key)))
    }

    /// The headers to add, key and value, each key once.
    pub fn entries(&self) -> impl ExactSizeIterator<Item = (&str, &str)> {
        self.entries.iter().map(|(key, value)| (&**key, &**value))
    }

    /// The headers to add, by value: most carriers can keep the `String` as it is.
    pub fn into_entries(self) -> impl ExactSizeIterator<Item = (Cow<'p, str>, String)> {
        self.entries.into_iter()
    }

    pub(crate) fn is_refused(&self) -> bool {
        self.refused
    }

    /// The value that is about to be added under a key.
    pub(crate) fn value_mut(&mut self, key: &str) -> Option<&mut String> {
        self.entries.iter_mut().find(|(name, _)| name == key).map(|(_, value)| value)
    }

    /// Takes back what was about to be added under a key; its old headers still go.
    pub(crate) fn unset(&mut self, key: &str) {
        self.entries.retain(|(name, _)| name != key);
    }

    /// Takes back all that was about to be added; the old headers still go.
    pub(crate) fn unset_all(&mut self) {
        self.entries.clear();
    }

    /// How many members the list has that is about to be added under a key.
    pub(crate) fn members(&self, key: &str) -> usize {
        let value = self.entries.iter().find(|(name, _)| name == key);
        value.map_or(0, |(_, value)| value.split(',').count())
    }

    fn sets(&self, key: &str) -> bool {
        self.entries.iter().any(|(name, _)| name == key)
    }
}

impl Injector for Fields<'_> {
    fn set(&mut self, key: &str, value: String) {
        if !is_writable(key) || !is_field_value(&value) {
            self.refused |= !value.is_empty();
            return;
        }
        if let Some((_, old)) = self.entries.iter_mut().find(|(name, _)| name == key) {
            *old = value;
            return;
        }
        let key = match self.names.iter().find(|name| **name == key) {
            Some(name) => Cow::Borrowed(*name),
            None => Cow::Owned(key.to_owned()),
        };
        self.entries.push((key, value));
    }
}

/// Whether a header may have this name.
pub(crate) fn is_writable(key: &str) -> bool {
    is_ours(key) || is_token(key)
}

/// A token of RFC 9110, section 5.6.2.
pub(crate) fn is_token(key: &str) -> bool {
    !key.is_empty() && key.bytes().all(|byte| TOKEN[usize::from(byte)])
}

/// Which bytes a token may hold: asked for every byte of every key, so a table.
const TOKEN: [bool; 256] = {
    let mut table = [false; 256];
    let special = b"!#$%&'*+-.^_`|~";
    let mut byte = 0;
    while byte < 128 {
        table[byte] = (byte as u8).is_ascii_alphanumeric();
        byte += 1;
    }
    let mut index = 0;
    while index < special.len() {
        table[special[index] as usize] = true;
        index += 1;
    }
    table
};

/// A field value of RFC 9110, section 5.5, without obs-text; empty ones are no value to us.
fn is_field_value(value: &str) -> bool {
    // Without a way out of the loop it runs on many bytes at once.
    let valid = |byte| matches!(byte, b'\t' | b' '..=b'~');
    !value.is_empty() && value.bytes().fold(true, |all, byte| all & valid(byte))
}

#[cfg(test)]
mod tests {
    use opentelemetry::Context;
    use opentelemetry::propagation::text_map_propagator::FieldIter;
    use opentelemetry::propagation::{Extractor, TextMapPropagator};

    use super::*;

    #[derive(Debug)]
    struct Declares(Vec<String>);

    impl TextMapPropagator for Declares {
        fn inject_context(&self, _: &Context, _: &mut dyn Injector) {}

        fn extract_with_context(&self, cx: &Context, _: &dyn Extractor) -> Context {
            cx.clone()
        }

        fn fields(&self) -> FieldIter<'_> {
            FieldIter::new(&self.0)
        }
    }

    #[test]
    fn a_field_that_was_not_set_is_removed_and_not_added() {
        let propagator = Declares(vec!["traceparent".into(), "tracestate".into()]);
        let mut fields = Fields::of(&propagator);
        fields.set("traceparent", "new".into());
        assert!(fields.replaces("traceparent") && fields.replaces("tracestate"));
        assert!(fields.removes("tracestate") && !fields.removes("traceparent"));
        assert!(!fields.replaces("user") && !fields.removes("user"));
        assert_eq!(fields.entries().collect::<Vec<_>>(), [("traceparent", "new")]);
    }

    #[test]
    fn a_key_that_the_propagator_did_not_declare_is_replaced_too() {
        let mut fields = Fields::default();
        fields.set("x-undeclared", "1".into());
        assert!(fields.replaces("x-undeclared"));
        assert_eq!(fields.names().collect::<Vec<_>>(), ["x-undeclared"]);
    }

    #[test]
    fn a_key_set_twice_is_added_once_with_the_later_value() {
        let mut fields = Fields::default();
        fields.set("b3", "old".into());
        fields.set("b3", "new".into());
        assert_eq!(fields.entries().collect::<Vec<_>>(), [("b3", "new")]);
    }

    #[test]
    fn what_no_header_may_hold_is_left_out() {
        let mut fields = Fields::default();
        fields.set("baggage", "a=1;x\r\nevil: 1".into());
        fields.set("bad key", "v".into());
        fields.set("", "v".into());
        fields.set("tracestate", String::new());
        fields.set("umlaut", "ü".into());
        assert!(fields.is_empty());
    }
}
