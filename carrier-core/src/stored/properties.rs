//! The text of `java.util.Properties`, as its `load` and `store` define it.

use std::borrow::Cow;
use std::collections::BTreeMap;

/// White space within a line: around names, and before a line.
const BLANK: [char; 3] = [' ', '\t', '\x0c'];

/// One line for each entry, in ASCII.
pub(super) fn format(entries: &BTreeMap<String, String>) -> String {
    let mut text = String::new();
    for (key, value) in entries {
        if !text.is_empty() {
            text.push('\n');
        }
        escape(&mut text, key, true);
        text.push('=');
        escape(&mut text, value, false);
    }
    text
}

/// Appends text so that nothing in it ends a name, a value or a line.
fn escape(to: &mut String, text: &str, is_key: bool) {
    for (index, unit) in text.encode_utf16().enumerate() {
        match char::from_u32(unit.into()) {
            // Within a value a space is a space.
            Some(' ') if index > 0 && !is_key => to.push(' '),
            Some(plain @ (' ' | '=' | ':' | '#' | '!' | '\\')) => to.extend(['\\', plain]),
            Some('\t') => to.push_str("\\t"),
            Some('\n') => to.push_str("\\n"),
            Some('\r') => to.push_str("\\r"),
            Some('\x0c') => to.push_str("\\f"),
            Some(plain @ '!'..='~') => to.push(plain),
            _ => to.push_str(&format!("\\u{unit:04X}")),
        }
    }
}

/// Calls `entry` with the name and the value of each line, in order.
///
/// It skips a logical line of more than `max_line` bytes, and reads at most `max_text` bytes, in whole lines.
pub(super) fn parse(
    text: &str,
    max_line: usize,
    max_text: usize,
    mut entry: impl FnMut(Cow<'_, str>, Cow<'_, str>),
) {
    let mut logical = String::new();
    let mut is_too_long = false;
    let mut parse_line = |line: &str, is_too_long: bool| {
        if !line.is_empty() && !is_too_long {
            parse_entry(line, &mut entry);
        }
    };
    for line in lines(whole_lines(text, max_text)) {
        let line = line.trim_start_matches(BLANK);
        if logical.is_empty() && !is_too_long && (line.is_empty() || line.starts_with(['#', '!'])) {
            continue;
        }
        is_too_long |= logical.len() + line.len() > max_line;
        let backslashes = line.len() - line.trim_end_matches('\\').len();
        let is_continued = backslashes % 2 == 1;
        if !is_too_long {
            logical.push_str(if is_continued { &line[..line.len() - 1] } else { line });
        }
        if !is_continued {
            parse_line(&logical, is_too_long);
            logical.clear();
            is_too_long = false;
        }
    }
    parse_line(&logical, is_too_long);
}

/// Returns the lines that end within the first `max` bytes. The rest of a longer text is not read.
fn whole_lines(text: &str, max: usize) -> &str {
    if text.len() <= max {
        return text;
    }
    let end = text.as_bytes()[..=max].iter().rposition(|byte| matches!(byte, b'\n' | b'\r'));
    end.and_then(|end| text.get(..end)).unwrap_or_default()
}

/// Returns the lines of a text, which end with a line feed, a carriage return, or both.
fn lines(text: &str) -> impl Iterator<Item = &str> {
    let mut rest = Some(text);
    std::iter::from_fn(move || {
        let text = rest?;
        let Some((line, after)) = text.split_once(['\n', '\r']) else {
            rest = None;
            return Some(text);
        };
        let is_pair = text[line.len()..].starts_with("\r\n");
        rest = Some(if is_pair { &after[1..] } else { after });
        Some(line)
    })
}

fn parse_entry(line: &str, entry: &mut impl FnMut(Cow<'_, str>, Cow<'_, str>)) {
    let mut is_escaped = false;
    let end = line.find(|c: char| {
        let ends = !is_escaped && (BLANK.contains(&c) || c == '=' || c == ':');
        is_escaped = c == '\\' && !is_escaped;
        ends
    });
    let (key, value) = line.split_at(end.unwrap_or(line.len()));
    let value = value.trim_start_matches(BLANK);
    let value = value.strip_prefix(['=', ':']).unwrap_or(value).trim_start_matches(BLANK);
    if let (Some(key), Some(value)) = (unescape(key), unescape(value)) {
        entry(key, value);
    }
}

