//! What one injection does to a carrier, gathered before the carrier is touched.

use std::borrow::Cow;
use std::{array, iter, mem, slice};

use opentelemetry::propagation::{Injector, TextMapPropagator};
use smallvec::SmallVec;

use crate::TextMapCarrier;
use crate::lists::count_members;
use crate::names::{OURS, TRACEPARENT, TRACEPARENT_AT, TRACESTATE, place};
use crate::value::Value;
use crate::w3c::handover;

/// The fields that one injection replaces: the names that go, and the entries that come.
///
/// The propagator writes here first and the carrier is changed once, so that nothing half-written is published.
/// Names are the propagator's [`fields()`](TextMapPropagator::fields) and whatever else it sets; where the carrier was found
/// to have none of the propagator's fields, nothing has to go. An entry is left out where its value is empty, or where
/// OpenTelemetry's TextMap rules forbid it: a key must be a token and a value visible ASCII, spaces and tabs (OpenTelemetry
/// specification, Propagators API, "TextMap Propagator"). A line break in a baggage value therefore never reaches a header.
#[derive(Debug, Default)]
pub struct Fields<'p> {
    // W3C's fields have a place each, found by a comparison and not by a search, and without an allocation: they are all that
    // nearly anybody sends.
    ours: [Value; 3],
    declares: [bool; 3],
    /// Whether none of the declared fields is in the carrier.
    is_new: bool,
    /// Whether a propagator writes here and nobody else.
    is_open: bool,
    /// Whether something was set that was not declared.
    is_undeclared: bool,
    /// Whether something was set that no header may hold.
    refused: bool,
    others: Option<Box<Others<'p>>>,
}

/// What a propagator has beside W3C's fields.
#[derive(Debug, Default)]
struct Others<'p> {
    entries: Vec<(Cow<'p, str>, Value)>,
    declares: Vec<&'p str>,
}

impl<'p> Fields<'p> {
    /// What `propagator` writes for a context: nothing yet, and all its fields to be removed.
    pub(crate) fn of(propagator: &'p dyn TextMapPropagator) -> Self {
        let mut fields = Self { is_open: true, ..Self::default() };
        for name in propagator.fields() {
            match place(name) {
                Some(place) => fields.declares[place] = true,
                None if is_token(name) => fields.others.get_or_insert_default().declares.push(name),
                None => {}
            }
        }
        fields
    }

    /// The same of a propagator that has some of W3C's fields and no others.
    #[inline]
    pub(crate) fn of_ours(declares: [bool; 3]) -> Self {
        Self { declares, ..Self::default() }
    }

    /// Which of W3C's fields are declared, where no others are.
    #[cfg(feature = "instrumentation")]
    pub(crate) fn declared(&self) -> Option<[bool; 3]> {
        self.others.is_none().then_some(self.declares)
    }

    /// What counts against the limit in a carrier that has none of the declared fields; `None` where one is there, valid or
    /// not.
    #[inline]
    pub(crate) fn size_if_absent<C: TextMapCarrier>(&self, carrier: &C) -> Option<usize> {
        match (self.declares, &self.others) {
            ([true, true, true], None) => carrier.size_if_absent(OURS),
            ([true, true, false], None) => carrier.size_if_absent([TRACEPARENT, TRACESTATE]),
            _ => {
                let names: SmallVec<[&str; 8]> = self.names().collect();
                (!carrier.has_any(&names)).then(|| carrier.size_without(&Fields::default()))
            }
        }
    }

    /// Of the fields that are declared none is in the carrier, so that none has to be looked for again.
    pub(crate) fn for_a_new_message(&mut self) {
        self.is_new = true;
    }

    /// Whether there is nothing to remove and nothing to add.
    pub fn is_empty(&self) -> bool {
        self.names().next().is_none() && !self.has_entries()
    }

    /// Whether a header of this exact key goes, because it is an old copy of a field.
    #[inline]
    pub fn replaces(&self, key: &str) -> bool {
        match self.declares(key) {
            true => !self.is_new,
            false => self.sets(key),
        }
    }

    /// Whether a header of this exact key goes and no new one comes.
    pub fn removes(&self, key: &str) -> bool {
        !self.is_new && self.declares(key) && !self.sets(key)
    }

