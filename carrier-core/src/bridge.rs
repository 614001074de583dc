//! Our carriers for OpenTelemetry's interfaces, and theirs for ours.

use std::borrow::Cow;
use std::cell::OnceCell;

use opentelemetry::propagation::{Extractor, Injector};
use opentelemetry::trace::{SpanContext, TraceState};
use smallvec::SmallVec;

use crate::lists::trim_text;
use crate::names::{BAGGAGE, TRACEPARENT, TRACESTATE};
use crate::read::{Joined, MAX_KEYS, MAX_REPETITIONS, MAX_VALUE_BYTES, Single, joined, single};
use crate::w3c::{TraceParent, baggage_status, handover, read_tracestate};
use crate::{Conflict, FieldValue, Fields, Reason, Status, TextMapCarrier, TextMapReader};

/// Any [`TextMapReader`] as an OpenTelemetry [`Extractor`], so that every propagator can read it.
///
/// What is shown is bounded and harmless also to a propagator that is neither: repetitions of `tracestate` and
/// `baggage` are joined in order, a `traceparent` is shown where it is valid and without conflict (see
/// [`Conflict`](crate::Conflict)) and `tracestate` only beside it, other values where they are text of at most 4,096
/// bytes, and all over a limit on bytes and repetitions together. [`keys`](Extractor::keys) shows the first 1,024.
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
    tracestate: OnceCell<(Option<Cow<'a, str>>, Status)>,
    baggage: OnceCell<Option<Joined<'a>>>,
}

/// A valid `traceparent` as it is shown: two of them are the same where they say the same.
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
    /// A view of `reader`; nothing is read yet.
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
        }
    }

    /// What is in the fields of W3C's that a propagator declares, and which spans are valid and not shown.
    pub(crate) fn status(&self, declares: impl Fn(&str) -> bool) -> (Status, SmallVec<[SpanContext; 1]>) {
        let mut status = Status::Absent;
        let mut unused = SmallVec::new();
        if declares(TRACEPARENT) {
            let parent = self.parent();
            status = parent.status.clone();
            unused.extend(parent.unused.iter().map(|shown| shown.parent.to_remote(TraceState::NONE)));
        }
        if declares(TRACESTATE) && self.parent().value.is_some() {
            status = status.or(self.state().1.clone());
        }
        if declares(BAGGAGE) {
            let list = self.baggage.get_or_init(|| joined(self.reader, BAGGAGE)).as_ref();
            status = status
                .or(list.map_or(Status::Absent, |list| list.status.clone().or(baggage_status(&list.text))));
        }
        (status, unused)
    }

    fn parent(&self) -> &Single<Shown<'a>> {
        self.traceparent.get_or_init(|| {
            single(self.reader, TRACEPARENT, self.conflict, |value| {
                let parent = TraceParent::parse(value)?;
                let text = std::str::from_utf8(value).map_err(|_| Reason::NotText)?;
                Ok(Shown { parent, text: trim_text(text) })
            })
        })
    }

    fn traceparent(&self) -> Option<&str> {
        self.parent().value.map(|shown| shown.text)
    }

    fn state(&self) -> &(Option<Cow<'a, str>>, Status) {
        self.tracestate.get_or_init(|| {
            if self.parent().value.is_none() {
                return (None, Status::Absent);
            }
            read_tracestate(self.reader, self.parent())
        })
    }

    fn tracestate(&self) -> Option<&str> {
        self.state().0.as_deref().filter(|text| !text.is_empty())
    }

    fn baggage(&self) -> Option<&str> {
        let list = self.baggage.get_or_init(|| joined(self.reader, BAGGAGE)).as_ref();
        list.map(|list| &*list.text).filter(|text| !text.is_empty())
    }

    fn others(&self, key: &str) -> impl Iterator<Item = &str> {
        let mut room = MAX_VALUE_BYTES;
        self.reader
            .get_all(key)
            .take(MAX_REPETITIONS)
            // The length comes first, so that nobody looks through a mebibyte.
            .filter(|value| {
                value.as_bytes().is_some_and(|bytes| (1..=MAX_VALUE_BYTES).contains(&bytes.len()))
            })
            .filter_map(FieldValue::as_str)
            .take_while(move |text| {
                let fits = text.len() <= room;
                room = room.saturating_sub(text.len());
                fits
            })
    }
}