/// Removes the escapes of a text. Returns `None` if one is malformed, or is half a character.
fn unescape(text: &str) -> Option<Cow<'_, str>> {
    if !text.contains('\\') {
        return Some(Cow::Borrowed(text));
    }
    // An escape is a UTF-16 unit: a character beyond the basic plane takes two.
    let mut units = Vec::with_capacity(text.len());
    let mut rest = text.chars();
    while let Some(c) = rest.next() {
        let plain = match c {
            '\\' => match rest.next()? {
                'u' => {
                    let digits = rest.as_str().get(..4)?;
                    // `from_str_radix` would take a sign as well.
                    let is_hex = digits.bytes().all(|digit| digit.is_ascii_hexdigit());
                    units.push(u16::from_str_radix(digits, 16).ok().filter(|_| is_hex)?);
                    rest = rest.as_str()[4..].chars();
                    continue;
                }
                't' => '\t',
                'n' => '\n',
                'r' => '\r',
                'f' => '\x0c',
                plain => plain,
            },
            plain => plain,
        };
        units.extend_from_slice(plain.encode_utf16(&mut [0; 2]));
    }
    String::from_utf16(&units).ok().map(Cow::Owned)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    type Entries = BTreeMap<String, String>;

    fn entries(pairs: &[(&str, &str)]) -> Entries {
        pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
    }

    fn read(text: &str) -> Entries {
        let mut entries = Entries::new();
        parse(text, usize::MAX, usize::MAX, |key, value| {
            entries.insert(key.into_owned(), value.into_owned());
        });
        entries
    }

    #[test]
    fn of_a_text_over_the_limit_the_whole_lines_within_it_are_read() {
        for (text, max, whole) in [
            ("a=1\nb=2", 7, "a=1\nb=2"),
            ("a=1\nb=2", 6, "a=1"),
            ("a=1\nb=2\nc=3", 7, "a=1\nb=2"),
            ("a=1\r\nb=2", 3, "a=1"),
            ("a=1\r\nb=2", 4, "a=1\r"),
            ("a=é\nb=2", 3, ""),
            ("a=1", 2, ""),
        ] {
            assert_eq!(whole_lines(text, max), whole, "{max} bytes of {text:?}");
        }
    }

    /// What `Properties.store` of Java 25 wrote, without its date, and sorted.
    const WRITTEN_IN_JAVA: &str = "\
        =empty\n\
        a\\ key\\:\\=\\#\\!=\\ \\ttext \\\\ \\u00FC\\u20AC\\uD83D\\uDE00 \\r\\n\\f \n\
        baggage=k\\=v;p, x\\=%20y\\#\\!\\:\n\
        e=\n\
        traceparent=00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

    fn stored_in_java() -> Entries {
        entries(&[
            ("", "empty"),
            ("a key:=#!", " \ttext \\ ü€😀 \r\n\x0c "),
            ("baggage", "k=v;p, x=%20y#!:"),
            ("e", ""),
            ("traceparent", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"),
        ])
    }

    #[test]
    fn what_is_written_is_what_java_writes() {
        assert_eq!(format(&stored_in_java()), WRITTEN_IN_JAVA);
    }

    #[test]
    fn what_java_wrote_is_read() {
        for end in ["\n", "\r", "\r\n"] {
            let text = format!("#Mon Jun 02 10:15:30 UTC 2025\n{WRITTEN_IN_JAVA}\n").replace('\n', end);
            assert_eq!(read(&text), stored_in_java(), "{end:?}");
        }
    }

    #[test]
    fn names_end_at_an_equals_sign_a_colon_or_white_space() {
        for text in ["a=b", "a:b", "a b", "a\tb", "a\x0cb", " a = b", "a : b", "\t a   b", "a=b\n\n"] {
            assert_eq!(read(text), entries(&[("a", "b")]), "{text:?}");
        }
        assert_eq!(read("a==b"), entries(&[("a", "=b")]));
        assert_eq!(read("a = : b "), entries(&[("a", ": b ")]));
        assert_eq!(read("a"), entries(&[("a", "")]));
        assert_eq!(read("=b"), entries(&[("", "b")]));
        assert_eq!(read("a\\=\\:\\ b=c"), entries(&[("a=: b", "c")]));
        assert_eq!(read("a\\\\=b"), entries(&[("a\\", "b")]));
    }

    #[test]
    fn comments_and_blank_lines_are_no_entries() {
        assert_eq!(read("# a=1\n! b=2\n  \t\n\r\n   # c=3 \\\nd=#4"), entries(&[("d", "#4")]));
    }

    #[test]
    fn a_backslash_at_the_end_of_a_line_continues_it() {
        for text in ["a=b\\\nc", "a=b\\\r\n   c", "a=b\\\r\t\x0c c", "a\\\n  =bc", "a=bc\\", "a=b\\\nc\\\n\n"]
        {
            assert_eq!(read(text), entries(&[("a", "bc")]), "{text:?}");
        }
        assert_eq!(read("a=b\\\\\nc"), entries(&[("a", "b\\"), ("c", "")]));
        assert_eq!(read("a=b\\\n\nc"), entries(&[("a", "b"), ("c", "")]));
        assert_eq!(read("a=b\\\n#c"), entries(&[("a", "b#c")]));
    }

    #[test]
    fn a_backslash_before_any_other_character_is_left_out() {
        assert_eq!(read(r"a\b=\c\d\z\'"), entries(&[("ab", "cdz'")]));
    }

    #[test]
    fn a_line_with_a_malformed_escape_is_left_out_alone() {
        for bad in [r"\u12", r"\uuu0041", r"\u+041", r"\u00g0", r"\u00€", r"\uD83D", r"\uDE00\uD83D", r"\u"]
        {
            let text = format!("a=1\nb={bad}\n{bad}=c\nd=4");
            assert_eq!(read(&text), entries(&[("a", "1"), ("d", "4")]), "{bad}");
        }
    }

    #[test]
    fn of_lines_with_one_name_the_last_counts() {
        assert_eq!(read("a=1\nb=2\na=3"), entries(&[("a", "3"), ("b", "2")]));
    }

    proptest! {
        #[test]
        fn all_text_is_read_back(
            stored in proptest::collection::btree_map(any::<String>(), any::<String>(), 0..5)
        ) {
            let text = format(&stored);
            prop_assert!(text.bytes().all(|byte| matches!(byte, b'\n' | b' '..=b'~')), "{}", text);
            prop_assert_eq!(text.lines().count(), stored.len());
            prop_assert_eq!(read(&text), stored);
        }

        #[test]
        fn any_text_is_read_without_a_panic(text in any::<String>(), noise in "[a\\\\u0=: \t\r\n#!€]{0,60}") {
            read(&text);
            read(&noise);
        }
    }
}