    /// The keys whose old headers go, each once.
    #[inline]
    pub fn names(&self) -> impl Iterator<Item = &str> {
        let ours = (0..OURS.len()).filter(|place| match self.declares[*place] {
            true => !self.is_new,
            false => self.ours[*place].is_some(),
        });
        let others = self.others.iter().flat_map(|others| {
            let declared = others.declares.iter().copied().filter(|_| !self.is_new);
            let set = others.entries.iter().map(|(key, _)| &**key);
            declared.chain(set.filter(|key| !others.declares.contains(key)))
        });
        ours.map(|place| OURS[place]).chain(others)
    }

    /// Whether an old header may have to go; where not, none has to be looked for.
    #[inline]
    pub fn may_replace(&self) -> bool {
        !self.is_new || self.is_undeclared
    }

    /// The headers to add, key and value, each key once.
    #[inline]
    pub fn entries(&self) -> impl ExactSizeIterator<Item = (&str, &str)> {
        Entries { fields: self, next: 0, left: self.count() }.map(|(key, value)| (key, value.as_str()))
    }

    /// The same, for a transport whose values are bytes: it spares making text of them. They are ASCII.
    #[inline]
    pub fn bytes(&self) -> impl ExactSizeIterator<Item = (&str, &[u8])> {
        Entries { fields: self, next: 0, left: self.count() }.map(|(key, value)| (key, value.as_bytes()))
    }

    /// Takes the headers to add, by value: most carriers can keep the `String` as it is.
    #[inline]
    pub fn take_entries(&mut self) -> impl ExactSizeIterator<Item = (Cow<'p, str>, String)> {
        Taken::of(self).map(|(key, value)| (key, value.take_string()))
    }

    /// The same, for a transport whose values are bytes: it spares making text of them. They are ASCII.
    #[inline]
    pub fn take_bytes(&mut self) -> impl ExactSizeIterator<Item = (Cow<'p, str>, Vec<u8>)> {
        Taken::of(self).map(|(key, value)| (key, value.take_bytes()))
    }

    /// What the headers to add come to, where `size` says it of a key and the length of its value.
    #[inline]
    pub(crate) fn size(&self, size: impl Fn(&str, usize) -> usize) -> usize {
        let ours = OURS.into_iter().zip(&self.ours).filter(|(_, value)| value.is_some());
        let ours: usize = ours.map(|(key, value)| size(key, value.len())).sum();
        let others = self.others.iter().flat_map(|others| &others.entries);
        ours + others.map(|(key, value)| size(key, value.len())).sum::<usize>()
    }

    /// Which of W3C's fields are about to be added.
    #[inline]
    pub(crate) fn ours(&self) -> [bool; 3] {
        self.ours.each_ref().map(Value::is_some)
    }

    /// The keys of the others that are.
    #[inline]
    pub(crate) fn others(&self) -> impl ExactSizeIterator<Item = &str> {
        let others: &[_] = self.others.as_ref().map_or(&[], |others| &others.entries);
        others.iter().map(|(key, _)| &**key)
    }

    #[inline]
    pub(crate) fn has_entries(&self) -> bool {
        self.count() > 0
    }

    #[cfg(test)]
    pub(crate) fn is_line(&self) -> bool {
        matches!(self.ours[TRACEPARENT_AT], Value::Line(_))
    }

    #[inline]
    pub(crate) fn is_refused(&self) -> bool {
        self.refused
    }

    /// Sets one of W3C's fields to what is known to be a field value.
    #[inline]
    pub(crate) fn put(&mut self, place: usize, value: Value) {
        self.ours[place] = value;
    }

    /// Changes one of W3C's lists, if it is about to be added.
    #[inline]
    pub(crate) fn change<T>(&mut self, place: usize, change: impl FnOnce(&mut String) -> T) -> Option<T> {
        let Value::Text(text) = &mut self.ours[place] else { return None };
        let result = change(text);
        if text.is_empty() {
            self.ours[place] = Value::None;
        }
        Some(result)
    }

    /// Takes back all that was about to be added; the old headers still go.
    pub(crate) fn unset_all(&mut self) {
        self.ours = Default::default();
        self.others.iter_mut().for_each(|others| others.entries.clear());
    }

    /// How many members one of W3C's lists has that is about to be added.
    #[inline]
    pub(crate) fn members(&self, place: usize) -> usize {
        match self.ours[place].as_str() {
            "" => 0,
            list => count_members(list),
        }
    }

    /// Whether a key is one of the fields, old or new.
    pub(crate) fn has(&self, key: &str) -> bool {
        self.declares(key) || self.sets(key)
    }

