//! Bounded reading: a fixed limit on what is read of a message, whatever it holds.

use std::borrow::Cow;

use smallvec::SmallVec;

use super::{Conflict, ExtractionStatus, FieldNames, FieldValue, TextMapReader};
use crate::format::{MAX_FIELD_BYTES, MalformedReason};

/// How many copies of one field are read.
pub(crate) const MAX_COPIES: usize = 64;

/// The longest value of a field that is not W3C's: baggage may have another name.
pub(crate) const MAX_VALUE_BYTES: usize = 8_192;

/// How many header names are shown to a propagator that lists them.
pub(crate) const MAX_KEYS: usize = 1_024;

/// A field that must not be repeated.
#[derive(Debug, PartialEq)]
pub(crate) struct Single<T> {
    pub(crate) status: ExtractionStatus,
    /// The value to use.
    pub(crate) value: Option<T>,
    /// The index of that value among the copies that are not empty.
    index: usize,
    /// The number of copies that are not empty.
    count: usize,
    /// Valid values that are not used.
    pub(crate) unused: SmallVec<[T; 1]>,
}

impl<T> Default for Single<T> {
    fn default() -> Self {
        Self { status: ExtractionStatus::Absent, value: None, index: 0, count: 0, unused: SmallVec::new() }
    }
}

impl<T> Single<T> {
    /// Returns whether copies differ.
    pub(crate) fn is_conflict(&self) -> bool {
        matches!(self.status, ExtractionStatus::Conflicting { .. })
    }
}

/// Reads a field that must not be repeated.
///
/// Copies with the same parsed value count as one. A malformed copy differs from a valid one.
pub(crate) fn single<'a, R, T>(
    reader: &'a R,
    key: &'static str,
    conflict: Conflict,
    parse: impl Fn(&'a [u8]) -> Result<T, MalformedReason>,
) -> Single<T>
where
    R: TextMapReader,
    T: PartialEq + Copy,
{
    let names = FieldNames::new(std::slice::from_ref(&key));
    let mut values = reader.find(&names).map(|(_, value)| value);
    let Some(first) = values.next() else { return Single::default() };
    let second = values.next();
    if second.is_none() && !first.is_empty() {
        // Fast path for one copy.
        return match parsed(key, first, &parse) {
            Ok(value) => {
                Single { value: Some(value), count: 1, status: ExtractionStatus::Valid, ..Single::default() }
            }
            Err(status) => Single { count: 1, status, ..Single::default() },
        };
    }
    let mut found = Single::default();
    // The first copy that is not valid, and its status.
    let mut bad: Option<(FieldValue<'a>, ExtractionStatus)> = None;
    let mut differ = false;
    let mut over = false;
    for (index, value) in std::iter::once(first).chain(second).chain(values).enumerate() {
        if index >= MAX_COPIES {
            over = true;
            break;
        }
        if value.is_empty() {
            continue;
        }
        found.count += 1;
        match parsed(key, value, &parse) {
            Ok(value) => {
                differ |= bad.is_some() || found.unused.iter().any(|other| *other != value);
                // Each value once, the newest last.
                found.unused.retain(|other| *other != value);
                found.unused.push(value);
                found.value = Some(value);
                found.index = found.count - 1;
            }
            Err(invalid) => {
                differ |= found.value.is_some();
                match &bad {
                    Some((first, _)) => differ |= !same(*first, value),
                    None => bad = Some((value, invalid)),
                }
            }
        }
    }
    if over || (differ && conflict == Conflict::Restart) {
        // Copies over the limit are not read and may differ.
        found.value = None;
    }
    found.unused.retain(|valid| Some(*valid) != found.value);
    found.status = match bad {
        _ if over => ExtractionStatus::OverLimit { field: key.into() },
        _ if differ => ExtractionStatus::Conflicting { field: key.into() },
        Some((_, invalid)) => invalid,
        None if found.count > 0 => ExtractionStatus::Valid,
        None => ExtractionStatus::Absent,
    };
    found
}

fn parsed<'a, T>(
    key: &'static str,
    value: FieldValue<'a>,
    parse: impl Fn(&'a [u8]) -> Result<T, MalformedReason>,
) -> Result<T, ExtractionStatus> {
    match value {
        FieldValue::Other(found) => Err(ExtractionStatus::WrongType { field: key.into(), found }),
        _ => parse(value.as_bytes().unwrap_or_default())
            .map_err(|reason| ExtractionStatus::malformed(key, reason)),
    }
}

fn same(left: FieldValue<'_>, right: FieldValue<'_>) -> bool {
    match (left.as_bytes(), right.as_bytes()) {
        (Some(left), Some(right)) => left == right,
        _ => false,
    }
}

/// All copies of a list field, joined in order.
#[derive(Debug)]
pub(crate) struct Joined<'a> {
    /// The values, joined by commas: at most [`MAX_FIELD_BYTES`], cut between members.
    pub(crate) text: Cow<'a, str>,
    /// Valid, or why a copy is left out of the text.
    pub(crate) status: ExtractionStatus,
}

