//! Our readers as OpenTelemetry's extractors.

use std::borrow::Cow;
use std::cell::{Cell, OnceCell};
use std::collections::HashMap;

use opentelemetry::propagation::Extractor;
use opentelemetry::trace::{SpanContext, TraceState};
use smallvec::SmallVec;

use super::inspect::{baggage_status, read_tracestate};
use crate::carrier::bounded::{Joined, MAX_COPIES, MAX_KEYS, MAX_VALUE_BYTES, Single, joined, single};
use crate::carrier::{Conflict, ExtractionStatus, FieldNames, FieldValue, TextMapReader};
use crate::format::list::trim_text;
use crate::format::traceparent::TraceParent;
use crate::format::{BAGGAGE, BAGGAGE_SLOT, MalformedReason, TRACEPARENT, TRACEPARENT_SLOT, baggage, slot};

/// Any [`TextMapReader`] as an OpenTelemetry [`Extractor`], for every propagator.
///
/// It shows bounded and valid values only, so that a lax propagator reads the same as ours:
///
/// - `traceparent` if it is valid and without conflict (see [`Conflict`]), and `tracestate` only together with it;
/// - the copies of `tracestate` and `baggage` joined in order;
/// - other values if they are text of at most 8,192 bytes, in at most 64 copies.
///
/// Names are compared without regard to case. [`keys`](Extractor::keys) shows the first 1,024.
///
/// # Examples
///
/// ```
/// use carrier_core::AsExtractor;
/// use opentelemetry::propagation::TextMapPropagator;
/// use opentelemetry::trace::TraceContextExt;
///
/// let parent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
/// let headers = vec![("traceparent".to_owned(), parent.to_owned())];
/// let cx = carrier_core::w3c().extract(&AsExtractor::new(&headers));
/// assert!(cx.span().span_context().is_remote());
/// ```
#[derive(Debug)]
pub struct AsExtractor<'a, R> {
    reader: &'a R,
    conflict: Conflict,
    traceparent: OnceCell<Single<Shown<'a>>>,
    tracestate: OnceCell<(Option<Cow<'a, str>>, ExtractionStatus)>,
    baggage: OnceCell<Option<Joined<'a>>>,
    /// How many other fields were looked up.
    lookups: Cell<usize>,
    /// The other fields by the lower case of their names.
    index: OnceCell<HashMap<String, Vec<FieldValue<'a>>>>,
}

/// After this number of lookups, the other fields are indexed: a propagator that asks for each of 1,024 keys must not search
/// all headers each time.
const MAX_SEARCHES: usize = 16;

/// A valid `traceparent` and its text. Two are equal if their content is.
#[derive(Debug, Clone, Copy)]
struct Shown<'a> {
    parent: TraceParent,
    text: &'a str,
}

impl PartialEq for Shown<'_> {
    fn eq(&self, other: &Self) -> bool {
        self.parent == other.parent
    }
}

impl<'a, R: TextMapReader> AsExtractor<'a, R> {
    /// Returns a view of `reader`; each field is read when it is asked for.
    pub fn new(reader: &'a R) -> Self {
        Self::with_conflict(reader, reader.conflict())
    }

    pub(crate) fn with_conflict(reader: &'a R, conflict: Conflict) -> Self {
        Self {
            reader,
            conflict,
            traceparent: OnceCell::new(),
            tracestate: OnceCell::new(),
            baggage: OnceCell::new(),
            lookups: Cell::new(0),
            index: OnceCell::new(),
        }
    }

    /// Returns the status of the declared W3C fields, and the valid span contexts that are not shown.
    pub(crate) fn status(&self, declares: [bool; 3]) -> (ExtractionStatus, SmallVec<[SpanContext; 1]>) {
        let [traceparent, tracestate, baggage] = declares;
        let mut status = ExtractionStatus::Absent;
        let mut unused = SmallVec::new();
        if traceparent {
            let parent = self.parent();
            status = parent.status.clone();
            unused.extend(parent.unused.iter().map(|shown| shown.parent.to_remote(TraceState::NONE)));
        }
        if tracestate {
            status = status.or(self.state().1.clone());
        }
        if baggage {
            if let Some(list) = self.list() {
                status = status.or(baggage_status(list.status.clone(), &baggage::parse(&list.text)));
            }
        }
        (status, unused)
    }

