//! The `baggage` header (W3C Baggage).

use opentelemetry::baggage::{Baggage, BaggageMetadata};
use opentelemetry::{Key, StringValue};
use percent_encoding::{AsciiSet, CONTROLS, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};
use smallvec::SmallVec;

use super::list::{cut, members, trim_text};
use super::{TOKEN, is_token};

/// What must be propagated at least, and what is sent at most (W3C Baggage, "Limits").
pub(crate) const MAX_MEMBERS: usize = 64;
pub(crate) const MAX_BYTES: usize = 8_192;

/// A text up to this length fits into [`MAX_BYTES`] even if each of its bytes must be encoded.
const MAX_BYTES_ENCODED: usize = MAX_BYTES / 3;

/// The characters to encode in a value: all outside `baggage-octet`, `%`, and `=`. The equals sign may be raw, but some
/// readers cut a value there.
const VALUE: &AsciiSet = &PROPERTY_VALUE.add(b'%').add(b'=');

/// The characters to encode in the value of a property: all outside `baggage-octet`. Properties are opaque to
/// OpenTelemetry, so `%` and `=` stay.
const PROPERTY_VALUE: &AsciiSet = &CONTROLS.add(b' ').add(b'"').add(b',').add(b';').add(b'\\');

/// The characters to encode in the key of a property: all outside a token.
const PROPERTY_KEY: &AsciiSet = &{
    let (mut set, mut byte) = (NON_ALPHANUMERIC.remove(b'%'), 0);
    while byte < 128 {
        if TOKEN[byte as usize] {
            set = set.remove(byte);
        }
        byte += 1;
    }
    set
};

pub(crate) type Member = (Key, (StringValue, BaggageMetadata));

/// The content of a header.
#[derive(Debug, Default)]
pub(crate) struct ParsedBaggage {
    /// The valid members within the limits.
    pub(crate) members: Vec<Member>,
    /// A member is not valid. It is skipped alone.
    pub(crate) is_malformed: bool,
    /// There are more members or bytes than are read.
    pub(crate) is_over_limit: bool,
}

/// Members whose encoding would be longer than what was received, with their received text.
///
/// They are sent as they came, so that a value which was accepted and not changed is never dropped for its length.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct ReceivedMembers(Vec<(Key, String)>);

/// Parses one short header; `None` if it is malformed, over a limit, empty or long.
#[inline]
pub(crate) fn parse_one(text: &str) -> Option<Vec<Member>> {
    // A long one may need `ReceivedMembers` as well.
    let parsed = (text.len() <= MAX_BYTES_ENCODED).then(|| parse(text))?;
    let is_valid = !parsed.is_malformed && !parsed.is_over_limit && !parsed.members.is_empty();
    is_valid.then_some(parsed.members)
}

/// Parses the members within the limits. An empty member is ignored.
pub(crate) fn parse(text: &str) -> ParsedBaggage {
    let mut parsed = ParsedBaggage::default();
    let mut room = MAX_BYTES;
    for member in members(text) {
        let fits = member.len() <= room;
        room = room.saturating_sub(member.len() + 1);
        if trim_text(member).is_empty() {
            continue;
        }
        if !fits || parsed.members.len() == MAX_MEMBERS {
            parsed.is_over_limit = true;
            break;
        }
        match parse_member(member) {
            Some(member) => parsed.members.push(member),
            None => parsed.is_malformed = true,
        }
    }
    parsed
}

/// Parses `key OWS = OWS value *( OWS ; OWS property )`.
fn parse_member(member: &str) -> Option<Member> {
    let (pair, properties) = match cut(member, b';') {
        Some((pair, properties)) => (pair, trim_text(properties)),
        None => (member, ""),
    };
    let (key, value) = cut(pair, b'=')?;
    let (key, value) = (trim_text(key), trim_text(value));
    let all = |text: &str, valid: fn(u8) -> bool| text.bytes().fold(true, |all, byte| all & valid(byte));
    let valid = is_token(key) && all(value, is_octet) && all(properties, is_property_octet);
    valid.then(|| {
        let value = match value.contains('%') {
            true => percent_decode_str(value).decode_utf8_lossy().into_owned(),
            false => value.to_owned(),
        };
        (Key::from(key.to_owned()), (value.into(), properties.into()))
    })
}

