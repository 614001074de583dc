//! Environment variables as a carrier.

use std::borrow::Cow;
use std::collections::{BTreeMap, btree_map};
use std::ffi::{OsStr, OsString};
use std::fmt;
use std::process::Command;

use super::{FieldNames, FieldValue, Fields, TextMapCarrier, TextMapReader};

/// Environment variables as a carrier: those of this process, or any pairs.
///
/// A field has its name in upper case, and each character that is not an ASCII letter, a digit or `_` becomes `_`:
/// `TRACEPARENT`, `X_B3_TRACEID` (OpenTelemetry specification, "Environment Variables as Context Propagation Carriers"). A
/// variable `traceparent` is no field. Names and values that are not UTF-8 do no harm.
///
/// `Debug` shows the names only, since values are often secrets.
///
/// # Examples
///
/// ```
/// use carrier_core::env::Environment;
///
/// // For a process that something else starts: a container, a job of a cluster.
/// let mut variables = Environment::from_iter([("LANG", "C")]);
/// carrier_core::inject(&opentelemetry::Context::current(), &mut variables);
/// let pairs: Vec<(std::ffi::OsString, std::ffi::OsString)> = variables.into_iter().collect();
/// ```
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Environment(BTreeMap<OsString, OsString>);

impl Environment {
    /// Returns a copy of this process's variables.
    pub fn current() -> Self {
        std::env::vars_os().collect()
    }

    /// Returns the variables that a process gets which this command starts: the inherited ones, as the command changes them.
    ///
    /// [`Command`] does not show `env_clear`, so the inherited ones are here also after that call.
    pub fn of(command: &Command) -> Self {
        let mut variables = Self::current();
        for (name, value) in command.get_envs() {
            match value {
                Some(value) => variables.0.insert(name.to_owned(), value.to_owned()),
                None => variables.0.remove(name),
            };
        }
        variables
    }

    /// Makes a command, whose variables are `before`, start a process with these.
    pub(crate) fn apply(&self, before: &Self, command: &mut Command) {
        for name in before.0.keys().filter(|name| !self.0.contains_key(*name)) {
            command.env_remove(name);
        }
        command.envs(self.0.iter().filter(|(name, value)| before.0.get(*name) != Some(value)));
    }
}

impl fmt::Debug for Environment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}

impl<K: Into<OsString>, V: Into<OsString>> FromIterator<(K, V)> for Environment {
    fn from_iter<I: IntoIterator<Item = (K, V)>>(pairs: I) -> Self {
        Self(pairs.into_iter().map(|(name, value)| (name.into(), value.into())).collect())
    }
}

impl IntoIterator for Environment {
    type Item = (OsString, OsString);
    type IntoIter = btree_map::IntoIter<OsString, OsString>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.into_iter()
    }
}

impl TextMapReader for Environment {
    fn entries(&self) -> impl Iterator<Item = (&str, FieldValue<'_>)> {
        let named = self.0.iter().filter_map(|(name, value)| Some((name.to_str()?, value)));
        named.filter(|(name, _)| normalized(name) == *name).map(|(name, value)| (name, bytes(value)))
    }

    fn find<'a>(&'a self, names: &FieldNames<'_>) -> impl Iterator<Item = (usize, FieldValue<'a>)> {
        let values = names.iter().map(|name| self.0.get(OsStr::new(&*normalized(name))));
        values.enumerate().filter_map(|(index, value)| Some((index, bytes(value?))))
    }
}

impl TextMapCarrier for Environment {
    fn replace(&mut self, fields: &mut Fields<'_>) {
        for name in fields.names() {
            self.0.remove(OsStr::new(&*normalized(name)));
        }
        for (name, value) in fields.drain() {
            self.0.insert(normalized(&name).into_owned().into(), value.take_string().into());
        }
    }
}

/// Normalises a name (same specification, "Key Name Normalization").
fn normalized(name: &str) -> Cow<'_, str> {
    let is_normal = |c: char| matches!(c, 'A'..='Z' | '0'..='9' | '_');
    let has_start = name.starts_with(|c: char| !c.is_ascii_digit());
    if has_start && name.chars().all(is_normal) {
        return Cow::Borrowed(name);
    }
    let start = if has_start { "" } else { "_" };
    let rest = name.chars().map(|c| c.to_ascii_uppercase()).map(|c| if is_normal(c) { c } else { '_' });
    Cow::Owned(start.chars().chain(rest).collect())
}

fn bytes(value: &OsStr) -> FieldValue<'_> {
    FieldValue::Bytes(value.as_encoded_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{assert_carries, assert_carries_nothing, assert_consistent, remote_context};

    #[test]
    fn names_are_normalised_as_the_specification_says() {
        for (name, expected) in [
            ("traceparent", "TRACEPARENT"),
            ("x-b3-traceid", "X_B3_TRACEID"),
            ("X_1", "X_1"),
            ("", "_"),
            ("1a", "_1A"),
            ("é=", "__"),
            ("_", "_"),
        ] {
            assert_eq!(normalized(name), expected);
            assert!(matches!(normalized(expected), Cow::Borrowed(same) if same == expected));
        }
    }

    #[test]
    fn a_context_is_written_under_normalised_names_and_read_back() {
        let cx = remote_context();
        let mut variables = Environment::from_iter([("LANG", "C"), ("TRACESTATE", "old=1")]);
        crate::inject(&cx, &mut variables);
        assert_carries(&variables, &cx);
        assert_consistent(&variables);
        let names: Vec<_> = variables.0.keys().map(|name| name.to_str().unwrap()).collect();
        assert_eq!(names, ["LANG", "TRACEPARENT"]);
        crate::inject(&Default::default(), &mut variables);
        assert_eq!(variables, Environment::from_iter([("LANG", "C")]));
    }

    #[test]
    fn a_variable_in_lower_case_is_no_field() {
        let parent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
        let variables = Environment::from_iter([("traceparent", parent), ("Traceparent", parent)]);
        assert_carries_nothing(&variables);
        assert_eq!(variables.entries().count(), 0);
    }

    #[cfg(unix)]
    #[test]
    fn names_and_values_that_are_not_utf8_do_not_panic() {
        use std::os::unix::ffi::OsStringExt as _;

        let bad = || OsString::from_vec(vec![b'T', 0xff]);
        let variables = Environment::from_iter([(bad(), bad()), ("TRACEPARENT".into(), bad())]);
        let found = crate::inspect(&variables);
        assert_eq!((found.status().label(), found.status().field()), ("malformed", Some("traceparent")));
    }

    #[test]
    fn debug_shows_no_values() {
        let variables = Environment::from_iter([("PASSWORD", "secret")]);
        assert_eq!(format!("{variables:?}"), r#"{"PASSWORD"}"#);
    }
}
