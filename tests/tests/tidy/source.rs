//! The modules of a crate, from its source, without what is compiled for tests only.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;

use proc_macro2::{Delimiter, Group, TokenStream, TokenTree};
use syn::Item;

/// The text of each file.
type Sources = BTreeMap<String, String>;

pub(crate) struct Crate {
    /// By path: `crate`, `crate::w3c`, `crate::w3c::baggage`.
    pub(crate) modules: BTreeMap<String, Module>,
    /// The lines of code in all files: without tests, comments and empty lines.
    pub(crate) lines: usize,
}

pub(crate) struct Module {
    pub(crate) items: Vec<Item>,
    pub(crate) file: String,
    /// The module that the file belongs to: a `mod` with a body is a part of the file that contains it.
    pub(crate) unit: String,
}

impl Crate {
    /// Reads a library of this repository.
    pub(crate) fn read(name: &str) -> Self {
        let files = crate::files(&format!("{name}/src")).into_iter();
        Self::parse(&files.map(|file| (file.clone(), crate::read(&file))).collect())
    }

    /// Parses `lib.rs` and every file that its `mod` declarations lead to.
    pub(crate) fn parse(sources: &Sources) -> Self {
        let lib = sources.keys().find(|file| file.ends_with("lib.rs")).expect("there is a lib.rs");
        let mut this = Self { modules: BTreeMap::new(), lines: 0 };
        this.add_file("crate", lib, sources);
        this
    }

    fn add_file(&mut self, path: &str, file: &str, sources: &Sources) {
        let text = &sources[file];
        let tokens: TokenStream = text.parse().unwrap_or_else(|error| panic!("{file}: {error}"));
        let mut tests = Vec::new();
        let tokens = without_tests(tokens, &mut tests);
        let is_code = |line: &str| !line.trim().is_empty() && !line.trim().starts_with("//");
        let lines = text.lines().zip(1..).filter(|(line, _)| is_code(line));
        self.lines += lines.filter(|(_, number)| !tests.iter().any(|test| test.contains(number))).count();
        let parsed: syn::File = syn::parse2(tokens).unwrap_or_else(|error| panic!("{file}: {error}"));
        self.add(path, path, file, parsed.items, sources);
    }

    fn add(&mut self, path: &str, unit: &str, file: &str, mut items: Vec<Item>, sources: &Sources) {
        for item in &mut items {
            let Item::Mod(inner) = item else { continue };
            let path = format!("{path}::{}", inner.ident);
            match &mut inner.content {
                Some((_, items)) => self.add(&path, unit, file, std::mem::take(items), sources),
                None => {
                    let stem = path.replacen("crate", "src", 1).replace("::", "/");
                    let ends = [format!("{stem}.rs"), format!("{stem}/mod.rs")];
                    let file = sources.keys().find(|file| ends.iter().any(|end| file.ends_with(end)));
                    self.add_file(&path, file.unwrap_or_else(|| panic!("{stem} has no file")), sources);
                }
            }
        }
        self.modules.insert(path.to_owned(), Module { items, file: file.to_owned(), unit: unit.to_owned() });
    }
}

/// Removes each item with `#[cfg(test)]` or `#[cfg(all(test, …))]`; adds its lines to `removed`.
///
/// An item ends at its `;`, or at its braces if no `;` follows them. So this does not work on struct fields.
fn without_tests(tokens: TokenStream, removed: &mut Vec<RangeInclusive<usize>>) -> TokenStream {
    let tokens: Vec<TokenTree> = tokens.into_iter().collect();
    let mut kept = TokenStream::new();
    let mut at = 0;
    while at < tokens.len() {
        let is_attribute = |pair: &&[TokenTree]| matches!(pair, [a, TokenTree::Group(_)] if is(a, '#'));
        let attributes: Vec<_> = tokens[at..].chunks(2).take_while(is_attribute).collect();
        if attributes.iter().any(|pair| is_for_tests(&pair[1])) {
            let end = end_of_item(&tokens, at + 2 * attributes.len());
            removed.push(tokens[at].span().start().line..=tokens[end].span().end().line);
            at = end + 1;
            continue;
        }
        kept.extend([match &tokens[at] {
            TokenTree::Group(group) => {
                let mut inner = Group::new(group.delimiter(), without_tests(group.stream(), removed));
                inner.set_span(group.span());
                TokenTree::Group(inner)
            }
            other => other.clone(),
        }]);
        at += 1;
    }
    kept
}

fn is(token: &TokenTree, character: char) -> bool {
    matches!(token, TokenTree::Punct(punct) if punct.as_char() == character)
}

fn is_for_tests(attribute: &TokenTree) -> bool {
    let TokenTree::Group(group) = attribute else { return false };
    let text = group.stream().to_string().replace(' ', "");
    text == "cfg(test)" || text.starts_with("cfg(all(test,")
}

fn end_of_item(tokens: &[TokenTree], start: usize) -> usize {
    let is_end = |at: &usize| match &tokens[*at] {
        TokenTree::Group(group) => {
            group.delimiter() == Delimiter::Brace && !tokens.get(at + 1).is_some_and(|next| is(next, ';'))
        }
        token => is(token, ';'),
    };
    (start..tokens.len()).find(is_end).unwrap_or(tokens.len() - 1)
}

#[test]
fn code_for_tests_is_not_parsed_and_its_lines_do_not_count() {
    let text = "mod a;\n\n// Why.\nfn f() {}\n#[cfg(test)]\nmod tests;\n/// For tests.\n#[cfg(test)]\nuse b::{\n    c,\n};\n\
                struct S;\nimpl S {\n    #[cfg(all(test, unix))]\n    fn g() {}\n    fn h() {}\n}\n";
    let sources = [("src/lib.rs", text), ("src/a/mod.rs", "//! Docs.\n#[cfg(any(test, unix))]\nfn k() {}\n")];
    let parsed = Crate::parse(&sources.map(|(file, text)| (file.to_owned(), text.to_owned())).into());
    assert_eq!(parsed.modules.keys().collect::<Vec<_>>(), ["crate", "crate::a"]);
    assert_eq!(parsed.modules["crate"].items.len(), 4);
    assert_eq!(parsed.lines, 6 + 2);
}
