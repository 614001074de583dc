//! Bounded reading: whatever a message holds, only so much of it is looked at.

use std::borrow::Cow;

use crate::{Conflict, FieldValue, TextMapReader};

/// How much of one field is looked at, in bytes, over all its repetitions together.
///
/// 32 tracestate members of the greatest legal length need 16,447 bytes with their commas, and W3C Baggage asks for 8,192.
pub(crate) const MAX_FIELD_BYTES: usize = 16_447;

/// How many repetitions of one field are looked at.
pub(crate) const MAX_REPETITIONS: usize = 64;

/// The longest single value that is shown to a propagator for a field that is no list.
pub(crate) const MAX_VALUE_BYTES: usize = 4_096;

/// How many header names a propagator is shown that asks for all of them.
pub(crate) const MAX_KEYS: usize = 1_024;

/// White space that may surround a value: space and tab (W3C Trace Context, section 3.3.1.1, OWS).
pub(crate) const OWS: [char; 2] = [' ', '\t'];

/// Removes optional white space at both ends.
pub(crate) fn trim(bytes: &[u8]) -> &[u8] {
    let ows = |byte: &u8| matches!(byte, b' ' | b'\t');
    let start = bytes.iter().position(|byte| !ows(byte)).unwrap_or(bytes.len());
    let end = bytes
        .iter()
        .rposition(|byte| !ows(byte))
        .map_or(start, |last| last + 1);
    &bytes[start..end]
}

/// The one value of a field that must not be repeated, as `parse` understands it.
///
/// Also says whether copies were in conflict, since tracestate cannot be told to belong to one of them then.
pub(crate) fn single<'a, R, T>(
    reader: &'a R,
    key: &str,
    parse: impl Fn(&'a [u8]) -> Option<T>,
) -> Option<(T, Copies)>
where
    R: TextMapReader,
{
    let mut seen: Option<FieldValue<'a>> = None;
    let mut valid = None;
    let mut copies = Copies::Agree;
    for (index, value) in reader.get_all(key).enumerate() {
        if index == MAX_REPETITIONS {
            // What is not looked at may differ.
            return None;
        }
        if value.is_empty() {
            continue;
        }
        match seen {
            Some(first) if same(first, value) => continue,
            Some(_) => copies = Copies::Conflict,
            None => seen = Some(value),
        }
        valid = value.as_bytes().and_then(&parse).or(valid);
    }
    match (copies, reader.conflict()) {
        (Copies::Conflict, Conflict::Restart) => None,
        _ => valid.map(|valid| (valid, copies)),
    }
}

/// Whether the copies of a field that must not be repeated say the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Copies {
    Agree,
    Conflict,
}

fn same(left: FieldValue<'_>, right: FieldValue<'_>) -> bool {
    match (left.as_bytes(), right.as_bytes()) {
        (Some(left), Some(right)) => left == right,
        _ => false,
    }
}

/// All values of a list field, in order, as one list.
#[derive(Debug)]
pub(crate) struct Joined<'a> {
    /// The values, joined by commas: at most [`MAX_FIELD_BYTES`], cut between members.
    pub(crate) text: Cow<'a, str>,
    /// Whether a copy was left out, since it is no text.
    pub(crate) broken: bool,
}

/// Joins the copies of a field that is a comma-separated list; `None` where there is no copy with text in it.
pub(crate) fn joined<'a, R: TextMapReader>(reader: &'a R, key: &str) -> Option<Joined<'a>> {
    let mut text: Option<Cow<'a, str>> = None;
    let mut broken = false;
    let mut room = MAX_FIELD_BYTES;
    for value in reader.get_all(key).take(MAX_REPETITIONS) {
        if value.is_empty() {
            continue;
        }
        let Some(bytes) = value.as_bytes() else {
            broken = true;
            continue;
        };
        let whole = bytes.len() <= room;
        // Cut before anything else looks at it: a value of a mebibyte costs no more than the limit.
        let bytes = if whole {
            bytes
        } else {
            last_whole_members(&bytes[..=room])
        };
        match std::str::from_utf8(bytes) {
            Ok("") => {}
            Ok(more) => {
                room = room.saturating_sub(more.len() + 1);
                text = Some(match text {
                    None => Cow::Borrowed(more),
                    Some(before) => {
                        let mut all = before.into_owned();
                        all.reserve(more.len() + 1);
                        all.push(',');
                        all.push_str(more);
                        Cow::Owned(all)
                    }
                });
            }
            Err(_) => broken = true,
        }
        if !whole || room == 0 {
            break;
        }
    }
    text.map(|text| Joined { text, broken })
}

