//! The header fields of one injection, collected before the carrier is touched.

use std::borrow::Cow;
use std::{array, iter, mem, slice};

use opentelemetry::propagation::{Injector, TextMapPropagator};
use smallvec::SmallVec;

use crate::format::list::count_members;
use crate::format::traceparent::{TraceParent, TraceParentText};
use crate::format::{TRACEPARENT_SLOT, W3C_FIELDS, is_field_value, is_token, slot};

/// The fields that one injection replaces: the names whose old headers are removed, and the headers that are added.
///
/// The propagator writes here first, and the carrier is changed once, so nothing half-written is published. The names are
/// the propagator's [`fields()`](TextMapPropagator::fields) and whatever else it sets. A header is left out if its value is
/// empty, or if OpenTelemetry's rules forbid it: a key must be a token, and a value visible ASCII, spaces and tabs
/// (OpenTelemetry specification, Propagators API, "TextMap Propagator"). A line break in a baggage value therefore never
/// reaches a header.
#[derive(Debug, Default)]
pub struct Fields<'p> {
    // The W3C fields have a slot each: no search and no allocation for what nearly everyone sends.
    w3c: [FieldText; 3],
    declares: [bool; 3],
    /// The carrier has none of the declared fields.
    is_new: bool,
    /// A field was set that was not declared.
    is_undeclared: bool,
    /// A field was set that no header may hold.
    is_refused: bool,
    others: Option<Box<Others<'p>>>,
}

/// The fields of a propagator that are not W3C's.
#[derive(Debug, Default)]
struct Others<'p> {
    entries: Vec<(Cow<'p, str>, FieldText)>,
    declares: Vec<&'p str>,
}

/// The value of a header that is added: ASCII text, without an allocation for a `traceparent`.
#[derive(Debug, Default)]
pub struct FieldText(Text);

#[derive(Debug, Default)]
enum Text {
    #[default]
    None,
    TraceParent(TraceParentText),
    Owned(String),
}

impl<'p> Fields<'p> {
    /// Declares the fields of a propagator; none of them is set yet.
    pub(crate) fn of(propagator: &'p dyn TextMapPropagator) -> Self {
        let mut fields = Self::default();
        for name in propagator.fields() {
            match slot(name) {
                Some(slot) => fields.declares[slot] = true,
                None if is_token(name) => fields.others.get_or_insert_default().declares.push(name),
                None => {}
            }
        }
        fields
    }

    /// Declares some of the W3C fields.
    #[inline]
    pub(crate) fn of_w3c(declares: [bool; 3]) -> Self {
        Self { declares, ..Self::default() }
    }

    /// Returns whether a header of this name is an old copy of a field, so that it must be removed.
    ///
    /// Names are compared without regard to case.
    #[inline]
    pub fn replaces(&self, name: &str) -> bool {
        self.may_replace() && if self.declares(name) { !self.is_new } else { self.sets(name) }
    }

    /// Returns whether [`drain`](Self::drain) adds a header of exactly this name.
    ///
    /// For a carrier that holds a name once: there the new header overwrites the old one.
    #[inline]
    pub fn adds(&self, name: &str) -> bool {
        match slot(name) {
            Some(slot) => !self.w3c[slot].is_empty() && name == W3C_FIELDS[slot],
            None => self.others().any(|other| other == name),
        }
    }

    /// Returns whether an old header may have to be removed. If not, the carrier need not look for one.
    #[inline]
    pub fn may_replace(&self) -> bool {
        !self.is_new || self.is_undeclared
    }

    /// Returns the number of headers that [`drain`](Self::drain) adds.
    #[inline]
    pub fn additions(&self) -> usize {
        let others = self.others.as_ref().map_or(0, |others| others.entries.len());
        self.w3c.iter().filter(|value| !value.is_empty()).count() + others
    }

    /// Takes the headers to add, each name once.
    #[inline]
    pub fn drain(&mut self) -> impl ExactSizeIterator<Item = (Cow<'p, str>, &mut FieldText)> {
        Drain::of(self)
    }

