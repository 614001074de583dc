//! A context that waits in a row: captured, stored, and extracted later.

mod properties;
#[cfg(feature = "serde")]
mod serde;

use std::borrow::Cow;
use std::collections::BTreeMap;

use opentelemetry::Context;

use crate::format::MAX_FIELD_BYTES;
use crate::{FieldValue, Fields, TextMapCarrier, TextMapReader};

/// How many entries are kept.
const MAX_ENTRIES: usize = 64;

/// The longest key that is kept; no field of any propagator comes near.
const MAX_KEY_BYTES: usize = 255;

/// A context as text, to be stored beside what it belongs to: a row of an outbox or of a job table, the arguments of a
/// job whose framework hides the headers.
///
/// It is captured **when the row is written**, in the transaction of the order or the job, and not when a relay picks
/// the row up: by then the span that it belongs to has long ended, and the current one is the relay's own. What is
/// captured is text that nothing changes any more, and means the same after a restart and in another program.
///
/// # The format
///
/// With serde it is a flat map of header names and their values, in any format that has maps with text in them:
///
/// ```json
/// {"baggage":"tenant=blue","traceparent":"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"}
/// ```
///
/// The names are the fields of the propagator, and each value is what a message header would hold: `traceparent`,
/// `tracestate`, `baggage`, or `b3` and others where such a propagator is registered. A context without anything to
/// carry is the empty map. Entries are sorted by name, so equal contexts are equal text. This does not change; what a
/// later version has to add comes under a name of its own, and **entries that are not known are kept** and stored again
/// as they were.
///
/// Deserialising takes what is there; [`extract`](Self::extract) validates it, as strictly as what came with a message. So
/// neither fails because of what is in the entries:
///
/// | in the row | what it becomes |
/// | --- | --- |
/// | a value that is a number, null, a list, a map, or bytes that are not UTF-8 | that entry is left out |
/// | something else in place of the whole map, such as `null` | an empty `StoredContext` |
/// | the same name twice | the last text counts |
/// | a name over 255 bytes, a value over 16,447, more than 64 names | what is over is left out |
/// | text that no header may hold, a malformed `traceparent` | kept, and read as in a message: no context |
///
/// What fails is the format itself: JSON that is cut off, text that is not UTF-8. Formats differ in one point. Those that
/// describe their values (JSON, YAML, TOML, RON, MessagePack, CBOR) say where a value is no text. In those that do not
/// (Postcard, bincode) a number looks like text, so what was written there as anything but a map of text is misread or
/// refused, as with any type. CBOR refuses a row that is no map and a first *name* that is no text as well, since that
/// must be asked for before it has shown what it is. XML is no such format: there an element with text is a map too.
///
/// [`to_properties`](Self::to_properties) writes the same as Java's properties text, for Debezium.
///
/// # Examples
///
/// In the transaction that writes the row, and in the relay that publishes it:
///
/// ```
/// # #[cfg(feature = "serde")]
/// # fn main() -> Result<(), serde_json::Error> {
/// use carrier_core::StoredContext;
/// use opentelemetry::Context;
///
/// #[derive(serde::Serialize, serde::Deserialize)]
/// struct Job {
///     order: u64,
///     // Rows that were written before there was a context have none.
///     #[serde(default)]
///     context: StoredContext,
/// }
///
/// let job = Job { order: 7, context: StoredContext::capture(&Context::current()) };
/// let row = serde_json::to_string(&job)?;
///
/// let job: Job = serde_json::from_str(&row)?;
/// let cx = job.context.extract(); // the parent of the span that publishes, or of the one that works
/// # Ok(()) }
/// # #[cfg(not(feature = "serde"))]
/// # fn main() {}
/// ```
///
/// It is a carrier: your own [`Propagation`](crate::Propagation) reads and writes it as well.
///
/// ```
/// use carrier_core::{Propagation, StoredContext, Trust};
///
/// let stored = StoredContext::from_properties("traceparent=00-0-0-00");
/// let found = Propagation::builder().trust(Trust::Link).build().inspect(&stored);
/// assert_eq!(found.status().label(), "malformed");
/// ```
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct StoredContext(BTreeMap<String, String>);

/// The longest line of properties text that can hold an entry: an escape takes six bytes for one.
const MAX_LINE_BYTES: usize = 6 * (MAX_KEY_BYTES + MAX_FIELD_BYTES) + 1;

/// The longest properties text that [`StoredContext::to_properties`] writes.
const MAX_TEXT_BYTES: usize = MAX_ENTRIES * (MAX_LINE_BYTES + 1);