/// What comes before the last comma: `bytes` is one byte longer than what may be kept.
fn last_whole_members(bytes: &[u8]) -> &[u8] {
    let end = bytes.iter().rposition(|byte| *byte == b',').unwrap_or(0);
    &bytes[..end]
}

#[cfg(test)]
mod tests {
    use super::*;

    type Pairs = Vec<(String, String)>;

    fn copies(values: &[&str]) -> Pairs {
        values
            .iter()
            .map(|value| ("k".to_owned(), (*value).to_owned()))
            .collect()
    }

    fn text(bytes: &[u8]) -> Option<&str> {
        std::str::from_utf8(bytes).ok().filter(|text| *text != "bad")
    }

    struct LastWins(Pairs);

    impl TextMapReader for LastWins {
        fn keys(&self) -> impl Iterator<Item = &str> {
            TextMapReader::keys(&self.0)
        }

        fn get_all<'a>(&'a self, key: &str) -> impl Iterator<Item = FieldValue<'a>> {
            self.0.get_all(key)
        }

        fn conflict(&self) -> Conflict {
            Conflict::Last
        }
    }

    #[test]
    fn identical_copies_count_as_one() {
        assert_eq!(
            single(&copies(&["a", "a", "a"]), "k", text),
            Some(("a", Copies::Agree))
        );
    }

    #[test]
    fn empty_copies_count_as_none() {
        assert_eq!(
            single(&copies(&["", "a", ""]), "k", text),
            Some(("a", Copies::Agree))
        );
        assert_eq!(single(&copies(&["", ""]), "k", text), None);
    }

    #[test]
    fn different_copies_are_none_by_default() {
        assert_eq!(single(&copies(&["a", "b"]), "k", text), None);
        assert_eq!(single(&copies(&["a", "b", "a"]), "k", text), None);
    }

    #[test]
    fn the_last_valid_copy_is_used_where_the_carrier_says_so() {
        let pairs = LastWins(copies(&["a", "b", "bad"]));
        assert_eq!(single(&pairs, "k", text), Some(("b", Copies::Conflict)));
    }

    #[test]
    fn more_copies_than_are_looked_at_are_none() {
        assert!(single(&copies(&["a"; MAX_REPETITIONS]), "k", text).is_some());
        assert!(single(&copies(&["a"; MAX_REPETITIONS + 1]), "k", text).is_none());
    }

    #[test]
    fn a_list_is_joined_in_order_without_its_empty_copies() {
        assert_eq!(
            joined(&copies(&["a=1", "", "b=2,c=3"]), "k").unwrap().text,
            "a=1,b=2,c=3"
        );
        assert!(joined(&copies(&["", ""]), "k").is_none());
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
        assert!(
            joined.len() <= MAX_FIELD_BYTES && joined.len() > MAX_FIELD_BYTES - 102,
            "{}",
            joined.len()
        );
        assert!(joined.split(',').all(|kept| kept == member));
    }

    #[test]
    fn a_list_of_exactly_the_limit_is_kept_whole() {
        let long = "v".repeat(MAX_FIELD_BYTES);
        assert_eq!(joined(&copies(&[&long]), "k").unwrap().text, long);
        assert!(joined(&copies(&[&(long + "v")]), "k").is_none());
    }

    #[test]
    fn optional_white_space_is_space_and_tab_at_the_ends() {
        assert_eq!(trim(b" \ta b\t "), b"a b");
        assert_eq!(trim(b"\na"), b"\na");
        assert_eq!(trim(b"  "), b"");
    }
}
