//! The maps and lists of the standard library as carriers.

use std::collections::{BTreeMap, HashMap};
use std::hash::BuildHasher;

use crate::{FieldValue, Fields, TextMapCarrier, TextMapReader};

impl<S: BuildHasher> TextMapReader for HashMap<String, String, S> {
    fn keys(&self) -> impl Iterator<Item = &str> {
        self.keys().map(String::as_str)
    }

    fn get_all<'a>(&'a self, key: &str) -> impl Iterator<Item = FieldValue<'a>> {
        self.get(key).map(FieldValue::from).into_iter()
    }
}

impl<S: BuildHasher> TextMapCarrier for HashMap<String, String, S> {
    fn replace(&mut self, fields: &mut Fields<'_>) {
        for name in fields.names() {
            self.remove(name);
        }
        self.extend(fields.take_entries().map(|(key, value)| (key.into_owned(), value)));
    }
}

impl TextMapReader for BTreeMap<String, String> {
    fn keys(&self) -> impl Iterator<Item = &str> {
        self.keys().map(String::as_str)
    }

    fn get_all<'a>(&'a self, key: &str) -> impl Iterator<Item = FieldValue<'a>> {
        self.get(key).map(FieldValue::from).into_iter()
    }
}

impl TextMapCarrier for BTreeMap<String, String> {
    fn replace(&mut self, fields: &mut Fields<'_>) {
        for name in fields.names() {
            self.remove(name);
        }
        self.extend(fields.take_entries().map(|(key, value)| (key.into_owned(), value)));
    }
}

/// A list of pairs keeps its order and may hold a key more than once.
impl TextMapReader for Vec<(String, String)> {
    fn keys(&self) -> impl Iterator<Item = &str> {
        self.iter().map(|(key, _)| key.as_str())
    }

    fn get_all<'a>(&'a self, key: &str) -> impl Iterator<Item = FieldValue<'a>> {
        self.iter().filter(move |(name, _)| name == key).map(|(_, value)| FieldValue::from(value))
    }
}

/// The other pairs keep their order; new ones are appended.
impl TextMapCarrier for Vec<(String, String)> {
    fn replace(&mut self, fields: &mut Fields<'_>) {
        self.retain(|(name, _)| !fields.replaces(name));
        self.extend(fields.take_entries().map(|(key, value)| (key.into_owned(), value)));
    }
}