impl ReceivedMembers {
    /// Returns the members of a received text that would be dropped if they were encoded again; mostly `None`.
    pub(crate) fn of(text: &str, parsed: &[Member]) -> Option<Self> {
        if text.len() <= MAX_BYTES_ENCODED {
            return None;
        }
        let received = members(text).map(trim_text).filter_map(|received| {
            let (key, (value, properties)) = parse_member(received)?;
            let mut encoded = String::new();
            push_member(&mut encoded, key.as_str(), value.as_str(), properties.as_str());
            let mut text = trim_text(cut(received, b';').map_or(received, |(pair, _)| pair)).to_owned();
            // Reading is lenient with properties, but what is sent must match the grammar.
            push_properties(&mut text, properties.as_str());
            (encoded.len() > text.len()).then_some((key, text))
        });
        // The last copy of a key is the one that OpenTelemetry's type keeps, as in the search below.
        let kept: Vec<_> = received.take(parsed.len()).collect();
        (!kept.is_empty()).then_some(Self(kept))
    }

    /// Returns the received text of a member that was not changed since.
    fn text(&self, key: &str, value: &str, properties: &str) -> Option<&str> {
        let (_, text) = self.0.iter().rfind(|(received, _)| received.as_str() == key)?;
        let mut encoded = String::new();
        push_properties(&mut encoded, properties);
        let (_, (received, other)) = parse_member(text.strip_suffix(&*encoded)?)?;
        (received.as_str() == value && other.as_str().is_empty()).then_some(text)
    }
}

/// Returns whole members, sorted by key, as far as they fit, and the number of members that are left out.
///
/// They are sorted since OpenTelemetry's type keeps no order.
pub(crate) fn format(baggage: &Baggage, received: Option<&ReceivedMembers>) -> (String, usize) {
    let members =
        baggage.iter().map(|(key, (value, properties))| (key.as_str(), value.as_str(), properties.as_str()));
    let mut sorted: SmallVec<[_; 8]> = members.collect();
    sorted.sort_unstable_by_key(|(key, ..)| *key);
    let length =
        |(key, value, properties): &(&str, &str, &str)| key.len() + value.len() + properties.len() + 3;
    let mut text = String::with_capacity(sorted.iter().map(length).sum::<usize>().min(MAX_BYTES));
    let mut count = 0;
    for (key, value, properties) in &sorted {
        if count == MAX_MEMBERS || !is_token(key) {
            continue;
        }
        let before = text.len();
        if before > 0 {
            text.push(',');
        }
        match received.and_then(|received| received.text(key, value, properties)) {
            Some(received) => text.push_str(received),
            None => push_member(&mut text, key, value, properties),
        }
        if text.len() > MAX_BYTES {
            text.truncate(before);
        } else {
            count += 1;
        }
    }
    (text, sorted.len() - count)
}

#[inline]
fn push_member(text: &mut String, key: &str, value: &str, properties: &str) {
    text.push_str(key);
    text.push('=');
    if value.bytes().all(|byte| PLAIN[usize::from(byte)]) {
        text.push_str(value);
    } else {
        text.extend(utf8_percent_encode(value, VALUE));
    }
    if !properties.is_empty() {
        push_properties(text, properties);
    }
}

/// Appends the properties without those that have no key.
fn push_properties(text: &mut String, properties: &str) {
    let has_key = |property: &&str| !matches!(trim_text(property).as_bytes(), [] | [b'=', ..]);
    let mut kept = properties.split(';').filter(has_key);
    // White space at both ends is not read back: a property beside it may have been left out.
    let first = kept.next().map(|first| first.trim_start_matches(super::list::OWS));
    first.into_iter().chain(kept).for_each(|property| push_property(text, property));
    text.truncate(text.trim_end_matches(super::list::OWS).len());
}

/// Appends `; OWS key OWS [ = OWS value ] OWS`, with every other character encoded.
fn push_property(text: &mut String, property: &str) {
    text.push(';');
    match cut(property, b'=') {
        Some((key, value)) => {
            push_part(text, key, PROPERTY_KEY);
            text.push('=');
            push_part(text, value, PROPERTY_VALUE);
        }
        None => push_part(text, property, PROPERTY_KEY),
    }
}

/// Appends text with its optional white space as it is and the rest encoded.
fn push_part(text: &mut String, part: &str, set: &'static AsciiSet) {
    let inner = trim_text(part);
    let start = part.len() - part.trim_start_matches(super::list::OWS).len();
    text.push_str(&part[..start]);
    text.extend(utf8_percent_encode(inner, set));
    text.push_str(part.get(start + inner.len()..).unwrap_or_default());
}

/// The bytes of a value that need no encoding.
const PLAIN: [bool; 256] = table!(byte => is_octet(byte) && byte != b'%' && byte != b'=');

/// `baggage-octet`: visible ASCII without double quote, comma, semicolon and backslash.
const fn is_octet(byte: u8) -> bool {
    matches!(byte, 0x21..=0x7e) && !matches!(byte, b'"' | b',' | b';' | b'\\')
}

