//! Text cut into members, and the white space around them.

/// White space that may surround a value: space and tab (W3C Trace Context, "tracestate Header Field Values").
pub(crate) const OWS: [char; 2] = [' ', '\t'];

/// Removes optional white space at both ends.
pub(crate) fn trim(bytes: &[u8]) -> &[u8] {
    let ows = |byte: &u8| matches!(byte, b' ' | b'\t');
    let start = bytes.iter().position(|byte| !ows(byte)).unwrap_or(bytes.len());
    let end = bytes.iter().rposition(|byte| !ows(byte)).map_or(start, |last| last + 1);
    &bytes[start..end]
}

/// The same of text.
#[inline]
pub(crate) fn trim_text(text: &str) -> &str {
    match text.as_bytes() {
        [b' ' | b'\t', ..] | [.., b' ' | b'\t'] => text.trim_matches(OWS),
        _ => text,
    }
}

/// What is before and behind the first of an ASCII byte.
///
/// Members are short: a loop over their bytes takes a third of what the search takes that the standard library is good at
/// for long text.
#[inline]
pub(crate) fn cut(text: &str, at: u8) -> Option<(&str, &str)> {
    let found = text.bytes().position(|byte| byte == at)?;
    Some((text.get(..found)?, text.get(found + 1..)?))
}

/// The members of a comma-separated list, as they are.
pub(crate) fn members(text: &str) -> impl Iterator<Item = &str> {
    let mut rest = Some(text);
    std::iter::from_fn(move || {
        let text = rest?;
        let (member, behind) =
            cut(text, b',').map_or((text, None), |(member, behind)| (member, Some(behind)));
        rest = behind;
        Some(member)
    })
}

/// How many members a list has, empty ones included.
#[inline]
pub(crate) fn count_members(text: &str) -> usize {
    1 + text.bytes().filter(|byte| *byte == b',').count()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_is_cut_as_the_standard_library_does() {
        for text in ["", ",", "a", "a=1,b=2", ",a,,é=b,", "=", "a=b=c"] {
            assert_eq!(members(text).collect::<Vec<_>>(), text.split(',').collect::<Vec<_>>());
            assert_eq!(count_members(text), text.split(',').count());
            assert_eq!(cut(text, b'='), text.split_once('='));
        }
    }

    #[test]
    fn optional_white_space_is_space_and_tab_at_the_ends() {
        assert_eq!(trim(b" \ta b\t "), b"a b");
        assert_eq!(trim(b"\na"), b"\na");
        assert_eq!(trim(b"  "), b"");
        assert_eq!([" \ta b\t ", "\na", "  ", ""].map(trim_text), ["a b", "\na", "", ""]);
    }
}