impl StoredContext {
    /// Captures a context as text, as [`inject`](crate::inject) would write it into a message.
    ///
    /// # Examples
    ///
    /// ```
    /// use carrier_core::StoredContext;
    /// use opentelemetry::Context;
    ///
    /// let stored = StoredContext::capture(&Context::new());
    /// assert!(stored.is_empty());
    /// ```
    pub fn capture(cx: &Context) -> Self {
        let mut stored = Self::default();
        crate::inject(cx, &mut stored);
        stored
    }

    /// The context that was captured; an empty one where there is none, or none that is valid.
    ///
    /// As [`extract`](crate::extract).
    ///
    /// # Examples
    ///
    /// ```
    /// use carrier_core::StoredContext;
    /// use opentelemetry::trace::TraceContextExt;
    ///
    /// let text = "traceparent=00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
    /// let cx = StoredContext::from_properties(text).extract();
    /// assert_eq!(cx.span().span_context().span_id().to_string(), "b7ad6b7169203331");
    /// ```
    pub fn extract(&self) -> Context {
        crate::extract(self)
    }

    /// Whether nothing is stored: a context without a span and without baggage leaves nothing to store.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The entries as text of `java.util.Properties`, for the column `tracingspancontext` of Debezium's outbox.
    ///
    /// One line for each entry, `name=value`, without a line break at the end: with a trace context and nothing else it is
    /// a single line. The text is ASCII and escaped as `Properties.store` does it, so what is read by `Properties.load`,
    /// or by [`from_properties`](Self::from_properties), is what was stored, whatever it holds. Debezium takes the value as
    /// the parent of its own spans and puts the context of those into the message. Where nothing is stored the text is
    /// empty; such a column is best left null.
    ///
    /// # Examples
    ///
    /// ```
    /// # use carrier_core::StoredContext;
    /// let text = "traceparent: 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01\ntracestate: a=1";
    /// assert_eq!(
    ///     StoredContext::from_properties(text).to_properties(),
    ///     "traceparent=00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01\ntracestate=a\\=1",
    /// );
    /// ```
    pub fn to_properties(&self) -> String {
        properties::format(&self.0)
    }

    /// The entries of a text of `java.util.Properties`, such as the one that Debezium's own library for outboxes writes.
    ///
    /// Every text that `Properties.load` takes is understood: comments and dates, continued lines, `=`, `:` or white space
    /// between name and value, escapes. The limits of the format above hold, the last of several lines with one name
    /// counts, and a line with a malformed `\uXXXX` is left out alone. It never fails.
    ///
    /// # Examples
    ///
    /// ```
    /// # use carrier_core::StoredContext;
    /// let written_in_java = "#Mon Jun 02 10:15:30 UTC 2025\r\nbaggage=tenant\\=blue\r\n";
    /// let written_here = StoredContext::from_properties("baggage = tenant=blue");
    /// assert_eq!(StoredContext::from_properties(written_in_java), written_here);
    /// ```
    pub fn from_properties(text: &str) -> Self {
        let mut stored = Self::default();
        properties::parse(text, MAX_LINE_BYTES, MAX_TEXT_BYTES, |key, value| stored.keep(key, value));
        stored
    }

    /// Keeps an entry, within the limits. What is not kept is not copied.
    fn keep<'a>(&mut self, key: impl Into<Cow<'a, str>>, value: impl Into<Cow<'a, str>>) {
        let (key, value) = (key.into(), value.into());
        if !self.has_room(&key) || value.len() > MAX_FIELD_BYTES {
            return;
        }
        match self.0.get_mut(&*key) {
            Some(old) => *old = value.into_owned(),
            None => drop(self.0.insert(key.into_owned(), value.into_owned())),
        }
    }

    /// Returns whether an entry of this name would be kept.
    fn has_room(&self, key: &str) -> bool {
        key.len() <= MAX_KEY_BYTES && (self.0.len() < MAX_ENTRIES || self.0.contains_key(key))
    }
}

impl TextMapReader for StoredContext {
    fn entries(&self) -> impl Iterator<Item = (&str, FieldValue<'_>)> {
        self.0.iter().map(|(name, value)| (name.as_str(), value.into()))
    }
}

/// An entry over the limits of the format is not kept, so what is captured is what is read back.
impl TextMapCarrier for StoredContext {
    fn replace(&mut self, fields: &mut Fields<'_>) {
        self.0.retain(|name, _| !fields.replaces(name));
        for (name, value) in fields.drain() {
            self.keep(name, value.take_string());
        }
    }
}
