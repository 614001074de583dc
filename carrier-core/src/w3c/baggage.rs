//! The `baggage` header (W3C Baggage).

use std::sync::LazyLock;

use opentelemetry::baggage::{Baggage, BaggageExt, BaggageMetadata};
use opentelemetry::propagation::text_map_propagator::FieldIter;
use opentelemetry::propagation::{Extractor, Injector, TextMapPropagator};
use opentelemetry::{Context, Key, StringValue};
use percent_encoding::{AsciiSet, CONTROLS, percent_decode_str, utf8_percent_encode};
use smallvec::SmallVec;

use super::W3c;
use crate::fields::is_token;
use crate::lists::{cut, members, trim_text};
use crate::names::BAGGAGE;
use crate::read::{MAX_FIELD_BYTES, joined};
use crate::{Reason, Status, TextMapReader};

/// What must be carried, and no more is sent (W3C Baggage, "Limits").
pub(crate) const MAX_MEMBERS: usize = 64;
pub(crate) const MAX_BYTES: usize = 8_192;

/// What a baggage value must not hold raw: everything outside `baggage-octet`, and `%`. The equals sign may be raw, but
/// readers that cut there are in use.
const VALUE: &AsciiSet = &CONTROLS.add(b' ').add(b'"').add(b',').add(b';').add(b'\\').add(b'%').add(b'=');

/// What the properties of a member must not hold raw. They are opaque to OpenTelemetry, so `;`, `=`, `%` and the spaces
/// that separate them stay.
const PROPERTIES: &AsciiSet = &CONTROLS.remove(b'\t').add(b'"').add(b',').add(b'\\');

static FIELDS: LazyLock<[String; 1]> = LazyLock::new(|| [BAGGAGE.to_owned()]);

/// The W3C Baggage propagator, strict and bounded.
///
/// At most 64 members and 8,192 bytes are read and written; beyond that whole members are left out. A bad member is
/// skipped alone. Values round-trip every byte; nothing that ends a member, a property or a header gets out raw.
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub struct W3cBaggage;

impl W3cBaggage {
    /// The propagator; it has no settings.
    pub fn new() -> Self {
        Self
    }
}

impl TextMapPropagator for W3cBaggage {
    fn inject_context(&self, cx: &Context, injector: &mut dyn Injector) {
        let baggage = cx.baggage();
        if baggage.is_empty() {
            return;
        }
        let (text, _) = format(baggage);
        if !text.is_empty() {
            injector.set(BAGGAGE, text);
        }
    }

    fn extract_with_context(&self, cx: &Context, extractor: &dyn Extractor) -> Context {
        W3c { trace_context: false, baggage: true }.extract_with_context(cx, extractor)
    }

    fn fields(&self) -> FieldIter<'_> {
        FieldIter::new(&*FIELDS)
    }
}

/// The baggage in a carrier.
#[derive(Debug)]
pub(crate) struct Found {
    pub(crate) status: Status,
    pub(crate) members: Vec<Member>,
}

/// The given context with the members that were found beside what it holds already.
pub(crate) fn onto(members: Vec<Member>, cx: &Context) -> Context {
    if members.is_empty() {
        return cx.clone();
    }
    let existing = cx.baggage().iter().map(|(key, value)| (key.clone(), value.clone()));
    cx.with_baggage(existing.chain(members).collect::<Baggage>())
}

/// Reads the baggage of a carrier.
pub(crate) fn read<R: TextMapReader>(reader: &R) -> Found {
    match joined(reader, BAGGAGE) {
        Some(list) => {
            let found = parse(&list.text);
            let status = if list.status.is_doubtful() { list.status } else { found.status };
            Found { status, ..found }
        }
        None => Found { status: Status::Absent, members: Vec::new() },
    }
}

/// The members of one header of a usual length; `None` where there is something to say of them, or nothing in it.
#[inline]
pub(crate) fn plain(text: &str) -> Option<Vec<Member>> {
    let found = (text.len() <= MAX_FIELD_BYTES).then(|| parse(text))?;
    (found.status == Status::Valid).then_some(found.members)
}

/// Whether all members of a header are valid and within the limits.
pub(crate) fn status_of(text: &str) -> Status {
    parse(text).status
}

pub(crate) type Member = (Key, (StringValue, BaggageMetadata));

/// The good members, within the limits; a bad one is skipped alone, an empty one is none.
fn parse(text: &str) -> Found {
    let mut found = Found { status: Status::Absent, members: Vec::new() };
    let mut room = MAX_BYTES;
    for member in members(text) {
        let fits = member.len() <= room;
        room = room.saturating_sub(member.len() + 1);
        if trim_text(member).is_empty() {
            continue;
        }
        if !fits || found.members.len() == MAX_MEMBERS {
            found.status = Status::OverLimit { field: BAGGAGE.into() };
            break;
        }
        match parse_member(member) {
            Some(member) => {
                found.members.push(member);
                found.status = found.status.or(Status::Valid);
            }
            None => found.status = Status::Malformed { field: BAGGAGE.into(), reason: Reason::Member },
        }
    }
    found
}