    fn parent(&self) -> &Single<Shown<'a>> {
        self.traceparent.get_or_init(|| {
            single(self.reader, TRACEPARENT, self.conflict, |value| {
                let parent = TraceParent::parse(value)?;
                let text = std::str::from_utf8(value).map_err(|_| MalformedReason::NotText)?;
                Ok(Shown { parent, text: trim_text(text) })
            })
        })
    }

    fn state(&self) -> &(Option<Cow<'a, str>>, ExtractionStatus) {
        self.tracestate.get_or_init(|| read_tracestate(self.reader, self.parent()))
    }

    fn list(&self) -> Option<&Joined<'a>> {
        self.baggage.get_or_init(|| joined(self.reader, BAGGAGE)).as_ref()
    }

    /// Returns the text of a W3C field, by its slot.
    fn w3c(&self, slot: usize) -> Option<&str> {
        match slot {
            TRACEPARENT_SLOT => self.parent().value.map(|shown| shown.text),
            BAGGAGE_SLOT => self.list().map(|list| &*list.text).filter(|text| !text.is_empty()),
            _ => self.state().0.as_deref().filter(|text| !text.is_empty()),
        }
    }

    /// Returns the values of another field, at most `most`.
    fn others(&self, key: &str, most: usize) -> Vec<&str> {
        self.lookups.set(self.lookups.get() + 1);
        if self.lookups.get() > MAX_SEARCHES {
            // A key that is not in the index was not listed by `keys`.
            if let Some(values) = self.index().get(&key.to_ascii_lowercase()) {
                return texts(values.iter().copied()).take(most).collect();
            }
        }
        let names = [key];
        let names = FieldNames::new(&names);
        let values = self.reader.find(&names).map(|(_, value)| value);
        texts(values.take(MAX_COPIES)).take(most).collect()
    }

    /// Returns the fields that [`keys`](Extractor::keys) lists, with all their copies.
    fn index(&self) -> &HashMap<String, Vec<FieldValue<'a>>> {
        self.index.get_or_init(|| {
            let mut index = HashMap::<_, Vec<_>>::new();
            for (place, (name, value)) in self.reader.entries().enumerate() {
                let name = name.to_ascii_lowercase();
                let values = match place < MAX_KEYS {
                    true => index.entry(name).or_default(),
                    false => match index.get_mut(&name) {
                        Some(values) => values,
                        None => continue,
                    },
                };
                if values.len() < MAX_COPIES {
                    values.push(value);
                }
            }
            index
        })
    }
}

/// Returns the values that are text, within the limits.
fn texts<'a>(values: impl Iterator<Item = FieldValue<'a>>) -> impl Iterator<Item = &'a str> {
    let mut room = MAX_VALUE_BYTES;
    // The length is checked first, so that a mebibyte is not searched for its UTF-8.
    let is_short = |value: &FieldValue<'_>| {
        value.as_bytes().is_some_and(|bytes| (1..=MAX_VALUE_BYTES).contains(&bytes.len()))
    };
    values.filter(is_short).filter_map(FieldValue::as_str).take_while(move |text| {
        let fits = text.len() <= room;
        room = room.saturating_sub(text.len());
        fits
    })
}

