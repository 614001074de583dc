//! Restores the headers of a record that was not sent.

use carrier_core::{Conflict, FieldNames, FieldValue, Fields, MessageSize, TextMapCarrier, TextMapReader};
use rdkafka::Timestamp;
use rdkafka::message::{OwnedHeaders, OwnedMessage};

use crate::carrier::has_replaced;
use crate::{RecordCarrier, native};

/// How to restore the headers of a record.
#[derive(Debug, Default)]
pub(super) enum Undo {
    /// Headers unchanged.
    #[default]
    Nothing,
    /// Ours were appended after the first `n` headers; `None`: the record had none.
    Added(Option<usize>),
    /// Ours replaced some of the record's own. `own` is a copy of all; ours were appended after the first `kept` of them.
    Replaced { own: OwnedHeaders, kept: usize },
}

impl Undo {
    /// Restores a record's headers in their order, with null, repeated and binary ones.
    pub(super) fn apply(self, headers: &mut Option<OwnedHeaders>) {
        if let Self::Replaced { own, .. } = self {
            *headers = Some(own);
        } else {
            self.leave_out(headers);
        }
    }

    /// Removes ours, and returns whether there were any. Old ones that they replaced stay away.
    pub(super) fn leave_out(&self, headers: &mut Option<OwnedHeaders>) -> bool {
        let before = count(headers);
        match self {
            Self::Nothing => {}
            Self::Added(None) => *headers = None,
            Self::Added(Some(kept)) | Self::Replaced { kept, .. } => {
                headers.iter_mut().for_each(|headers| remove_from(headers, *kept));
            }
        }
        count(headers) < before
    }

    /// Like `apply`, for a message that was not delivered.
    pub(super) fn apply_to(self, message: &mut OwnedMessage) {
        if matches!(self, Self::Nothing) {
            return;
        }
        let mut headers = message.detach_headers();
        self.apply(&mut headers);
        // rdkafka replaces the headers of a message only by value.
        let none = OwnedMessage::new(None, None, String::new(), Timestamp::NotAvailable, 0, 0, None);
        *message = std::mem::replace(message, none).replace_headers(headers);
    }
}

fn count(headers: &Option<OwnedHeaders>) -> usize {
    headers.as_ref().map_or(0, |headers| native::count(headers.as_borrowed()))
}

/// Removes all headers from an index on. None of their names may appear before it.
fn remove_from(headers: &mut OwnedHeaders, index: usize) {
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

    /// Copies the headers only if one of them is replaced.
    fn undoing(&self, fields: &Fields<'_>) -> Undo {
        let adds = fields.additions() > 0;
        match self.record.borrowed() {
            Some(own) if has_replaced(own, fields) => Undo::Replaced { own: own.detach(), kept: 0 },
            own if adds => Undo::Added(own.map(native::count)),
            _ => Undo::Nothing,
        }
    }
}

impl TextMapReader for Undoable<'_> {
    fn entries(&self) -> impl Iterator<Item = (&str, FieldValue<'_>)> {
        self.record.entries()
    }

    fn find<'a>(&'a self, names: &FieldNames<'_>) -> impl Iterator<Item = (usize, FieldValue<'a>)> {
        self.record.find(names)
    }

    fn conflict(&self) -> Conflict {
        self.record.conflict()
    }
}

impl TextMapCarrier for Undoable<'_> {
    fn replace(&mut self, fields: &mut Fields<'_>) {
        self.undo = self.undoing(fields);
        let additions = fields.additions();
        self.record.replace(fields);
        if let Undo::Replaced { kept, .. } = &mut self.undo {
            *kept = self.record.borrowed().map_or(0, native::count).saturating_sub(additions);
        }
    }

    fn measure(&self, names: &FieldNames<'_>) -> MessageSize {
        self.record.measure(names)
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

    /// The headers after an injection and its undo, and whether a copy was needed.
    fn undone(mut headers: Option<OwnedHeaders>, cx: &Context) -> (Option<Pairs>, bool) {
        let undo = inject(cx, &mut headers);
        let copied = matches!(undo, Undo::Replaced { .. });
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
        native::add(&mut own, b"\xff\xfe", Some(b"1"));
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
        // Also if nothing new is written.
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
