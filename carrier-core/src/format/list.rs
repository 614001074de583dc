//! Comma-separated lists and the white space around their members.

/// Optional white space: space and tab (W3C Trace Context, "tracestate Header Field Values").
pub(crate) const OWS: [char; 2] = [' ', '\t'];

/// Removes optional white space at both ends of text.
#[inline]
pub(crate) fn trim_text(text: &str) -> &str {
    match text.as_bytes() {
        [b' ' | b'\t', ..] | [.., b' ' | b'\t'] => text.trim_matches(OWS),
        _ => text,
    }
}

/// Splits text at the first occurrence of an ASCII byte.
///
/// Members are short: a plain loop is faster here than the standard library's search for long text.
#[inline]
pub(crate) fn cut(text: &str, at: u8) -> Option<(&str, &str)> {
    let found = text.bytes().position(|byte| byte == at)?;
    Some((text.get(..found)?, text.get(found + 1..)?))
}

/// Returns the members of a comma-separated list, with their white space.
pub(crate) fn members(text: &str) -> impl Iterator<Item = &str> {
    let mut rest = Some(text);
    std::iter::from_fn(move || {
        let text = rest?;
        let (member, after) = cut(text, b',').map_or((text, None), |(member, after)| (member, Some(after)));
        rest = after;
        Some(member)
    })
}

/// Returns the number of members, including empty ones.
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
        assert_eq!([" \ta b\t ", "\na", "  ", ""].map(trim_text), ["a b", "\na", "", ""]);
    }
}