fn is_property_octet(byte: u8) -> bool {
    is_octet(byte) || matches!(byte, b';' | b' ' | b'\t')
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    fn members(text: &str) -> BTreeMap<String, (String, String)> {
        let found = parse(text).members.into_iter();
        found
            .map(|(key, (value, properties))| (key.to_string(), (value.to_string(), properties.to_string())))
            .collect()
    }

    fn values(text: &str) -> Vec<(String, String)> {
        members(text).into_iter().map(|(key, (value, _))| (key, value)).collect()
    }

    fn pair(key: &str, value: &str) -> (String, String) {
        (key.to_owned(), value.to_owned())
    }

    #[test]
    fn members_are_read_with_white_space_and_percent_encoding() {
        let expected = [pair("a", "1"), pair("b", "x y"), pair("c", "k=v=")];
        assert_eq!(values("a = 1 ,\tb=x%20y,c=k=v="), expected);
    }

    #[test]
    fn a_bad_member_is_skipped_alone() {
        for bad in ["", "novalue", "b@d=1", "=1", "x=\"q\"", "x=\\", "x=a b", "x=\u{e9}", "x=1;p=\u{1}"] {
            assert_eq!(values(&format!("a=1,{bad},c=3")), [pair("a", "1"), pair("c", "3")], "{bad:?}");
        }
    }

    #[test]
    fn bad_utf8_becomes_the_replacement_character() {
        assert_eq!(values("a=%FF%20b"), [pair("a", "\u{fffd} b")]);
    }

    #[test]
    fn properties_are_kept_as_they_are() {
        let read = members("a=1 ; secret ; ttl=30%25,b=2");
        assert_eq!(read["a"], ("1".to_owned(), "secret ; ttl=30%25".to_owned()));
        let mut baggage = Baggage::new();
        baggage.insert_with_metadata("a", "1", "secret ; ttl=30%25");
        assert_eq!(format(&baggage, None).0, "a=1;secret ; ttl=30%25");
    }

    #[test]
    fn nothing_that_ends_a_member_gets_out_raw() {
        let mut baggage = Baggage::new();
        baggage.insert_with_metadata("a", "1,b=2;c\r\nd\"e\\%f", "p=1,x=2\r\ny");
        assert_eq!(format(&baggage, None).0, "a=1%2Cb%3D2%3Bc%0D%0Ad%22e%5C%25f;p=1%2Cx=2%0D%0Ay");
    }

    #[test]
    fn each_byte_that_must_not_be_raw_is_encoded_alone_as_well() {
        for byte in (0..=127_u8).map(char::from) {
            let baggage = Baggage::from_iter([(Key::from("k"), (format!("{byte}").into(), "".into()))]);
            let is_raw = byte.is_ascii_graphic() && !"\",;\\%=".contains(byte);
            let expected = if is_raw { format!("k={byte}") } else { format!("k=%{:02X}", u32::from(byte)) };
            assert_eq!(format(&baggage, None).0, expected);
        }
    }

    #[test]
    fn sixty_four_members_are_carried_and_the_rest_is_left_out() {
        let text = (0..70).map(|n| format!("k{n:02}=v")).collect::<Vec<_>>().join(",");
        assert_eq!(values(&text).len(), 64);
    }

    #[test]
    fn what_does_not_fit_is_left_out_as_whole_members() {
        let long = "v".repeat(4_000);
        let mut baggage = Baggage::new();
        for (key, value) in [("a", &*long), ("b", "%,"), ("c", &long), ("d", "1")] {
            baggage.insert(key, value.to_owned());
        }
        let (text, left_out) = format(&baggage, None);
        assert!(text.len() <= MAX_BYTES && left_out == 0);
        assert_eq!(values(&text).len(), 4);
        let encoded_too_long = Baggage::from_iter([(Key::from("a"), ("é".repeat(3_000).into(), "".into()))]);
        assert_eq!(format(&encoded_too_long, None), (String::new(), 1));
    }

    #[test]
    fn an_empty_member_is_ignored() {
        let sixty_four = (0..64).map(|n| format!("k{n}=v,")).collect::<String>();
        let found = |text: &str| {
            let parsed = parse(text);
            (parsed.members.len(), parsed.is_malformed, parsed.is_over_limit)
        };
        assert_eq!(found(&sixty_four), (64, false, false));
        assert_eq!(found(&(sixty_four.clone() + "more=v")), (64, false, true));
        assert_eq!([",", " ", "a=1,,"].map(found), [(0, false, false), (0, false, false), (1, false, false)]);
    }

    #[test]
    fn writing_stops_at_8192_bytes() {
        let member =
            |key: &'static str, value: usize| (Key::from(key), ("v".repeat(value).into(), "".into()));
        let text = |last: usize| format(&Baggage::from_iter([member("a", 4_000), member("b", last)]), None).0;
        assert_eq!(text(MAX_BYTES - 4_000 - 5).len(), MAX_BYTES);
        assert_eq!(text(MAX_BYTES - 4_000 - 4).len(), 4_002);
    }

    #[test]
    fn reading_stops_at_8192_bytes() {
        let exactly = format!("a={}", "v".repeat(MAX_BYTES - 2));
        assert_eq!(values(&exactly).len(), 1);
        assert_eq!(values(&(exactly + "v")).len(), 0);
        let member = format!("k={}", "v".repeat(4_094));
        assert_eq!(values(&format!("a{member},b{member}")).len(), 1);
    }

    #[test]
    fn a_property_that_is_left_out_leaves_no_white_space() {
        for properties in ["secret ; ", "; secret", "=x;\tsecret", "secret\t; =x; "] {
            let mut baggage = Baggage::new();
            baggage.insert_with_metadata("a", "1", properties);
            assert_eq!(format(&baggage, None).0, "a=1;secret", "{properties}");
        }
    }

    #[test]
    fn a_property_is_encoded_outside_its_grammar() {
        for (properties, sent) in [
            ("p=a b", "p=a%20b"),
            ("p=\"q\"", "p=%22q%22"),
            ("p=é;q=30%25", "p=%C3%A9;q=30%25"),
            ("some words", "some%20words"),
            ("a(b)=1 ; c\t=\td=e", "a%28b%29=1 ; c\t=\td=e"),
            (";; =v;x", "x"),
        ] {
            let mut baggage = Baggage::new();
            baggage.insert_with_metadata("k", "v", properties);
            assert_eq!(format(&baggage, None).0, format!("k=v;{sent}"), "{properties}");
        }
    }

    #[test]
    fn a_long_value_that_was_received_is_sent_as_it_came() {
        for value in ["=".repeat(2_731), "%zz".repeat(2_700), "%FF".repeat(2_700)] {
            let text = format!("a=1,k={value};p=1");
            let parsed = parse(&text);
            assert!(parse_one(&text).is_none() && !parsed.is_over_limit);
            let received = ReceivedMembers::of(&text, &parsed.members).unwrap();
            let mut baggage = Baggage::from_iter(parsed.members);
            assert_eq!(format(&baggage, Some(&received)), (text, 0));
            baggage.insert("k", "x=y");
            assert_eq!(format(&baggage, Some(&received)).0, "a=1,k=x%3Dy");
        }
    }

    #[test]
    fn a_long_value_is_sent_as_it_came_with_its_properties_encoded() {
        let lenient = format!("k={} ; p=a b;=x", "=".repeat(2_800));
        let parsed = parse(&lenient);
        let received = ReceivedMembers::of(&lenient, &parsed.members).unwrap();
        let mut baggage = Baggage::from_iter(parsed.members);
        assert_eq!(format(&baggage, Some(&received)), (format!("k={};p=a%20b", "=".repeat(2_800)), 0));
        baggage.insert("k", "=".repeat(2_800));
        assert_eq!(format(&baggage, Some(&received)), (String::new(), 1), "the properties were changed");
    }

    proptest! {
        #[test]
        fn every_value_is_read_back(key in "[a-z!#$%&'*+.^_`|~-]{1,20}", value in any::<String>()) {
            let mut baggage = Baggage::new();
            baggage.insert(key.clone(), value.clone());
            prop_assert_eq!(values(&format(&baggage, None).0), [(key, value)]);
        }

        #[test]
        fn what_is_written_matches_the_grammar(value in any::<String>(), properties in any::<String>()) {
            let mut baggage = Baggage::new();
            baggage.insert_with_metadata("k", value, properties);
            let (text, left_out) = format(&baggage, None);
            prop_assert_eq!(left_out, 0);
            let mut parts = text.split(';');
            let pair = parts.next().unwrap();
            prop_assert!(pair.starts_with("k=") && pair.bytes().skip(2).all(is_octet), "{text:?}");
            for property in parts {
                let (key, value) = property.split_once('=').unwrap_or((property, ""));
                prop_assert!(is_token(trim_text(key)) && trim_text(value).bytes().all(is_octet), "{text:?}");
            }
        }

        #[test]
        fn what_is_written_stays_the_same(properties in "[a(é%=; \t]{0,12}") {
            let mut baggage = Baggage::new();
            baggage.insert_with_metadata("k", "v", properties);
            let (text, _) = format(&baggage, None);
            let read = Baggage::from_iter(parse(&text).members);
            prop_assert_eq!(format(&read, None), (text, 0));
        }

        #[test]
        fn any_text_is_read_without_a_panic(text in any::<String>()) {
            let _ = parse(&text);
        }
    }
}