    #[inline]
    fn count(&self) -> usize {
        let others = self.others.as_ref().map_or(0, |others| others.entries.len());
        self.ours.iter().filter(|value| value.is_some()).count() + others
    }

    #[inline]
    fn declares(&self, key: &str) -> bool {
        match place(key) {
            Some(place) => self.declares[place],
            None => self.others.as_ref().is_some_and(|others| others.declares.contains(&key)),
        }
    }

    #[inline]
    fn sets(&self, key: &str) -> bool {
        match place(key) {
            Some(place) => self.ours[place].is_some(),
            None => {
                self.others.as_ref().is_some_and(|others| others.entries.iter().any(|(name, _)| name == key))
            }
        }
    }
}

impl Injector for Fields<'_> {
    /// Takes a `traceparent` of our own propagator's, which need not be made a `String`.
    fn reserve(&mut self, _: usize) {
        if let Some(line) = Some(&*self).filter(|fields| fields.is_open).and_then(handover::take) {
            self.is_undeclared |= !self.declares[TRACEPARENT_AT];
            self.ours[TRACEPARENT_AT] = Value::Line(line);
        }
    }

    fn set(&mut self, key: &str, value: String) {
        let place = place(key);
        if (place.is_none() && !is_token(key)) || !is_field_value(&value) {
            self.refused |= !value.is_empty();
            return;
        }
        if let Some(place) = place {
            self.is_undeclared |= !self.declares[place];
            self.ours[place] = value.into();
            return;
        }
        self.is_undeclared |= !self.declares(key);
        let others = self.others.get_or_insert_default();
        if let Some((_, old)) = others.entries.iter_mut().find(|(name, _)| name == key) {
            *old = value.into();
            return;
        }
        let key = match others.declares.iter().find(|name| **name == key) {
            Some(name) => Cow::Borrowed(*name),
            None => Cow::Owned(key.to_owned()),
        };
        others.entries.push((key, value.into()));
    }
}

/// What is to be added, read.
struct Entries<'f, 'p> {
    fields: &'f Fields<'p>,
    next: usize,
    left: usize,
}

impl<'f> Iterator for Entries<'f, '_> {
    type Item = (&'f str, &'f Value);

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        self.left = self.left.checked_sub(1)?;
        while let Some(value) = self.fields.ours.get(self.next) {
            self.next += 1;
            if value.is_some() {
                return Some((OURS[self.next - 1], value));
            }
        }
        self.next += 1;
        let (key, value) = self.fields.others.as_ref()?.entries.get(self.next - OURS.len() - 1)?;
        Some((key, value))
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.left, Some(self.left))
    }
}

impl ExactSizeIterator for Entries<'_, '_> {}

/// What is to be added, to be taken.
struct Taken<'f, 'p> {
    ours: iter::Zip<array::IntoIter<&'static str, 3>, slice::IterMut<'f, Value>>,
    others: slice::IterMut<'f, (Cow<'p, str>, Value)>,
    left: usize,
}

impl<'f, 'p> Taken<'f, 'p> {
    #[inline]
    fn of(fields: &'f mut Fields<'p>) -> Self {
        let left = fields.count();
        let others: &mut [_] = fields.others.as_mut().map_or(&mut [], |others| &mut others.entries);
        Self { ours: OURS.into_iter().zip(&mut fields.ours), others: others.iter_mut(), left }
    }
}

impl<'f, 'p> Iterator for Taken<'f, 'p> {
    type Item = (Cow<'p, str>, &'f mut Value);

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        self.left = self.left.checked_sub(1)?;
        match self.ours.find(|(_, value)| value.is_some()) {
            Some((key, value)) => Some((Cow::Borrowed(key), value)),
            None => self.others.next().map(|(key, value)| (mem::take(key), value)),
        }
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.left, Some(self.left))
    }
}

impl ExactSizeIterator for Taken<'_, '_> {}

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
    fn of_a_new_message_only_what_was_not_declared_may_be_replaced() {
        let propagator = Declares(vec!["traceparent".into(), "b3".into()]);
        let mut fields = Fields::of(&propagator);
        assert!(fields.may_replace());
        fields.for_a_new_message();
        fields.set("traceparent", "new".into());
        fields.set("b3", "new".into());
        assert!(!fields.may_replace() && fields.names().next().is_none());
        for undeclared in ["tracestate", "x-undeclared"] {
            let mut fields = Fields::of(&propagator);
            fields.for_a_new_message();
            fields.set(undeclared, "new".into());
            assert!(fields.may_replace() && fields.names().eq([undeclared]));
        }
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
