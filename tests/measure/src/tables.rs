//! The measured parts of BENCHMARKS.md, which stand between markers; the text around them is written by hand.

use std::fs;
use std::path::Path;

/// Replaces what stands between `<!-- name -->` and the next `<!-- end -->` of BENCHMARKS.md.
///
/// # Errors
///
/// If the file cannot be read or written, or has no such markers.
pub fn write(parts: &[(&str, String)]) -> Result<(), String> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../BENCHMARKS.md");
    let failed = |error| format!("{}: {error}", path.display());
    let mut page = fs::read_to_string(&path).map_err(failed)?;
    for (name, text) in parts {
        page = replaced(&page, name, text).ok_or(format!("BENCHMARKS.md has no markers for `{name}`"))?;
    }
    fs::write(&path, page).map_err(failed)
}

fn replaced(page: &str, name: &str, text: &str) -> Option<String> {
    let marker = format!("<!-- {name} -->\n");
    let (before, rest) = page.split_once(&marker)?;
    let end = rest.find("<!-- end -->")?;
    Some(format!("{before}{marker}{}\n{}", text.trim_end(), &rest[end..]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_stands_between_its_markers_is_replaced() {
        let page = "by hand\n<!-- a -->\nold\nold\n<!-- end -->\n<!-- b -->\n<!-- end -->\nby hand\n";
        let page = replaced(page, "a", "new\n").unwrap();
        let page = replaced(&page, "b", "table").unwrap();
        assert_eq!(
            page,
            "by hand\n<!-- a -->\nnew\n<!-- end -->\n<!-- b -->\ntable\n<!-- end -->\nby hand\n"
        );
        assert_eq!(replaced(&page, "c", ""), None);
    }
}
