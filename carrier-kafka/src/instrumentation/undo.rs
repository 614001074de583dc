//! A record that comes back unsent has its own headers again.

use carrier_core::{Conflict, Copies, FieldValue, Fields, TextMapCarrier, TextMapReader};
use rdkafka::Timestamp;
use rdkafka::message::{OwnedHeaders, OwnedMessage};

use crate::{RecordCarrier, native};

/// How the headers of a record become what they were.
#[derive(Debug, Default)]
pub(super) enum Undo {
    /// They are.
    #[default]
    Nothing,
    /// Ours are behind so many of the record's own, which has none of their names; `None` where it had no headers at all.
    Added(Option<usize>),
    /// Some of its own made way for ours, so all are kept.
    Replaced(OwnedHeaders),
}

impl Undo {
    /// Gives a record its own headers back, in order, null, repeated and binary ones included.
    pub(super) fn apply(self, headers: &mut Option<OwnedHeaders>) {
        match self {
            Self::Nothing => {}
            Self::Added(None) => *headers = None,
            Self::Added(Some(own)) => headers.iter_mut().for_each(|headers| remove_behind(headers, own)),
            Self::Replaced(own) => *headers = Some(own),
        }
    }

    /// The same for a message that was not delivered.
    pub(super) fn apply_to(self, message: &mut OwnedMessage) {
        if matches!(self, Self::Nothing) {
            return;
        }
        let mut headers = message.detach_headers();
        self.apply(&mut headers);
        // rdkafka changes a message only by value.
        let none = OwnedMessage::new(None, None, String::new(), Timestamp::NotAvailable, 0, 0, None);
        *message = std::mem::replace(message, none).replace_headers(headers);
    }
}

/// Removes all headers from an index on, none of whose names is before it.
fn remove_behind(headers: &mut OwnedHeaders, index: usize) {
    for _ in index..native::count(headers.as_borrowed()) {
        let name = native::get_at(headers.as_borrowed(), index).map(|(name, _)| name.to_c_str().to_owned());
        match name {
            Some(name) => native::remove(headers, &name),
            None => return,
        }
    }
}

/// A record's headers, and how to undo what is written to them.
pub(super) struct Undoable<'a> {
    record: RecordCarrier<'a>,
    pub(super) undo: Undo,
}

impl<'a> Undoable<'a> {
    pub(super) fn new(record: RecordCarrier<'a>) -> Self {
        Self { record, undo: Undo::Nothing }
    }

    /// Costs a look-up by name for each field where there are headers, and a copy of all only where one is found.
    fn undoing(&self, fields: &Fields<'_>) -> Undo {
        let adds = fields.entries().len() > 0;
        let Some(own) = self.record.borrowed() else {
            return if adds { Undo::Added(None) } else { Undo::Nothing };
        };
        let mut names = fields.names();
        let is_there = |name| native::with_c_name(name, |name| native::first(own, name).is_some());
        match names.any(|name| is_there(name).unwrap_or(false)) {
            true => Undo::Replaced(own.detach()),
            false if adds => Undo::Added(Some(native::count(own))),
            false => Undo::Nothing,
        }
    }
}

impl TextMapReader for Undoable<'_> {
    fn keys(&self) -> impl Iterator<Item = &str> {
        self.record.keys()
    }

    fn get_all<'a>(&'a self, key: &str) -> impl Iterator<Item = FieldValue<'a>> {
        self.record.get_all(key)
    }

    fn copies<'b, const N: usize>(&'b self, keys: [&str; N]) -> [Copies<'b>; N] {
        self.record.copies(keys)
    }

    fn has_any(&self, keys: &[&str]) -> bool {
        self.record.has_any(keys)
    }

    fn conflict(&self) -> Conflict {
        self.record.conflict()
    }
}