impl<R: TextMapReader> Extractor for AsExtractor<'_, R> {
    fn get(&self, key: &str) -> Option<&str> {
        match key {
            TRACEPARENT => self.traceparent(),
            TRACESTATE => self.tracestate(),
            BAGGAGE => self.baggage(),
            _ => match handover::asked(key) {
                Some(ours) => {
                    handover::answer(self, &ours, self.reader, self.conflict);
                    None
                }
                None => self.others(key).next(),
            },
        }
    }

    fn keys(&self) -> Vec<&str> {
        self.reader.keys().take(MAX_KEYS).collect()
    }

    fn get_all(&self, key: &str) -> Option<Vec<&str>> {
        let values = match key {
            TRACEPARENT | TRACESTATE | BAGGAGE => self.get(key).into_iter().collect(),
            _ => self.others(key).collect::<Vec<_>>(),
        };
        (!values.is_empty()).then_some(values)
    }
}

/// Any [`TextMapCarrier`] as an OpenTelemetry [`Injector`].
///
/// Each `set` replaces all copies of its key. A field that the propagator does not set stays as it was, so where the
/// carrier was used before, call [`inject`](crate::inject) instead: it removes old fields as well.
///
/// # Examples
///
/// ```
/// use carrier_core::AsInjector;
/// use opentelemetry::propagation::Injector;
///
/// let mut headers = vec![("b3".to_owned(), "old".to_owned())];
/// AsInjector(&mut headers).set("b3", "new".to_owned());
/// assert_eq!(headers, [("b3".to_owned(), "new".to_owned())]);
/// ```
#[derive(Debug)]
pub struct AsInjector<'a, C>(pub &'a mut C);

impl<C: TextMapCarrier> Injector for AsInjector<'_, C> {
    fn set(&mut self, key: &str, value: String) {
        let mut fields = Fields::default();
        fields.set(key, value);
        if !fields.is_empty() {
            self.0.replace(&mut fields);
        }
    }
}

/// An OpenTelemetry [`Extractor`] as a [`TextMapReader`]: what other crates made readable, read our way.
pub struct FromExtractor<'a>(pub &'a dyn Extractor);

impl std::fmt::Debug for FromExtractor<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("FromExtractor").field(&self.0.keys()).finish()
    }
}

impl TextMapReader for FromExtractor<'_> {
    fn keys(&self) -> impl Iterator<Item = &str> {
        self.0.keys().into_iter()
    }

    fn get_all<'a>(&'a self, key: &str) -> impl Iterator<Item = FieldValue<'a>> {
        self.0.get_all(key).into_iter().flatten().map(FieldValue::Text)
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
        assert_eq!(AsExtractor::new(&headers).get_all("b3").map(|all| all.len()), Some(MAX_REPETITIONS));
    }

    #[test]
    fn ten_thousand_keys_are_shown_up_to_the_limit() {
        let headers: Vec<_> = (0..10_000).map(|n| (n.to_string(), String::new())).collect();
        assert_eq!(AsExtractor::new(&headers).keys().len(), MAX_KEYS);
    }

    #[test]
    fn an_injector_replaces_every_copy_and_leaves_the_rest() {
        let mut headers = pairs(&[("b3", "1"), ("user", "u"), ("b3", "2")]);
        AsInjector(&mut headers).set("b3", "3".to_owned());
        assert_eq!(headers, pairs(&[("user", "u"), ("b3", "3")]));
        AsInjector(&mut headers).set("user", String::new());
        assert_eq!(headers, pairs(&[("user", "u"), ("b3", "3")]));
    }
}