/// Joins the copies of a comma-separated list; `None` if all are empty.
pub(crate) fn joined<'a, R: TextMapReader>(reader: &'a R, key: &'static str) -> Option<Joined<'a>> {
    let names = FieldNames::new(std::slice::from_ref(&key));
    join(reader.find(&names).map(|(_, value)| value), key)
}

/// Returns the copy of a list that belongs to the used one of several conflicting values.
///
/// It can be assigned only if there is one copy for each value: then the copy with the same index belongs to it.
pub(crate) fn assigned<'a, R: TextMapReader, T>(
    reader: &'a R,
    key: &'static str,
    parent: &Single<T>,
) -> Option<Joined<'a>> {
    let names = FieldNames::new(std::slice::from_ref(&key));
    let values = || reader.find(&names).map(|(_, value)| value);
    let copies = || values().take(MAX_COPIES).filter(|value| !value.is_empty());
    match copies().count() {
        0 => None,
        count if count == parent.count => join(copies().skip(parent.index).take(1), key),
        _ => {
            let status = ExtractionStatus::malformed(key, MalformedReason::Unassigned);
            Some(Joined { text: Cow::Borrowed(""), status })
        }
    }
}

impl Joined<'_> {
    fn found(&mut self, status: ExtractionStatus) {
        let worst = std::mem::replace(&mut self.status, ExtractionStatus::Absent);
        self.status = worst.worse(status);
    }
}

fn join<'a>(values: impl Iterator<Item = FieldValue<'a>>, key: &'static str) -> Option<Joined<'a>> {
    let mut all: Option<Joined<'a>> = None;
    let mut room = MAX_FIELD_BYTES;
    for (index, value) in values.enumerate() {
        if index >= MAX_COPIES {
            if let Some(all) = &mut all {
                all.found(ExtractionStatus::OverLimit { field: key.into() });
            }
            break;
        }
        if value.is_empty() {
            continue;
        }
        let all = all.get_or_insert(Joined { text: Cow::Borrowed(""), status: ExtractionStatus::Valid });
        let bytes = match value {
            FieldValue::Other(found) => {
                all.found(ExtractionStatus::WrongType { field: key.into(), found });
                continue;
            }
            _ => value.as_bytes().unwrap_or_default(),
        };
        let whole = bytes.len() <= room;
        // Cut first, so that a value of a mebibyte costs no more than the limit.
        let bytes = if whole { bytes } else { last_whole_members(&bytes[..=room]) };
        match std::str::from_utf8(bytes) {
            Ok("") => {}
            Ok(more) => {
                room = room.saturating_sub(more.len() + 1);
                if all.text.is_empty() {
                    all.text = Cow::Borrowed(more);
                } else {
                    let text = all.text.to_mut();
                    text.reserve(more.len() + 1);
                    text.push(',');
                    text.push_str(more);
                }
            }
            Err(_) => all.found(ExtractionStatus::malformed(key, MalformedReason::NotText)),
        }
        if !whole {
            all.found(ExtractionStatus::OverLimit { field: key.into() });
            break;
        }
    }
    all
}

