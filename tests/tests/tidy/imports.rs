//! The module graph of a crate: which file uses items of which, with re-exports resolved.
//!
//! Limits: a call of a method shows no path, so it does not count; nor do paths in attributes and items that a macro
//! defines. A local variable with the name of a re-exported or glob-imported item counts as that item.

use proc_macro2::{Ident, TokenStream, TokenTree};
use syn::visit::{self, Visit};
use syn::{Attribute, ItemMod, ItemUse, Macro};

use crate::graph::Graph;
use crate::names::{Found, Names};
use crate::source::Crate;

/// The graph of a crate's files. A file has the name of its module; `lib.rs` is `crate`.
pub(crate) fn graph(parsed: &Crate) -> Graph {
    let names = Names::of(parsed);
    let mut graph = Graph::default();
    for (path, module) in &parsed.modules {
        let mut uses = Uses { names: &names, parsed, module: path, graph };
        uses.add_imports();
        module.items.iter().for_each(|item| uses.visit_item(item));
        graph = uses.graph;
    }
    graph
}

/// `w3c::baggage` for `crate::w3c::baggage`.
pub(crate) fn short(module: &str) -> &str {
    module.strip_prefix("crate::").unwrap_or(module)
}

/// Finds the paths in the code of one module.
struct Uses<'a> {
    names: &'a Names,
    parsed: &'a Crate,
    module: &'a str,
    graph: Graph,
}

impl Uses<'_> {
    fn add(&mut self, path: &[Ident], found: &Found) {
        let from = &self.parsed.modules[self.module];
        for module in &found.items {
            let to = &self.parsed.modules[module].unit;
            let place = format!("{}:{}", from.file, path[0].span().start().line);
            self.graph.add(short(&from.unit), short(to), &place);
        }
    }

    fn add_path(&mut self, path: &[Ident]) {
        self.add(path, &self.names.resolve(self.module, path));
    }

    /// An import of an item uses the item. The re-export of an item of a child does not. The import of a module does not
    /// either: the paths that begin with its name show which items are used.
    fn add_imports(&mut self) {
        let children = format!("{}::", self.module);
        for import in self.names.imports(self.module) {
            let mut found = self.names.resolve(self.module, &import.path);
            found.items.retain(|module| !(import.is_reexport && module.starts_with(&children)));
            if found.module.is_none() {
                self.add(&import.path, &found);
            }
        }
    }

    /// Finds paths in the tokens of a macro: names with `::` between them.
    fn add_tokens(&mut self, tokens: TokenStream) {
        let mut path: Vec<Ident> = Vec::new();
        let mut colons = 0;
        for token in tokens {
            if matches!(&token, TokenTree::Punct(punct) if punct.as_char() == ':') {
                colons += 1;
                continue;
            }
            if colons != 2 || !matches!(token, TokenTree::Ident(_)) {
                self.add_path(&std::mem::take(&mut path));
            }
            colons = 0;
            match token {
                TokenTree::Ident(name) => path.push(name),
                TokenTree::Group(group) => self.add_tokens(group.stream()),
                _ => {}
            }
        }
        self.add_path(&path);
    }
}

impl Visit<'_> for Uses<'_> {
    fn visit_path(&mut self, path: &syn::Path) {
        if path.leading_colon.is_none() {
            let names: Vec<Ident> = path.segments.iter().map(|segment| segment.ident.clone()).collect();
            self.add_path(&names);
        }
        visit::visit_path(self, path);
    }

    fn visit_macro(&mut self, invocation: &Macro) {
        self.visit_path(&invocation.path);
        self.add_tokens(invocation.tokens.clone());
    }

    fn visit_attribute(&mut self, _: &Attribute) {}
    fn visit_item_mod(&mut self, _: &ItemMod) {}
    fn visit_item_use(&mut self, _: &ItemUse) {}
}

