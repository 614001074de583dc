//! crates.io and docs.rs have the archive of a library only.

use crate::{LIBRARIES, assert_none, files, read};

/// What the links of a page point to: `[text](target)` and `[name]: target`.
fn targets(page: &str) -> Vec<String> {
    let inline = page.split("](").skip(1).filter_map(|rest| rest.split_once(')')).map(|(target, _)| target);
    let defined = page.lines().filter(|line| line.starts_with('[')).filter_map(|line| line.split_once("]: "));
    inline
        .chain(defined.map(|(_, target)| target))
        .filter(|target| !target.contains(' '))
        .map(str::to_owned)
        .collect()
}

/// The text without its blocks of code.
fn prose(page: &str) -> String {
    page.split("```").step_by(2).collect()
}

/// The anchors of a page's headings.
fn anchors(page: &str) -> Vec<String> {
    let kept = |c: &char| c.is_alphanumeric() || "-_ ".contains(*c);
    let headings = page
        .lines()
        .filter_map(|line| line.trim_start_matches('#').strip_prefix(' ').filter(|_| line.starts_with('#')));
    headings
        .map(|text| text.to_lowercase().chars().filter(kept).collect::<String>().replace(' ', "-"))
        .collect()
}

fn is_file(target: &str) -> bool {
    target.contains(['/', '.']) && !target.starts_with("https://")
}

fn is_page(path: &&String) -> bool {
    path.ends_with(".md") && path.split('/').count() == 2
}

#[test]
fn a_page_of_a_library_has_no_link_out_of_its_archive() {
    let mut problems = Vec::new();
    for path in LIBRARIES.iter().flat_map(|library| files(library)).filter(|path| is_page(&path)) {
        let page = prose(&read(&path));
        for target in targets(&page) {
            let resolves = match target.strip_prefix('#') {
                Some(anchor) => anchors(&page).iter().any(|heading| heading == anchor),
                // rustdoc includes the other pages, and finds items.
                None => target.starts_with("https://") || !(path.ends_with("README.md") || is_file(&target)),
            };
            if !resolves {
                problems.push(format!("{path}: {target}"));
            }
        }
    }
    assert_none(&problems);
}

#[test]
fn the_documentation_of_an_item_links_to_items_and_absolute_addresses_only() {
    let mut problems = Vec::new();
    for path in LIBRARIES.iter().flat_map(|library| files(&format!("{library}/src"))) {
        let text = read(&path);
        let lines: Vec<&str> = text.lines().map(str::trim_start).collect();
        let docs = lines.iter().filter_map(|line| line.strip_prefix("///").or(line.strip_prefix("//!")));
        let docs = docs.map(|line| line.strip_prefix(' ').unwrap_or(line)).collect::<Vec<_>>().join("\n");
        problems.extend(
            targets(&prose(&docs))
                .into_iter()
                .filter(|target| is_file(target))
                .map(|target| format!("{path}: {target}")),
        );
    }
    assert_none(&problems);
}

/// rustdoc finds an item by its name alone, crates.io does not.
#[test]
fn a_readme_of_a_library_defines_the_address_of_each_item_that_it_links_to() {
    let mut problems = Vec::new();
    for library in LIBRARIES {
        let page = prose(&read(&format!("{library}/README.md")));
        for rest in page.split("[`").skip(1) {
            let Some((item, after)) = rest.split_once("`]") else { continue };
            let is_defined = after.starts_with(['(', ':']) || page.contains(&format!("\n[`{item}`]: "));
            if !is_defined {
                problems.push(format!("{library}/README.md: [`{item}`]"));
            }
        }
    }
    assert_none(&problems);
}

#[test]
fn an_archive_has_exactly_the_tests_that_compile_in_it() {
    let mut problems = Vec::new();
    for library in LIBRARIES {
        let manifest = read(&format!("{library}/Cargo.toml"));
        let excluded = manifest.lines().find_map(|line| line.strip_prefix("exclude = ")).unwrap_or_default();
        for path in files(&format!("{library}/tests")) {
            let text = read(&path);
            let needs_more =
                ["carrier_measure", "path = \"../benches"].iter().any(|word| text.contains(word));
            let is_excluded = excluded
                .contains(&format!("\"/{}\"", path.trim_start_matches(library).trim_start_matches('/')));
            if needs_more != is_excluded {
                problems
                    .push(format!("{path}: excluded from the archive: {is_excluded}, must be: {needs_more}"));
            }
        }
        if !excluded.contains("\"/benches\"") {
            problems.push(format!("{library}/Cargo.toml: the benchmarks need carrier-measure"));
        }
    }
    assert_none(&problems);
}