/// Returns what is before the last comma; `bytes` is one byte longer than the limit.
fn last_whole_members(bytes: &[u8]) -> &[u8] {
    let end = bytes.iter().rposition(|byte| *byte == b',').unwrap_or(0);
    &bytes[..end]
}

#[cfg(test)]
mod tests {
    use super::*;

    type Pairs = Vec<(String, String)>;

    fn copies(values: &[&str]) -> Pairs {
        values.iter().map(|value| ("k".to_owned(), (*value).to_owned())).collect()
    }

    fn text(bytes: &[u8]) -> Result<&str, MalformedReason> {
        std::str::from_utf8(bytes).ok().filter(|text| *text != "bad").ok_or(MalformedReason::Digit)
    }

    /// The label of the status, the value used, the values not used.
    fn read(values: &[&str], conflict: Conflict) -> (&'static str, Option<String>, Vec<String>) {
        let pairs = copies(values);
        let found = single(&pairs, "k", conflict, text);
        let unused = found.unused.iter().map(|value| (*value).to_owned()).collect();
        (found.status.label(), found.value.map(str::to_owned), unused)
    }

    fn used(value: &str) -> Option<String> {
        Some(value.to_owned())
    }

    #[test]
    fn identical_copies_count_as_one() {
        assert_eq!(read(&["a", "a", "a"], Conflict::Restart), ("valid", used("a"), vec![]));
    }

    #[test]
    fn empty_copies_count_as_none() {
        assert_eq!(read(&["", "a", ""], Conflict::Restart), ("valid", used("a"), vec![]));
        assert_eq!(read(&["", ""], Conflict::Restart), ("absent", None, vec![]));
    }

    #[test]
    fn different_copies_are_none_where_the_trace_restarts_and_all_can_be_linked() {
        let both = || vec!["a".to_owned(), "b".to_owned()];
        assert_eq!(read(&["a", "b"], Conflict::Restart), ("conflicting", None, both()));
        assert_eq!(read(&["a", "b", "b"], Conflict::Restart), ("conflicting", None, both()));
        assert_eq!(read(&["a", "bad"], Conflict::Restart), ("conflicting", None, vec!["a".to_owned()]));
    }

    #[test]
    fn the_last_valid_copy_is_used_where_that_is_chosen() {
        let others = || vec!["a".to_owned()];
        assert_eq!(read(&["a", "b", "bad"], Conflict::Last), ("conflicting", used("b"), others()));
        assert_eq!(read(&["bad", "b"], Conflict::Last), ("conflicting", used("b"), vec![]));
        assert_eq!(read(&["a", "b", "b"], Conflict::Last), ("conflicting", used("b"), others()));
        assert_eq!(read(&["b", "a", "b"], Conflict::Last), ("conflicting", used("b"), others()));
    }

    #[test]
    fn one_bad_copy_is_malformed() {
        assert_eq!(read(&["bad", ""], Conflict::Last), ("malformed", None, vec![]));
    }

    #[test]
    fn more_copies_than_the_limit_are_no_value() {
        assert_eq!(read(&["a"; MAX_COPIES], Conflict::Last).0, "valid");
        let (label, value, _) = read(&["a"; MAX_COPIES + 1], Conflict::Last);
        assert_eq!((label, value), ("over_limit", None));
    }

