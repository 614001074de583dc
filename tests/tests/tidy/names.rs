//! What a path in a crate stands for, with re-exports, globs and renames resolved.

use std::collections::{BTreeMap, BTreeSet};

use proc_macro2::Ident;
use syn::visit::Visit;
use syn::{Item, ItemMod, ItemUse, UseTree, Visibility};

use crate::source::Crate;

/// What a path stands for. A module and a function may have the same name.
#[derive(Default)]
pub(crate) struct Found {
    pub(crate) module: Option<String>,
    /// The modules that define an item of this name.
    pub(crate) items: BTreeSet<String>,
}

pub(crate) struct Import {
    /// `None` for a glob.
    name: Option<String>,
    pub(crate) path: Vec<Ident>,
    pub(crate) is_reexport: bool,
}

/// The names of one module.
#[derive(Default)]
struct Scope {
    defined: BTreeSet<String>,
    imports: Vec<Import>,
}

impl Scope {
    fn import(&mut self, tree: &UseTree, mut path: Vec<Ident>, is_reexport: bool) {
        let name = match tree {
            UseTree::Path(tree) => {
                path.push(tree.ident.clone());
                return self.import(&tree.tree, path, is_reexport);
            }
            UseTree::Group(group) => {
                return group.items.iter().for_each(|tree| self.import(tree, path.clone(), is_reexport));
            }
            UseTree::Name(tree) => {
                path.extend((tree.ident != "self").then(|| tree.ident.clone()));
                path.last().map(Ident::to_string)
            }
            UseTree::Rename(tree) => {
                path.extend((tree.ident != "self").then(|| tree.ident.clone()));
                Some(tree.rename.to_string())
            }
            UseTree::Glob(_) => None,
        };
        self.imports.push(Import { name, path, is_reexport });
    }
}

/// Collects the imports of a module, those inside functions too.
impl Visit<'_> for Scope {
    fn visit_item_use(&mut self, item: &ItemUse) {
        if item.leading_colon.is_none() {
            self.import(&item.tree, Vec::new(), !matches!(item.vis, Visibility::Inherited));
        }
    }

    fn visit_item_mod(&mut self, _: &ItemMod) {}
}

fn defined(item: &Item) -> Option<String> {
    let name = match item {
        Item::Const(item) => &item.ident,
        Item::Enum(item) => &item.ident,
        Item::Fn(item) => &item.sig.ident,
        Item::Macro(item) => item.ident.as_ref()?,
        Item::Static(item) => &item.ident,
        Item::Struct(item) => &item.ident,
        Item::Trait(item) => &item.ident,
        Item::Type(item) => &item.ident,
        Item::Union(item) => &item.ident,
        _ => return None,
    };
    Some(name.to_string())
}

pub(crate) struct Names(BTreeMap<String, Scope>);

/// The names that are being looked up: an import may lead to itself.
type Open = BTreeSet<(String, String)>;

impl Names {
    pub(crate) fn of(parsed: &Crate) -> Self {
        let scope = |items: &[Item]| {
            let mut scope =
                Scope { defined: items.iter().filter_map(defined).collect(), imports: Vec::new() };
            items.iter().for_each(|item| scope.visit_item(item));
            scope
        };
        Self(parsed.modules.iter().map(|(path, module)| (path.clone(), scope(&module.items))).collect())
    }

    pub(crate) fn imports(&self, module: &str) -> &[Import] {
        &self.0[module].imports
    }

    pub(crate) fn resolve(&self, module: &str, path: &[Ident]) -> Found {
        self.resolve_in(module, path, &mut Open::new())
    }

    fn resolve_in(&self, module: &str, path: &[Ident], open: &mut Open) -> Found {
        let Some((last, prefix)) = path.split_last() else { return Found::default() };
        let is_module = |module: &str| Found { module: Some(module.to_owned()), ..Found::default() };
        let prefix =
            if prefix.is_empty() { is_module(module) } else { self.resolve_in(module, prefix, open) };
        // A variant or an associated item belongs to its type.
        let Some(base) = &prefix.module else { return prefix };
        match last.to_string().as_str() {
            "crate" => is_module("crate"),
            "self" => is_module(base),
            "super" => base.rsplit_once("::").map(|(parent, _)| is_module(parent)).unwrap_or_default(),
            name => self.look_up(base, name, open),
        }
    }

    fn look_up(&self, module: &str, name: &str, open: &mut Open) -> Found {
        let scope = &self.0[module];
        let mut found = Found::default();
        found.items.extend(scope.defined.contains(name).then(|| module.to_owned()));
        found.module = Some(format!("{module}::{name}")).filter(|child| self.0.contains_key(child));
        let question = (module.to_owned(), name.to_owned());
        if !open.insert(question.clone()) {
            return found;
        }
        let named = scope.imports.iter().filter(|import| import.name.as_deref() == Some(name));
        let mut others: Vec<Found> =
            named.map(|import| self.resolve_in(module, &import.path, open)).collect();
        if found.module.is_none() && found.items.is_empty() && others.is_empty() {
            let globs = scope.imports.iter().filter(|import| import.name.is_none());
            let globs = globs.filter_map(|glob| self.resolve_in(module, &glob.path, open).module);
            let globs: Vec<String> = globs.collect();
            others.extend(globs.iter().map(|glob| self.look_up(glob, name, open)));
        }
        for other in others {
            found.module = found.module.or(other.module);
            found.items.extend(other.items);
        }
        open.remove(&question);
        found
    }
}