impl TextMapCarrier for Undoable<'_> {
    fn replace(&mut self, fields: &mut Fields<'_>) {
        self.undo = self.undoing(fields);
        self.record.replace(fields);
    }

    fn entry_size(&self, key: &str, value: usize) -> usize {
        self.record.entry_size(key, value)
    }

    fn size_if_absent<const N: usize>(&self, keys: [&str; N]) -> Option<usize> {
        self.record.size_if_absent(keys)
    }

    fn size_without(&self, fields: &Fields<'_>) -> usize {
        self.record.size_without(fields)
    }

    fn size_limit(&self, size: usize) -> Option<usize> {
        self.record.size_limit(size)
    }
}

#[cfg(test)]
mod tests {
    use carrier_core::{Propagation, w3c};
    use opentelemetry::Context;
    use proptest::prelude::*;
    use rdkafka::message::Header;

    use super::*;
    use crate::testing::remote_context;

    type Pairs = Vec<(Vec<u8>, Option<Vec<u8>>)>;

    fn pairs_of(headers: &Option<OwnedHeaders>) -> Option<Pairs> {
        let at = |index| {
            let (name, value) = native::get_at(headers.as_ref()?.as_borrowed(), index)?;
            Some((name.to_c_str(), value))
        };
        let pair = |(key, value): (&std::ffi::CStr, Option<&[u8]>)| {
            (key.to_bytes().to_owned(), value.map(<[u8]>::to_owned))
        };
        headers.is_some().then(|| (0..).map_while(at).map(pair).collect())
    }

    fn inject(cx: &Context, headers: &mut Option<OwnedHeaders>) -> Undo {
        let mut carrier = Undoable::new(RecordCarrier::new(headers, 0));
        Propagation::builder().propagator(w3c()).build().inject(cx, &mut carrier);
        carrier.undo
    }

    /// What the headers are after an injection and its undoing, and whether a copy was needed.
    fn undone(mut headers: Option<OwnedHeaders>, cx: &Context) -> (Option<Pairs>, bool) {
        let undo = inject(cx, &mut headers);
        let copied = matches!(undo, Undo::Replaced(_));
        undo.apply(&mut headers);
        (pairs_of(&headers), copied)
    }

    fn headers(pairs: &[(&str, Option<&[u8]>)]) -> OwnedHeaders {
        pairs
            .iter()
            .fold(OwnedHeaders::new(), |headers, (key, value)| headers.insert(Header { key, value: *value }))
    }

    #[test]
    fn no_headers_are_none_again_and_an_empty_list_is_one() {
        assert_eq!(undone(None, &remote_context()), (None, false));
        assert_eq!(undone(Some(OwnedHeaders::new()), &remote_context()), (Some(vec![]), false));
        assert_eq!(undone(None, &Context::new()), (None, false));
    }

    #[test]
    fn headers_without_an_old_context_are_not_copied() {
        let mut own = headers(&[("a", Some(b"\xff")), ("b", None), ("a", Some(b""))]);
        native::add(&mut own, b"\xff\xfe", b"1");
        let own = Some(own);
        assert_eq!(undone(own.clone(), &remote_context()), (pairs_of(&own), false));
    }

    #[test]
    fn old_fields_come_back_where_they_were() {
        let own = Some(headers(&[
            ("traceparent", Some(b"old")),
            ("user", None),
            ("tracestate", None),
            ("traceparent", Some(b"older")),
        ]));
        assert_eq!(undone(own.clone(), &remote_context()), (pairs_of(&own), true));
        // Also where nothing new is written.
        assert_eq!(undone(own.clone(), &Context::new()), (pairs_of(&own), true));
    }

    proptest! {
        #[test]
        fn any_headers_are_what_they_were(
            pairs in proptest::option::of(proptest::collection::vec(
                ("[a-z]{0,9}|traceparent|tracestate|baggage", any::<Option<Vec<u8>>>()), 0..9,
            )),
        ) {
            let own = pairs.map(|pairs| {
                let pairs: Vec<_> = pairs.iter().map(|(key, value)| (&**key, value.as_deref())).collect();
                headers(&pairs)
            });
            prop_assert_eq!(undone(own.clone(), &remote_context()).0, pairs_of(&own));
        }
    }
}