    /// Returns the names whose old headers are removed.
    pub(crate) fn names(&self) -> SmallVec<[&str; 4]> {
        let w3c = (0..W3C_FIELDS.len()).filter(|slot| self.declares[*slot] || !self.w3c[*slot].is_empty());
        let declared = self.others.iter().flat_map(|others| others.declares.iter().copied());
        w3c.map(|slot| W3C_FIELDS[slot]).chain(declared).chain(self.others()).collect()
    }

    /// Returns which W3C fields are declared, if no others are.
    #[inline]
    pub(crate) fn declared(&self) -> Option<[bool; 3]> {
        self.others.is_none().then_some(self.declares)
    }

    /// States that the carrier has none of the declared fields.
    pub(crate) fn set_new(&mut self) {
        self.is_new = true;
    }

    /// Returns the bytes of the headers to add, from a function of a name and the length of a value.
    #[inline]
    pub(crate) fn size(&self, header: impl Fn(&str, usize) -> usize) -> usize {
        let w3c = W3C_FIELDS.into_iter().zip(&self.w3c).filter(|(_, value)| !value.is_empty());
        let w3c: usize = w3c.map(|(name, value)| header(name, value.len())).sum();
        let others = self.others.iter().flat_map(|others| &others.entries);
        w3c + others.map(|(name, value)| header(name, value.len())).sum::<usize>()
    }

    /// Returns which W3C fields are set.
    #[inline]
    pub(crate) fn w3c(&self) -> [bool; 3] {
        self.w3c.each_ref().map(|value| !value.is_empty())
    }

    /// Returns the names of the other fields that are set.
    #[inline]
    pub(crate) fn others(&self) -> impl ExactSizeIterator<Item = &str> {
        let others: &[_] = self.others.as_ref().map_or(&[], |others| &others.entries);
        others.iter().map(|(name, _)| &**name)
    }

    pub(crate) fn is_refused(&self) -> bool {
        self.is_refused
    }

    /// Returns whether a name is one of the fields, declared or set.
    pub(crate) fn has(&self, name: &str) -> bool {
        self.declares(name) || self.sets(name)
    }

    /// Sets `traceparent`.
    #[inline(always)] // Otherwise the text is copied once more.
    pub(crate) fn set_traceparent(&mut self, parent: &TraceParent) {
        self.w3c[TRACEPARENT_SLOT] = FieldText(Text::TraceParent(parent.format()));
    }

    /// Sets a W3C list to a valid field value.
    pub(crate) fn set_list(&mut self, slot: usize, value: String) {
        self.w3c[slot] = value.into();
    }

    /// Changes a W3C list, if it is set; an empty one is unset.
    #[inline]
    pub(crate) fn change<T>(&mut self, slot: usize, change: impl FnOnce(&mut String) -> T) -> Option<T> {
        let Text::Owned(text) = &mut self.w3c[slot].0 else { return None };
        let result = change(text);
        if text.is_empty() {
            self.w3c[slot] = FieldText::default();
        }
        Some(result)
    }

    /// Unsets all fields; the old headers are still removed.
    pub(crate) fn clear(&mut self) {
        self.w3c = Default::default();
        self.others.iter_mut().for_each(|others| others.entries.clear());
    }

    /// Returns the number of members of a W3C list that is set.
    pub(crate) fn members(&self, slot: usize) -> usize {
        match self.w3c[slot].as_str() {
            "" => 0,
            list => count_members(list),
        }
    }

    #[inline]
    fn declares(&self, name: &str) -> bool {
        match slot(name) {
            Some(slot) => self.declares[slot],
            None => self.others.as_ref().is_some_and(|others| {
                others.declares.iter().any(|declared| declared.eq_ignore_ascii_case(name))
            }),
        }
    }

    #[inline]
    fn sets(&self, name: &str) -> bool {
        match slot(name) {
            Some(slot) => !self.w3c[slot].is_empty(),
            None => self.others().any(|set| set.eq_ignore_ascii_case(name)),
        }
    }
}