impl<R: TextMapReader> Extractor for AsExtractor<'_, R> {
    fn get(&self, key: &str) -> Option<&str> {
        match slot(key) {
            Some(slot) => self.w3c(slot),
            None => self.others(key, 1).first().copied(),
        }
    }

    fn keys(&self) -> Vec<&str> {
        self.reader.entries().map(|(name, _)| name).take(MAX_KEYS).collect()
    }

    fn get_all(&self, key: &str) -> Option<Vec<&str>> {
        let values = match slot(key) {
            Some(slot) => self.w3c(slot).into_iter().collect(),
            None => self.others(key, MAX_COPIES),
        };
        (!values.is_empty()).then_some(values)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PARENT: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

    fn pairs(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
        pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
    }

    #[test]
    fn a_propagator_sees_only_a_traceparent_that_is_strictly_valid() {
        for (value, seen) in [(PARENT, true), (&PARENT[..54], false), (&PARENT.to_uppercase(), false)] {
            let headers = pairs(&[("traceparent", value), ("tracestate", "a=1")]);
            let view = AsExtractor::new(&headers);
            assert_eq!(view.get("traceparent").is_some(), seen, "{value}");
            assert_eq!(view.get("tracestate").is_some(), seen, "{value}");
            assert_eq!(view.get_all("traceparent").is_some(), seen, "{value}");
        }
    }

    #[test]
    fn a_propagator_sees_repeated_lists_joined() {
        let headers = pairs(&[
            ("traceparent", PARENT),
            ("tracestate", "a=1"),
            ("baggage", "x=1"),
            ("tracestate", "b=2"),
            ("baggage", "y=2"),
        ]);
        let view = AsExtractor::new(&headers);
        assert_eq!(view.get("tracestate"), Some("a=1,b=2"));
        assert_eq!(view.get_all("tracestate"), Some(vec!["a=1,b=2"]));
        assert_eq!(view.get("baggage"), Some("x=1,y=2"));
    }

    #[test]
    fn a_propagator_sees_no_bad_tracestate() {
        let headers = pairs(&[("traceparent", PARENT), ("tracestate", "a=1"), ("tracestate", "BAD")]);
        assert_eq!(AsExtractor::new(&headers).get("tracestate"), None);
    }

    #[test]
    fn other_fields_are_shown_with_all_their_copies_within_a_limit() {
        let long = "v".repeat(MAX_VALUE_BYTES);
        let headers = pairs(&[("b3", ""), ("b3", "1"), ("b3", "2"), ("long", &long), ("long", "x")]);
        let view = AsExtractor::new(&headers);
        assert_eq!(view.get("b3"), Some("1"));
        assert_eq!(view.get_all("b3"), Some(vec!["1", "2"]));
        assert_eq!(view.get_all("long"), Some(vec![&*long]));
        assert_eq!(view.get_all("absent"), None);
        let longer = pairs(&[("long", &(long + "v"))]);
        assert_eq!(AsExtractor::new(&longer).get("long"), None);
    }

    #[test]
    fn of_other_fields_the_first_copies_are_shown() {
        let headers: Vec<_> = (0..1_000).map(|_| ("b3".to_owned(), "1".to_owned())).collect();
        assert_eq!(AsExtractor::new(&headers).get_all("b3").map(|all| all.len()), Some(MAX_COPIES));
    }

    #[test]
    fn many_lookups_find_the_same_as_the_first_ones() {
        let long = "v".repeat(MAX_VALUE_BYTES);
        let mut headers: Vec<_> = (0..2_000).map(|n| (format!("Key-{}", n % 1_500), n.to_string())).collect();
        headers.extend(pairs(&[("key-7", ""), ("KEY-7", "third"), ("key-8", &long)]));
        headers.extend((0..100).map(|n| ("key-9".to_owned(), n.to_string())));
        let many = AsExtractor::new(&headers);
        for n in 0..1_600 {
            let key = format!("key-{n}");
            let once = AsExtractor::new(&headers);
            assert_eq!(many.get(&key), once.get(&key), "{key}");
            assert_eq!(many.get_all(&key), once.get_all(&key), "{key}");
        }
        assert!(many.index.get().is_some_and(|index| index.len() <= MAX_KEYS));
    }

    #[test]
    fn ten_thousand_keys_are_shown_up_to_the_limit() {
        let headers: Vec<_> = (0..10_000).map(|n| (n.to_string(), String::new())).collect();
        assert_eq!(AsExtractor::new(&headers).keys().len(), MAX_KEYS);
    }
}