#[test]
fn no_module_imports_one_that_imports_it() {
    let mut problems = Vec::new();
    for library in crate::LIBRARIES {
        let graph = graph(&Crate::read(library));
        for (level, graph) in [("folder", graph.inside("")), ("file", graph)] {
            let cycles = graph.describe_cycles();
            problems.extend(cycles.map(|cycles| format!("{library}, {level} by {level}:\n{cycles}")));
        }
    }
    crate::assert_none(&problems);
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILES: [(&str, &str); 5] = [
        ("lib.rs", "mod a; mod b; mod c; pub use self::b::{B, b}; pub use self::c::*;"),
        ("a.rs", ""),
        ("b.rs", "pub struct B; pub enum E { V } pub fn b() {}"),
        ("c/mod.rs", "pub struct C; pub mod d; pub use self::d::{D, D as E};"),
        ("c/d.rs", "pub struct D;"),
    ];

    /// What a file of the crate above imports if it has this text instead, with the line.
    fn imports_of(file: &str, text: &str) -> String {
        let text_of = |(name, usual)| if name == file { text } else { usual };
        let sources = FILES.map(|(name, usual)| (format!("src/{name}"), text_of((name, usual)).to_owned()));
        let graph = graph(&Crate::parse(&sources.into()));
        let found = graph.arrows().filter_map(|(_, to, place)| {
            place.strip_prefix(&format!("src/{file}:")).map(|line| format!("{to}:{line}"))
        });
        found.collect::<Vec<_>>().join(" ")
    }

    fn imports_of_a(text: &str) -> String {
        imports_of("a.rs", text)
    }

    #[test]
    fn a_reexport_leads_to_the_module_that_defines_the_item() {
        assert_eq!(imports_of_a("use crate::B;"), "b:1");
        assert_eq!(imports_of_a("use super::{self as root, B as Other};"), "b:1");
        assert_eq!(imports_of_a("\nfn f() { crate::b(); }"), "b:2");
        assert_eq!(imports_of_a("use crate::{C, c::D};"), "c:1 c::d:1");
        assert_eq!(imports_of_a("use crate::E;"), "c::d:1");
    }

    #[test]
    fn an_item_is_found_through_globs_renames_and_modules() {
        assert_eq!(imports_of_a("use super::*;\nfn f(_: C) {}"), "c:2");
        assert_eq!(imports_of_a("use crate::c as x;\nfn f(_: Vec<x::d::D>) {}"), "c::d:2");
        assert_eq!(imports_of_a("use crate::{c::{d::{self, D as E}}};"), "c::d:1");
        assert_eq!(imports_of_a("fn f() { use crate::b as x;\nx::E::V; }"), "b:2");
        assert_eq!(imports_of_a("use crate::b::E::*;"), "b:1");
    }

    #[test]
    fn code_of_all_kinds_uses_items() {
        for text in [
            "impl Drop for super::B {}",
            "fn f() { let x = crate::b::E::V; }",
            "fn f(x: X) { match x { crate::b::E::V => {} } }",
            "fn f() { println!(\"{:?}\", [crate::b::b()]); }",
            "macro_rules! m { () => { $crate::b::b() } }",
            "mod inner { fn f() { super::super::b::b() } }",
            "type X = <crate::B as Iterator>::Item;",
        ] {
            assert_eq!(imports_of_a(text), "b:1", "{text}");
        }
    }

    #[test]
    fn what_uses_no_item_of_another_module_is_no_import() {
        for text in [
            "use crate::c;",
            "use ::b::B;",
            "#[doc = crate::b::B] fn f(c: usize) { c; self::f(); }",
            "use std::fmt; use other::{self, B}; fn f(_: other::B) -> fmt::B {}",
            "#[cfg(test)] use crate::b::B;",
            "#[cfg(test)] mod tests { use crate::b::B; }",
        ] {
            assert_eq!(imports_of_a(text), "", "{text}");
        }
    }

    #[test]
    fn a_function_may_have_the_name_of_a_module() {
        assert_eq!(imports_of_a("use crate::b;\nfn f(_: b::E) {}"), "b:2");
        assert_eq!(imports_of_a("use crate::b;\nfn f() { b() }"), "b:2");
    }

    #[test]
    fn only_the_reexport_of_a_child_is_no_import() {
        assert_eq!(imports_of_a("pub use crate::B;"), "b:1");
        assert_eq!(imports_of("c/mod.rs", "pub mod d; pub use self::d::D; pub struct C;"), "");
        assert_eq!(imports_of("c/mod.rs", "mod d; pub use self::d::D; pub struct C(D);"), "c::d:1");
        assert_eq!(imports_of("c/d.rs", "use super::C; pub struct D;"), "c:1");
    }
}