    #[test]
    fn a_list_goes_with_the_used_value_where_there_is_one_for_each() {
        let with = |lists: &[&str]| {
            let mut pairs = copies(&["a", "b"]);
            pairs.extend(lists.iter().map(|list| ("list".to_owned(), (*list).to_owned())));
            let parent = single(&pairs, "k", Conflict::Last, text);
            assigned(&pairs, "list", &parent).map(|list| (list.text.into_owned(), list.status.label()))
        };
        assert_eq!(with(&["1", "2"]), Some(("2".to_owned(), "valid")));
        assert_eq!(with(&["1"]), Some((String::new(), "malformed")));
        let mut pairs = copies(&["a", "b", "bad"]);
        pairs.extend(["1", "2", "3"].map(|list| ("list".to_owned(), list.to_owned())));
        let parent = single(&pairs, "k", Conflict::Last, text);
        assert_eq!(assigned(&pairs, "list", &parent).unwrap().text, "2");
        assert_eq!(with(&[""]), None);
    }

    #[test]
    fn a_list_is_joined_in_order_without_its_empty_copies() {
        assert_eq!(joined(&copies(&["a=1", "", "b=2,c=3"]), "k").unwrap().text, "a=1,b=2,c=3");
        assert!(joined(&copies(&["", ""]), "k").is_none());
    }

    #[test]
    fn of_a_list_the_first_copies_are_read_and_empty_ones_count() {
        let mut many = vec!["a=1"; MAX_COPIES];
        many.extend(["", "b=2"]);
        let many = copies(&many);
        let joined = joined(&many, "k").unwrap();
        assert_eq!(joined.status.label(), "over_limit");
        assert_eq!(joined.text.split(',').filter(|member| *member == "b=2").count(), 0);
    }

    #[test]
    fn endless_empty_copies_end_at_the_limit() {
        struct Nulls(std::cell::Cell<usize>);
        impl TextMapReader for Nulls {
            fn entries(&self) -> impl Iterator<Item = (&str, FieldValue<'_>)> {
                std::iter::repeat(("k", FieldValue::Null)).inspect(|_| self.0.set(self.0.get() + 1))
            }
        }
        let nulls = Nulls(Default::default());
        assert!(joined(&nulls, "k").is_none());
        assert_eq!(single(&nulls, "k", Conflict::Last, text).status.label(), "over_limit");
        assert!(nulls.0.get() <= 2 * (MAX_COPIES + 1), "{}", nulls.0.get());
    }

    #[test]
    fn a_milder_finding_does_not_replace_a_worse_one() {
        struct Bytes(Vec<&'static [u8]>);
        impl TextMapReader for Bytes {
            fn entries(&self) -> impl Iterator<Item = (&str, FieldValue<'_>)> {
                self.0.iter().map(|value| ("k", FieldValue::Bytes(value)))
            }
        }
        let mut values = vec![&b"a=1"[..], b"\xff"];
        values.extend([&b""[..]; 63]);
        let reader = Bytes(values);
        let found = joined(&reader, "k").unwrap();
        assert_eq!((&*found.text, found.status.label()), ("a=1", "malformed"));
    }

    #[test]
    fn one_copy_of_a_list_is_borrowed() {
        let pairs = copies(&["a=1"]);
        assert!(matches!(joined(&pairs, "k").unwrap().text, Cow::Borrowed("a=1")));
    }

    #[test]
    fn a_list_is_cut_between_members_at_the_limit_over_all_copies() {
        let member = "k=".to_owned() + &"v".repeat(98);
        let long = vec![member.as_str(); 100].join(",");
        let joined = joined(&copies(&[&long, &long]), "k").unwrap().text.into_owned();
        assert!(joined.len() <= MAX_FIELD_BYTES && joined.len() > MAX_FIELD_BYTES - 102, "{}", joined.len());
        assert!(joined.split(',').all(|kept| kept == member));
    }

    #[test]
    fn a_list_of_exactly_the_limit_is_kept_whole() {
        let long = "v".repeat(MAX_FIELD_BYTES);
        assert_eq!(joined(&copies(&[&long]), "k").unwrap().text, long);
        let longer = copies(&[&(long + "v")]);
        let longer = joined(&longer, "k").unwrap();
        assert_eq!((&*longer.text, longer.status.label()), ("", "over_limit"));
    }
}
