//! The maps and lists of the standard library as carriers.

use std::collections::{BTreeMap, HashMap};
use std::hash::BuildHasher;

use super::{FieldValue, Fields, TextMapCarrier, TextMapReader};

macro_rules! map {
    ($map:ty $(, $parameter:ident)?) => {
        impl$(<$parameter: BuildHasher>)? TextMapReader for $map {
            fn entries(&self) -> impl Iterator<Item = (&str, FieldValue<'_>)> {
                self.iter().map(|(name, value)| (name.as_str(), value.into()))
            }
        }

        impl$(<$parameter: BuildHasher>)? TextMapCarrier for $map {
            fn replace(&mut self, fields: &mut Fields<'_>) {
                self.retain(|name, _| !fields.replaces(name));
                self.extend(fields.drain().map(|(name, value)| (name.into_owned(), value.take_string())));
            }
        }
    };
}

map!(HashMap<String, String, S>, S);
map!(BTreeMap<String, String>);

/// A list of pairs keeps its order and may hold a name more than once.
impl TextMapReader for Vec<(String, String)> {
    fn entries(&self) -> impl Iterator<Item = (&str, FieldValue<'_>)> {
        self.iter().map(|(name, value)| (name.as_str(), value.into()))
    }
}

/// The other pairs keep their order; new ones are appended.
impl TextMapCarrier for Vec<(String, String)> {
    fn replace(&mut self, fields: &mut Fields<'_>) {
        self.retain(|(name, _)| !fields.replaces(name));
        self.extend(fields.drain().map(|(name, value)| (name.into_owned(), value.take_string())));
    }
}
