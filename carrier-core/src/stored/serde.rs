//! The flat map of serde, read so that nothing in it can fail.

use std::cell::Cell;
use std::fmt;

use ::serde::de::{DeserializeSeed, EnumAccess, IgnoredAny, MapAccess, SeqAccess, VariantAccess, Visitor};
use ::serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::{MAX_KEY_BYTES, StoredContext};
use crate::format::MAX_FIELD_BYTES;

impl Serialize for StoredContext {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(&self.0)
    }
}

impl<'de> Deserialize<'de> for StoredContext {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        // A format for people describes its values. Of the others some do, which shows with the first value only.
        match deserializer.is_human_readable() {
            true => deserializer.deserialize_any(Whole { described: Some(true) }),
            false => deserializer.deserialize_map(Whole { described: None }),
        }
    }
}

/// Visits of what is neither text nor has anything in it.
macro_rules! nothing {
    ($self:ident => $nothing:expr; $($visit:ident: $value:ty),*) => {
        $(fn $visit<E>($self, _: $value) -> Result<Self::Value, E> {
            Ok($nothing)
        })*

        fn visit_unit<E>($self) -> Result<Self::Value, E> {
            Ok($nothing)
        }

        fn visit_none<E>($self) -> Result<Self::Value, E> {
            Ok($nothing)
        }
    };
}

/// All of a stored context.
struct Whole {
    /// Whether the format says of each value what it is, so that it can be asked for any; not known before the first.
    described: Option<bool>,
}

impl<'de> Visitor<'de> for Whole {
    type Value = StoredContext;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a map of header names and their values")
    }

    nothing!(self => StoredContext::default(); visit_bool: bool, visit_i64: i64, visit_i128: i128, visit_u64: u64,
        visit_u128: u128, visit_f64: f64, visit_str: &str, visit_bytes: &[u8]);

    fn visit_some<D: Deserializer<'de>>(self, inner: D) -> Result<StoredContext, D::Error> {
        StoredContext::deserialize(inner)
    }

    fn visit_newtype_struct<D: Deserializer<'de>>(self, inner: D) -> Result<StoredContext, D::Error> {
        StoredContext::deserialize(inner)
    }

    fn visit_enum<A: EnumAccess<'de>>(self, data: A) -> Result<StoredContext, A::Error> {
        data.variant::<IgnoredAny>()?.1.newtype_variant()
    }

    fn visit_seq<A: SeqAccess<'de>>(self, list: A) -> Result<StoredContext, A::Error> {
        IgnoredAny.visit_seq(list).map(|_| StoredContext::default())
    }

    fn visit_map<A: MapAccess<'de>>(mut self, mut map: A) -> Result<StoredContext, A::Error> {
        let mut stored = StoredContext::default();
        let shown = Cell::new(false);
        let text = |limit, described| Text { limit, described, shown: &shown };
        while let Some(key) = map.next_key_seed(text(MAX_KEY_BYTES, self.described == Some(true)))? {
            // A value that is not kept is read without a copy.
            let is_kept = key.as_ref().is_some_and(|key| stored.has_room(key));
            let limit = if is_kept { MAX_FIELD_BYTES } else { 0 };
            let is_first = self.described.is_none();
            shown.set(false);
            let mut value = map.next_value_seed(text(limit, self.described.unwrap_or(true)));
            let is_described = *self.described.get_or_insert(shown.get());
            if is_first && !is_described && value.is_err() {
                // A format that does not describe its values refuses the question before it reads the input, so the value
                // can still be read as text.
                value = map.next_value_seed(text(limit, false));
            }
            if let (Some(key), Some(value)) = (key, value?) {
                stored.keep(key, value);
            }
        }
        Ok(stored)
    }
}

/// A name or a value: text within a limit, or nothing.
struct Text<'a> {
    limit: usize,
    described: bool,
    /// Becomes true if the format shows a value.
    shown: &'a Cell<bool>,
}

impl Text<'_> {
    fn is(self, text: Option<&str>) -> Option<String> {
        self.shown.set(true);
        text.filter(|text| text.len() <= self.limit).map(str::to_owned)
    }
}

impl<'de> DeserializeSeed<'de> for Text<'_> {
    type Value = Option<String>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Option<String>, D::Error> {
        match self.described {
            true => deserializer.deserialize_any(self),
            false => deserializer.deserialize_string(self),
        }
    }
}

impl<'de> Visitor<'de> for Text<'_> {
    type Value = Option<String>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("text")
    }

    nothing!(self => self.is(None); visit_bool: bool, visit_i64: i64, visit_i128: i128, visit_u64: u64,
        visit_u128: u128, visit_f64: f64);

    fn visit_str<E>(self, text: &str) -> Result<Option<String>, E> {
        Ok(self.is(Some(text)))
    }

    fn visit_bytes<E>(self, bytes: &[u8]) -> Result<Option<String>, E> {
        Ok(self.is(std::str::from_utf8(bytes).ok()))
    }

    fn visit_some<D: Deserializer<'de>>(self, inner: D) -> Result<Option<String>, D::Error> {
        self.shown.set(true);
        inner.deserialize_any(self)
    }

    fn visit_newtype_struct<D: Deserializer<'de>>(self, inner: D) -> Result<Option<String>, D::Error> {
        self.shown.set(true);
        inner.deserialize_any(self)
    }

    fn visit_enum<A: EnumAccess<'de>>(self, data: A) -> Result<Option<String>, A::Error> {
        self.shown.set(true);
        data.variant::<IgnoredAny>()?.1.newtype_variant_seed(Self { described: true, ..self })
    }

    fn visit_seq<A: SeqAccess<'de>>(self, list: A) -> Result<Option<String>, A::Error> {
        self.shown.set(true);
        IgnoredAny.visit_seq(list).map(|_| None)
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Option<String>, A::Error> {
        self.shown.set(true);
        IgnoredAny.visit_map(map).map(|_| None)
    }
}
