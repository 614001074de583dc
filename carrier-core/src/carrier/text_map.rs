//! The carrier traits.

use super::{FieldNames, FieldValue, Fields, MessageSize};

/// Which of several different `traceparent` headers is used.
///
/// Identical copies count as one. Null and empty copies are ignored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum Conflict {
    /// None: a new trace starts (RFC 9110, section 5.3: a field that is not a list must not be repeated).
    #[default]
    Restart,
    /// The last valid one. Kafka clients that forward a record append the newest context after the old one.
    Last,
}

/// Headers that can be read: the getter of OpenTelemetry's TextMap propagator.
///
/// # Examples
///
/// ```
/// use carrier_core::{FieldValue, TextMapReader};
///
/// struct Headers(Vec<(String, Vec<u8>)>);
///
/// impl TextMapReader for Headers {
///     fn entries(&self) -> impl Iterator<Item = (&str, FieldValue<'_>)> {
///         self.0.iter().map(|(name, value)| (name.as_str(), value.into()))
///     }
/// }
///
/// let headers = Headers(vec![("traceparent".into(), b"00-0-0-00".to_vec())]);
/// assert_eq!(carrier_core::inspect(&headers).status().label(), "malformed");
/// ```
pub trait TextMapReader {
    /// Returns all headers in order: the name and the value, including repeated, null and empty ones.
    ///
    /// A header whose name is not UTF-8 may be left out. The iterator should be lazy, and must not panic.
    fn entries(&self) -> impl Iterator<Item = (&str, FieldValue<'_>)>;

    /// Returns the headers with one of these names, in order: the index of the name, and the value.
    ///
    /// The default filters [`entries`](Self::entries) by [`FieldNames::position`], which ignores case. Override it if the
    /// transport compares names faster.
    #[inline]
    fn find<'a>(&'a self, names: &FieldNames<'_>) -> impl Iterator<Item = (usize, FieldValue<'a>)> {
        self.entries().filter_map(|(name, value)| Some((names.position(name)?, value)))
    }

    /// Returns the values of a header as text, for an attribute: see `InstrumentationBuilder::capture_headers`.
    ///
    /// The default returns text as it is, other bytes as `0x` and hexadecimal digits, and the type of any other value. Override
    /// it if the transport has numbers.
    fn texts(&self, name: &str) -> Vec<String> {
        self.find(&FieldNames::new(&[name])).map(|(_, value)| value.to_text()).collect()
    }

    /// Returns which of several different `traceparent` headers is used, unless the configuration says otherwise.
    fn conflict(&self) -> Conflict {
        Conflict::default()
    }
}

/// Headers that can be written: the setter of OpenTelemetry's TextMap propagator.
///
/// It is a separate trait, since a received message can only be read.
///
/// # Examples
///
/// ```
/// use carrier_core::{FieldValue, Fields, TextMapCarrier, TextMapReader};
/// # struct Headers(Vec<(String, Vec<u8>)>);
/// # impl TextMapReader for Headers {
/// #     fn entries(&self) -> impl Iterator<Item = (&str, FieldValue<'_>)> {
/// #         self.0.iter().map(|(name, value)| (name.as_str(), value.into()))
/// #     }
/// # }
///
/// impl TextMapCarrier for Headers {
///     fn replace(&mut self, fields: &mut Fields<'_>) {
///         self.0.retain(|(name, _)| !fields.replaces(name));
///         self.0.extend(fields.drain().map(|(name, value)| (name.into_owned(), value.take_bytes())));
///     }
/// }
///
/// let mut headers = Headers(Vec::new());
/// carrier_core::inject(&opentelemetry::Context::current(), &mut headers);
/// ```
pub trait TextMapCarrier: TextMapReader {
    /// Replaces a set of fields at once.
    ///
    /// Remove every header whose name [`fields.replaces`](Fields::replaces), with all its copies. Add each header of
    /// [`fields.drain()`](Fields::drain) once. Leave every other header as it is, in its order.
    fn replace(&mut self, fields: &mut Fields<'_>);

    /// Returns what a write must know: whether a header with one of these names is present, and how large the message is
    /// without those headers.
    ///
    /// The default knows no limit and counts only the headers that are added. Override it if the transport refuses large
    /// messages. It is called before every write.
    fn measure(&self, names: &FieldNames<'_>) -> MessageSize {
        MessageSize::unlimited(self.find(names).next().is_some())
    }
}

impl<T: TextMapReader> TextMapReader for &T {
    fn entries(&self) -> impl Iterator<Item = (&str, FieldValue<'_>)> {
        (**self).entries()
    }

    fn find<'a>(&'a self, names: &FieldNames<'_>) -> impl Iterator<Item = (usize, FieldValue<'a>)> {
        (**self).find(names)
    }

    fn texts(&self, name: &str) -> Vec<String> {
        (**self).texts(name)
    }

    fn conflict(&self) -> Conflict {
        (**self).conflict()
    }
}