impl Injector for Fields<'_> {
    fn set(&mut self, key: &str, value: String) {
        let slot = slot(key);
        if (slot.is_none() && !is_token(key)) || !is_field_value(&value) {
            self.is_refused |= !value.is_empty();
            return;
        }
        if let Some(slot) = slot {
            self.is_undeclared |= !self.declares[slot];
            self.w3c[slot] = value.into();
            return;
        }
        self.is_undeclared |= !self.declares(key);
        let others = self.others.get_or_insert_default();
        if let Some((_, old)) = others.entries.iter_mut().find(|(name, _)| name.eq_ignore_ascii_case(key)) {
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

/// Takes the headers to add.
struct Drain<'f, 'p> {
    w3c: iter::Zip<array::IntoIter<&'static str, 3>, slice::IterMut<'f, FieldText>>,
    others: slice::IterMut<'f, (Cow<'p, str>, FieldText)>,
    left: usize,
}

impl<'f, 'p> Drain<'f, 'p> {
    #[inline]
    fn of(fields: &'f mut Fields<'p>) -> Self {
        let left = fields.additions();
        let others: &mut [_] = fields.others.as_mut().map_or(&mut [], |others| &mut others.entries);
        Self { w3c: W3C_FIELDS.into_iter().zip(&mut fields.w3c), others: others.iter_mut(), left }
    }
}

impl<'f, 'p> Iterator for Drain<'f, 'p> {
    type Item = (Cow<'p, str>, &'f mut FieldText);

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        self.left = self.left.checked_sub(1)?;
        match self.w3c.find(|(_, value)| !value.is_empty()) {
            Some((key, value)) => Some((Cow::Borrowed(key), value)),
            None => self.others.next().map(|(key, value)| (mem::take(key), value)),
        }
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.left, Some(self.left))
    }
}

impl ExactSizeIterator for Drain<'_, '_> {}

impl FieldText {
    /// Returns the value as bytes.
    #[inline]
    pub fn as_bytes(&self) -> &[u8] {
        match &self.0 {
            Text::None => &[],
            Text::TraceParent(TraceParentText(text)) => text,
            Text::Owned(text) => text.as_bytes(),
        }
    }

    /// Returns the value as text.
    #[inline]
    pub fn as_str(&self) -> &str {
        match &self.0 {
            Text::None => "",
            Text::TraceParent(TraceParentText(text)) => std::str::from_utf8(text).unwrap_or_default(),
            Text::Owned(text) => text,
        }
    }

    /// Takes the value as text.
    #[inline]
    pub fn take_string(&mut self) -> String {
        match &mut self.0 {
            Text::Owned(text) => mem::take(text),
            _ => self.as_str().to_owned(),
        }
    }

    /// Takes the value as bytes.
    #[inline]
    pub fn take_bytes(&mut self) -> Vec<u8> {
        match &mut self.0 {
            Text::Owned(text) => mem::take(text).into_bytes(),
            _ => self.as_bytes().to_vec(),
        }
    }

    #[inline]
    fn is_empty(&self) -> bool {
        matches!(self.0, Text::None)
    }

    #[inline]
    fn len(&self) -> usize {
        self.as_bytes().len()
    }
}

impl From<String> for FieldText {
    /// An empty text is no value.
    #[inline]
    fn from(text: String) -> Self {
        Self(if text.is_empty() { Text::None } else { Text::Owned(text) })
    }
}

/// The size of a message before fields are written, from [`TextMapCarrier::measure`](crate::TextMapCarrier::measure).
#[derive(Debug, Clone, Copy)]
pub struct MessageSize {
    pub(crate) is_present: bool,
    pub(crate) bytes: usize,
    pub(crate) limit: Option<usize>,
    pub(crate) header: fn(&str, usize) -> usize,
}

impl MessageSize {
    /// A message without a known limit. `is_present` says whether it has one of the headers.
    pub fn unlimited(is_present: bool) -> Self {
        Self { is_present, bytes: 0, limit: None, header: |name, value| name.len() + value }
    }

    /// A message of `bytes` bytes without the headers; the transport takes at most `limit` bytes, if it has a limit.
    ///
    /// `header` returns the bytes that one header adds, from its name and the length of its value.
    pub fn limited(
        is_present: bool,
        bytes: usize,
        limit: Option<usize>,
        header: fn(&str, usize) -> usize,
    ) -> Self {
        Self { is_present, bytes, limit, header }
    }

    /// Returns the bytes of the message without the headers that were asked for, as far as they are known.
    pub fn bytes(&self) -> usize {
        self.bytes
    }
}

#[cfg(test)]
mod tests;