/// `key OWS = OWS value *( OWS ; OWS property )`
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

/// Whole members, in the order of their keys since OpenTelemetry's type keeps none, as far as there is room; and how many
/// are left out.
pub(crate) fn format(baggage: &Baggage) -> (String, usize) {
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
        text.push_str(key);
        text.push('=');
        encode(&mut text, value, VALUE, |byte| PLAIN[usize::from(byte)]);
        if !properties.is_empty() {
            text.push(';');
            encode(&mut text, properties, PROPERTIES, is_property_octet);
        }
        if text.len() > MAX_BYTES {
            text.truncate(before);
        } else {
            count += 1;
        }
    }
    (text, sorted.len() - count)
}

/// Appends what is percent-encoded where it must be, which it hardly ever must.
#[inline]
fn encode(text: &mut String, value: &str, set: &'static AsciiSet, is_plain: impl Fn(u8) -> bool) {
    if value.bytes().all(is_plain) {
        text.push_str(value);
    } else {
        text.extend(utf8_percent_encode(value, set));
    }
}

/// What needs no encoding in a value: asked for every byte of every value, so a table.
const PLAIN: [bool; 256] = {
    let mut table = [false; 256];
    let mut byte = 0;
    while byte < table.len() {
        table[byte] = is_octet(byte as u8) && byte as u8 != b'%' && byte as u8 != b'=';
        byte += 1;
    }
    table
};

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
        assert_eq!(format(&baggage).0, "a=1;secret ; ttl=30%25");
    }

    #[test]
    fn nothing_that_ends_a_member_gets_out_raw() {
        let mut baggage = Baggage::new();
        baggage.insert_with_metadata("a", "1,b=2;c\r\nd\"e\\%f", "p=1,x=2\r\ny");
        assert_eq!(format(&baggage).0, "a=1%2Cb%3D2%3Bc%0D%0Ad%22e%5C%25f;p=1%2Cx=2%0D%0Ay");
    }

    #[test]
    fn each_byte_that_must_not_be_raw_is_encoded_alone_as_well() {
        for byte in (0..=127_u8).map(char::from) {
            let baggage = Baggage::from_iter([(Key::from("k"), (format!("{byte}").into(), "".into()))]);
            let is_raw = byte.is_ascii_graphic() && !"\",;\\%=".contains(byte);
            let expected = if is_raw { format!("k={byte}") } else { format!("k=%{:02X}", u32::from(byte)) };
            assert_eq!(format(&baggage).0, expected);
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
        let (text, left_out) = format(&baggage);
        assert!(text.len() <= MAX_BYTES && left_out == 0);
        assert_eq!(values(&text).len(), 4);
        let encoded_too_long = Baggage::from_iter([(Key::from("a"), ("é".repeat(3_000).into(), "".into()))]);
        assert_eq!(format(&encoded_too_long), (String::new(), 1));
    }

    #[test]
    fn an_empty_member_is_none_and_no_doubt() {
        let sixty_four = (0..64).map(|n| format!("k{n}=v,")).collect::<String>();
        let label = |text: &str| parse(text).status.label();
        assert_eq!((label(&sixty_four), label(&(sixty_four.clone() + "more=v"))), ("valid", "over_limit"));
        assert_eq!((label(","), label(" "), label("a=1,,")), ("absent", "absent", "valid"));
    }

    #[test]
    fn writing_stops_at_8192_bytes() {
        let member =
            |key: &'static str, value: usize| (Key::from(key), ("v".repeat(value).into(), "".into()));
        let text = |last: usize| format(&Baggage::from_iter([member("a", 4_000), member("b", last)])).0;
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
    fn baggage_that_is_there_already_stays() {
        let cx = Context::new().with_baggage([opentelemetry::KeyValue::new("old", "1")]);
        let headers = BTreeMap::from([(BAGGAGE.to_owned(), "new=2".to_owned())]);
        let cx = onto(read(&headers).members, &cx);
        let baggage = cx.baggage();
        assert_eq!((baggage.get("old").unwrap().as_str(), baggage.get("new").unwrap().as_str()), ("1", "2"));
        let bad = BTreeMap::from([(BAGGAGE.to_owned(), "bad".to_owned())]);
        assert_eq!(onto(read(&bad).members, &cx).baggage().len(), 2);
    }

    proptest! {
        #[test]
        fn every_value_is_read_back(key in "[a-z!#$%&'*+.^_`|~-]{1,20}", value in any::<String>()) {
            let mut baggage = Baggage::new();
            baggage.insert(key.clone(), value.clone());
            prop_assert_eq!(values(&format(&baggage).0), [(key, value)]);
        }

        #[test]
        fn any_text_is_read_without_a_panic(text in any::<String>()) {
            let _ = parse(&text);
        }
    }
}
